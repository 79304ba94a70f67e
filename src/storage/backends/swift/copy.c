/* SPDX-License-Identifier: Apache-2.0 */
/* Copies that Swift makes by itself, of objects in one piece. By COPY, not by PUT with X-Copy-From:
 * a server that knows no copies refuses the one, and of the other makes an empty object. */
#include "base/buffer.h"
#include "base/error.h"
#include "net/sign.h"
#include "storage/backends/swift/swift.h"

#include <stdlib.h>
#include <string.h>

static char *write_name(const char *bucket, const char *key)
{
    struct lithops__buffer name = LITHOPS__BUFFER_INIT;
    lithops__buffer_append_string(&name, "/");
    lithops__url_encode(&name, bucket, strlen(bucket), false);
    lithops__buffer_append_string(&name, "/");
    lithops__url_encode(&name, key, strlen(key), true);
    return lithops__buffer_steal(&name);
}

/* Whether the object is a manifest. Swift would make a plain object of it, but with the manifest's
 * ETag beside its own, so that no If-Match holds; other servers may copy the manifest, whose
 * segments go with the source. */
static int ask_for_manifest(struct lithops__swift *swift, const char *bucket, const char *key,
                            bool *ret_is, const lithops_storage_op *op)
{
    const struct lithops__swift_request ask = {.method = "HEAD", .bucket = bucket, .key = key};
    struct lithops__transfer *transfer;
    int rc = lithops__swift_begin(swift, &ask, op, &transfer);
    if (rc)
        return rc;
    const char *is_static = swift->web.http->header(transfer, "X-Static-Large-Object");
    *ret_is = (is_static && strcasecmp(is_static, "True") == 0) ||
              swift->web.http->header(transfer, "X-Object-Manifest");
    lithops__web_end(&swift->web, transfer);
    return 0;
}

int lithops__swift_copy(void *state, const char *bucket, const char *key, const char *to_bucket,
                        const char *to_key, const lithops_storage_op *op)
{
    struct lithops__swift *swift = state;
    char old[LITHOPS__SWIFT_UPLOAD];
    bool is_manifest;
    int rc = ask_for_manifest(swift, bucket, key, &is_manifest, op);
    if (rc == 0 && is_manifest)
        rc = lithops__fail(op->err, LITHOPS_EUNSUPPORTED, "swift copies no large objects well");
    rc = rc ? rc : lithops__swift_upload_of(swift, to_bucket, to_key, old, op);
    if (rc)
        return rc;
    char *destination = write_name(to_bucket, to_key);
    if (!destination)
        return lithops__fail(op->err, LITHOPS_ENOMEM, "out of memory for a copy");
    const struct lithops__swift_request request = {
        .method = "COPY",
        .bucket = bucket,
        .key = key,
        .headers = {{"Content-Type", "application/octet-stream"},
                    {"Destination", destination},
                    {"X-Fresh-Metadata", "true"}}};
    rc = lithops__swift_do(swift, &request, op);
    free(destination);
    if (rc && op->err->http_status == 501)
        rc = lithops__fail(op->err, LITHOPS_EUNSUPPORTED, "this server copies no objects");
    if (rc == 0)
        lithops__swift_drop_old(swift, to_bucket, to_key, old, op);
    return rc;
}
