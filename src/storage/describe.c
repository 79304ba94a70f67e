/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/describe.h"

#include "base/error.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* The beginning of an access key is enough to know it by, and no secret. */
int lithops__describe_credentials(struct lithops__credential_store *store, lithops__say_fn *say,
                                  void *user, char **ret_where, const lithops_storage_op *op)
{
    struct lithops__credentials credentials = {.expires = 0};
    const struct lithops__bounds bounds = {op->deadline_ns, op->interrupted, op->user};
    char detail[128];
    int rc = lithops__credential_store_get(store, &bounds, &credentials, op->err);
    if (rc) {
        say("credentials", rc, op->err->message, user);
        return rc;
    }
    if (credentials.bearer)
        snprintf(detail, sizeof detail, "a token");
    else
        snprintf(detail, sizeof detail, "access key %.4s...%s", credentials.access_key,
                 credentials.session_token ? ", temporary" : "");
    if (credentials.expires > 0)
        snprintf(detail + strlen(detail), sizeof detail - strlen(detail), ", for %.0f minutes more",
                 (credentials.expires - (double)time(NULL)) / 60);
    if (ret_where)
        *ret_where = credentials.endpoint ? strdup(credentials.endpoint) : NULL;
    lithops__credentials_deinit(&credentials);
    say("credentials", 0, detail, user);
    return 0;
}

int lithops__describe_answer(int rc, const char *where, const char *bucket, bool makes,
                             lithops__say_fn *say, void *user, const lithops_storage_op *op)
{
    bool answered = rc == 0 || op->err->http_status;
    say("connection", answered ? 0 : rc, answered ? where : op->err->message, user);
    if (!answered)
        return rc;
    if (rc == LITHOPS_ENOTFOUND && makes) {
        say("bucket", 0, "it is missing: the first put creates it", user);
        return 0;
    }
    say("bucket", rc, rc ? op->err->message : bucket, user);
    return rc == LITHOPS_EDENIED ? 0 : rc; /* one may be allowed to put, and not to list */
}
