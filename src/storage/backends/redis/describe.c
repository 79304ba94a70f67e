/* SPDX-License-Identifier: Apache-2.0 */
/* What stands in the way of requests, for `lithops storage check`. */
#include "storage/describe.h"

#include "storage/backends/redis/redis.h"

#include <stdio.h>
#include <string.h>

int lithops__redis_describe(void *state, const char *bucket, lithops__say_fn *say, void *user,
                            const lithops_storage_op *op)
{
    struct lithops__redis *redis = state;
    const struct lithops__tcp_target *target = &redis->target;
    const lithops_bytes words[] = {{"PING", 4}};
    struct lithops__redis_request request;
    char detail[512];
    (void)bucket; /* there is none that would have to be there */
    int rc = lithops__redis_begin(redis, "reach the server", words, 1, op, &request);
    if (rc == 0)
        lithops__redis_end(redis, &request);
    bool answered = rc == 0 || rc == LITHOPS_EDENIED;
    if (target->unix_path)
        snprintf(detail, sizeof detail, "%s", target->unix_path);
    else
        snprintf(detail, sizeof detail, "%s:%u%s", target->host, target->port,
                 target->tls ? ", by TLS" : "");
    say("connection", answered ? 0 : rc, answered ? detail : op->err->message, user);
    if (!answered)
        return rc;
    snprintf(detail, sizeof detail, "%s%s%s", redis->username ? "user " : "",
             redis->username   ? redis->username
             : redis->password ? "a password"
                               : "none",
             redis->username && !redis->password ? ", without a password" : "");
    say("credentials", rc, rc ? op->err->message : detail, user);
    return rc;
}
