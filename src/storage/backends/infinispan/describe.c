/* SPDX-License-Identifier: Apache-2.0 */
/* What stands in the way of requests, for `lithops storage check`. */
#include "storage/describe.h"

#include "base/error.h"
#include "storage/backends/infinispan/infinispan.h"

#include <stdio.h>
#include <string.h>

/* Who the user is, is asked with each request: 401 says that the answer was wrong. */
int lithops__infinispan_describe(void *state, const char *bucket, lithops__say_fn *say, void *user,
                                 const lithops_storage_op *op)
{
    struct lithops__infinispan *infinispan = state;
    const struct lithops__infinispan_request request = {.method = "HEAD", .bucket = bucket};
    char detail[256] = "none: requests are nobody's";
    int rc = lithops__infinispan_do(infinispan, &request, op);
    bool is_refused = op->err->http_status == 401;
    if (infinispan->auth != LITHOPS__INFINISPAN_NONE)
        snprintf(detail, sizeof detail, "user %s, by %s", infinispan->user,
                 infinispan->auth == LITHOPS__INFINISPAN_BASIC ? "BASIC" : "DIGEST");
    if (rc == 0 || op->err->http_status)
        say("credentials", is_refused ? rc : 0, is_refused ? op->err->message : detail, user);
    if (is_refused)
        return rc;
    return lithops__describe_answer(rc, infinispan->endpoint, bucket,
                                    lithops__infinispan_makes(infinispan, bucket), say, user, op);
}
