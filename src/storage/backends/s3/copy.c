/* SPDX-License-Identifier: Apache-2.0 */
/* Copies that the server makes by itself. As with uploads, the answer has status 200 before the
 * server knows how it ends: only its document tells. */
#include "base/buffer.h"
#include "base/error.h"
#include "net/sign.h"
#include "net/xml.h"
#include "storage/backends/s3/s3.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void take_etag(const char *path, const char *text, size_t len, void *user)
{
    if (len > 0 && strcmp(path, "CopyObjectResult/ETag") == 0)
        *(bool *)user = true;
    (void)text;
}

static int check_document(struct lithops__s3 *s3, const struct lithops__s3_request *request,
                          char *document, size_t len, const lithops_storage_op *op)
{
    struct lithops__s3_error error;
    bool is_copied = false;
    const struct lithops__xml_visitor visitor = {.text = take_etag, .user = &is_copied};
    if (lithops__s3_read_error(document, len, &error))
        return lithops__s3_fail(s3, request, 200, error.code, error.message, op);
    if (lithops__xml_read(document, len, &visitor) == 0 && is_copied)
        return 0;
    lithops__fail(op->err, LITHOPS_EBACKEND, "the answer of %s to a copy to '%s/%s' cannot be read",
                  s3->dialect->section, request->bucket, request->key);
    op->err->retryable = true;
    return LITHOPS_EBACKEND;
}

/* Google's headers have other names: there the bytes come and go. */
int lithops__s3_copy(void *state, const char *bucket, const char *key, const char *to_bucket,
                     const char *to_key, const lithops_storage_op *op)
{
    struct lithops__s3 *s3 = state;
    struct lithops__buffer header = LITHOPS__BUFFER_INIT;
    if (s3->dialect->google_credentials)
        return lithops__fail(op->err, LITHOPS_EUNSUPPORTED, "%s copies nothing",
                             s3->dialect->section);
    lithops__buffer_append_string(&header, "x-amz-copy-source: /");
    lithops__url_encode(&header, bucket, strlen(bucket), false);
    lithops__buffer_append_string(&header, "/");
    lithops__url_encode(&header, key, strlen(key), true);
    char *source = lithops__buffer_steal(&header), *document = NULL;
    if (!source)
        return lithops__fail(op->err, LITHOPS_ENOMEM, "out of memory for a copy");
    const struct lithops__s3_request request = {.method = "PUT",
                                                .bucket = to_bucket,
                                                .key = to_key,
                                                .headers = {source},
                                                .has_body = true,
                                                .body = {"", 0}};
    size_t len;
    int rc = lithops__s3_fetch(s3, &request, op, &document, &len);
    if (rc == 0)
        rc = check_document(s3, &request, document, len, op);
    free(document);
    free(source);
    return rc;
}
