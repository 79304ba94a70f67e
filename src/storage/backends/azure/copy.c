/* SPDX-License-Identifier: Apache-2.0 */
/* Copies that the service makes by itself, "Copy Blob From URL": it has ended when it answers, and
 * until then the old blob stays, which is not so of the other kind, "Copy Blob". It takes up to 256
 * MiB.
 *
 * The service reads the source as anybody would, so that its URL is signed, too: with the SAS that
 * is configured, or one made of the account's key for this blob alone. Of a token, see request.c.
 */
#include "base/buffer.h"
#include "base/error.h"
#include "net/credentials.h"
#include "net/sign.h"
#include "storage/backends/azure/azure.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { VALID_S = 3600 };

/* Append a signature that lets its bearer read one blob. */
static bool sign_source(const struct lithops__azure *azure, const char *bucket, const char *key,
                        struct lithops__buffer *url)
{
    struct lithops__buffer text = LITHOPS__BUFFER_INIT;
    unsigned char mac[LITHOPS__SHA256_BYTES];
    char end[32], signature[64];
    time_t now = time(NULL) + VALID_S;
    struct tm when;
    strftime(end, sizeof end, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &when));
    /* permissions, start, end, blob, identifier, address, protocol, version, kind; then its
     * snapshot, its encryption, and five headers of the answer: none */
    lithops__buffer_printf(
        &text, "r\n\n%s\n/blob/%s/%s/%s\n\n\n\n" LITHOPS__AZURE_VERSION "\nb\n\n\n\n\n\n\n", end,
        azure->account, bucket, key);
    bool good =
        !text.failed && azure->crypto->hmac_sha256((lithops_bytes){azure->key, azure->key_len},
                                                   (lithops_bytes){text.data, text.len}, mac) == 0;
    lithops__buffer_deinit(&text);
    if (!good)
        return false;
    lithops__base64(mac, sizeof mac, signature);
    lithops__buffer_append_string(url, "?sv=" LITHOPS__AZURE_VERSION "&sr=b&sp=r&se=");
    lithops__url_encode(url, end, strlen(end), false);
    lithops__buffer_append_string(url, "&sig=");
    lithops__url_encode(url, signature, strlen(signature), false);
    return !url->failed;
}

char *lithops__azure_source(const struct lithops__azure *azure, const char *bucket, const char *key)
{
    struct lithops__buffer url = LITHOPS__BUFFER_INIT;
    lithops__buffer_printf(&url, "%s/", azure->endpoint);
    lithops__url_encode(&url, bucket, strlen(bucket), false);
    lithops__buffer_append_string(&url, "/");
    lithops__url_encode(&url, key, strlen(key), true);
    if (azure->sas)
        lithops__buffer_printf(&url, "?%s", azure->sas);
    else if (azure->key && !sign_source(azure, bucket, key, &url))
        url.failed = true;
    char *text = lithops__buffer_steal(&url);
    lithops__buffer_deinit(&url);
    return text;
}

int lithops__azure_copy(void *state, const char *bucket, const char *key, const char *to_bucket,
                        const char *to_key, const lithops_storage_op *op)
{
    struct lithops__azure *azure = state;
    struct lithops__transfer *transfer;
    char *source = lithops__azure_source(azure, bucket, key), *document;
    size_t len;
    if (!source)
        return lithops__fail(op->err, LITHOPS_ENOMEM, "out of memory for a copy");
    const struct lithops__azure_request request = {.method = "PUT",
                                                   .bucket = to_bucket,
                                                   .key = to_key,
                                                   .copy_source = source,
                                                   .has_body = true,
                                                   .body = {"", 0}};
    int rc = lithops__azure_begin(azure, &request, op, &transfer);
    lithops__secret_free(source);
    if (rc)
        return rc;
    const char *status = azure->web.http->header(transfer, "x-ms-copy-status");
    bool is_copied = status && strcmp(status, "success") == 0;
    rc = lithops__web_document(&azure->web, transfer, op, &document, &len);
    if (rc == 0)
        free(document);
    if (rc == 0 && !is_copied) {
        rc = lithops__fail(op->err, LITHOPS_EBACKEND,
                           "azure_storage does not say that '%s/%s' has been copied", bucket, key);
        op->err->retryable = true;
    }
    return rc;
}
