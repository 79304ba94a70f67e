/* SPDX-License-Identifier: Apache-2.0 */
/* What stands in the way of requests, for `lithops storage check`. */
#include "storage/describe.h"

#include "base/error.h"
#include "storage/backends/swift/swift.h"

#include <stdlib.h>
#include <string.h>

/* The login tells where the object store is, so there is no region to find out; and no clock
 * matters to a token. */
int lithops__swift_describe(void *state, const char *bucket, lithops__say_fn *say, void *user,
                            const lithops_storage_op *op)
{
    struct lithops__swift *swift = state;
    char *where = NULL;
    int rc = lithops__describe_credentials(swift->credentials, say, user, &where, op);
    if (rc)
        return rc;
    const struct lithops__swift_request request = {
        .method = "GET", .bucket = bucket, .query = "format=json&limit=1"};
    rc = lithops__swift_do(swift, &request, op);
    bool answered = rc == 0 || op->err->http_status;
    say("connection", answered ? 0 : rc,
        !answered ? op->err->message
        : where   ? where
                  : swift->where,
        user);
    free(where);
    if (!answered)
        return rc;
    if (rc == LITHOPS_ENOTFOUND && swift->bucket && strcmp(bucket, swift->bucket) == 0) {
        say("bucket", 0, "it is missing: the first put creates it", user);
        return 0;
    }
    say("bucket", rc, rc ? op->err->message : bucket, user);
    return rc == LITHOPS_EDENIED ? 0 : rc; /* a user may be allowed to put, and not to list */
}
