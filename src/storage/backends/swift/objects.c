/* SPDX-License-Identifier: Apache-2.0 */
/* Puts in one piece, and deleting: whatever the object was before, its segments go. */
#include "base/error.h"
#include "base/log.h"
#include "storage/backends/swift/swift.h"

#include <stdlib.h>
#include <string.h>

/* Again if it was Lithops' own container that is missing, and is there now. */
static int put(struct lithops__swift *swift, const char *bucket, const char *key,
               lithops_bytes body, bool is_new, const lithops_storage_op *op)
{
    const struct lithops__swift_request request = {
        .bucket = bucket, .key = key, .is_new = is_new, .body = body};
    char old[LITHOPS__SWIFT_UPLOAD] = "";
    int rc = is_new ? 0 : lithops__swift_upload_of(swift, bucket, key, old, op);
    if (rc == 0)
        rc = lithops__swift_store(swift, request, NULL, op);
    if (rc == LITHOPS_ENOTFOUND && swift->bucket && strcmp(bucket, swift->bucket) == 0) {
        lithops__log(LITHOPS_LOG_INFO, "storage", "swift: creating the bucket '%s'", bucket);
        *op->err = (lithops_error)LITHOPS_ERROR_INIT;
        rc = lithops__swift_make_bucket(swift, bucket, op);
        rc = rc ? rc : lithops__swift_store(swift, request, NULL, op);
    }
    if (rc == 0)
        lithops__swift_drop_old(swift, bucket, key, old, op);
    return rc;
}

int lithops__swift_put(void *state, const char *bucket, const char *key, lithops_bytes body,
                       const lithops_storage_op *op)
{
    return put(state, bucket, key, body, false, op);
}

int lithops__swift_put_new(void *state, const char *bucket, const char *key, lithops_bytes body,
                           const lithops_storage_op *op)
{
    return put(state, bucket, key, body, true, op);
}

/* ---- deleting -------------------------------------------------------------------------------- */

int lithops__swift_del(void *state, const char *bucket, const char *key,
                       const lithops_storage_op *op)
{
    const struct lithops__swift_request request = {
        .method = "DELETE", .bucket = bucket, .key = key};
    char old[LITHOPS__SWIFT_UPLOAD] = "";
    int rc = lithops__swift_upload_of(state, bucket, key, old, op);
    if (rc == 0)
        rc = lithops__swift_do(state, &request, op);
    if (rc == 0)
        rc = lithops__swift_drop(state, bucket, key, old, op);
    return rc == LITHOPS_ENOTFOUND ? 0 : rc;
}

int lithops__swift_del_many(void *state, const char *bucket, const char *const *keys, size_t count,
                            const lithops_storage_op *op)
{
    bool *large = calloc(count, sizeof *large);
    const char **plain = calloc(count, sizeof *plain);
    size_t plain_count = 0;
    int rc = large && plain
                 ? lithops__swift_find_segments(state, bucket, keys, count, large, op)
                 : lithops__fail(op->err, LITHOPS_ENOMEM, "out of memory for a deletion");
    if (rc == 0) {
        for (size_t i = 0; i < count; i++)
            if (!large[i])
                plain[plain_count++] = keys[i];
        rc = plain_count ? lithops__swift_bulk_delete(state, bucket, plain, plain_count, op) : 0;
        for (size_t i = 0; i < count; i++) {
            int result = large[i] ? lithops__swift_del(state, bucket, keys[i], op) : 0;
            rc = rc ? rc : result;
        }
    }
    free(large);
    free(plain);
    return rc;
}
