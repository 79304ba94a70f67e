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
    bool makes = swift->bucket && strcmp(bucket, swift->bucket) == 0;
    rc = lithops__describe_answer(rc, where ? where : swift->where, bucket, makes, say, user, op);
    free(where);
    return rc;
}
