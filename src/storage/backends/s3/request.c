/* SPDX-License-Identifier: Apache-2.0 */
/* One request: its URL, its headers, its signature; and turning error responses into errors.
 *
 * Over https the body is not hashed for the signature, since TLS protects its integrity; over http
 * it is. */
#include "base/buffer.h"
#include "base/error.h"
#include "net/sign.h"
#include "storage/backends/s3/s3.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* ---- what is sent ---------------------------------------------------------------------------- */

/* Whether a host name can begin with the bucket, under a certificate for one more level. */
static bool fits_host(const char *bucket)
{
    size_t len = strlen(bucket);
    return len >= 3 && len <= 63 &&
           strspn(bucket, "abcdefghijklmnopqrstuvwxyz0123456789-") == len && bucket[0] != '-' &&
           bucket[len - 1] != '-';
}

static void append_endpoint(const struct lithops__s3 *s3, const char *region,
                            struct lithops__buffer *out)
{
    const char *template = s3->endpoint ? s3->endpoint : s3->dialect->endpoint;
    const char *mark = s3->endpoint ? NULL : strstr(template, "%s");
    if (mark)
        lithops__buffer_printf(out, "%.*s%s%s", (int)(mark - template), template, region, mark + 2);
    else
        lithops__buffer_append_string(out, template);
}

/* Scheme and host of the request, and the path to sign. */
static bool address(const struct lithops__s3 *s3, const struct lithops__s3_request *request,
                    const char *region, char **ret_scheme, char **ret_host, char **ret_path)
{
    struct lithops__buffer base = LITHOPS__BUFFER_INIT, host = LITHOPS__BUFFER_INIT,
                           path = LITHOPS__BUFFER_INIT;
    append_endpoint(s3, region, &base);
    char *endpoint = lithops__buffer_steal(&base);
    if (!endpoint)
        return false;
    char *authority = strstr(endpoint, "://") + 3, *folder = strchr(authority, '/');
    bool in_host = s3->virtual_host && fits_host(request->bucket);
    size_t authority_len = folder ? (size_t)(folder - authority) : strlen(authority);
    if (in_host)
        LITHOPS__BUFFER_APPEND(&host, request->bucket, ".");
    lithops__buffer_append(&host, authority, authority_len);
    lithops__buffer_append_string(&path, folder ? folder : "");
    if (!in_host) {
        lithops__buffer_append_string(&path, "/");
        lithops__url_encode(&path, request->bucket, strlen(request->bucket), false);
    }
    if (in_host || request->key)
        lithops__buffer_append_string(&path, "/");
    if (request->key)
        lithops__url_encode(&path, request->key, strlen(request->key), true);
    *authority = '\0';
    *ret_scheme = endpoint;
    *ret_host = lithops__buffer_steal(&host);
    *ret_path = lithops__buffer_steal(&path);
    if (*ret_host && *ret_path)
        return true;
    free(*ret_scheme);
    free(*ret_host);
    free(*ret_path);
    return false;
}

static bool add_signature(const struct lithops__s3 *s3, const struct lithops__s3_request *request,
                          const struct lithops__credentials *credentials, const char *region,
                          const char *path, const char *payload_hash,
                          struct lithops__web_request *out)
{
    char date[LITHOPS__AMZ_DATE];
    lithops__amz_date(lithops__skew_time(&s3->skew), date);
    if (!lithops__web_add_header(out, "x-amz-date", date) ||
        !lithops__web_add_header(out, "x-amz-content-sha256", payload_hash) ||
        (credentials->session_token &&
         !lithops__web_add_header(out, "x-amz-security-token", credentials->session_token)))
        return false;
    const struct lithops__sign_key key = {.access_key = credentials->access_key,
                                          .secret_key = credentials->secret_key,
                                          .region = region,
                                          .service = "s3"};
    const struct lithops__sign_request to_sign = {.method = request->method,
                                                  .path = path,
                                                  .query = request->query ? request->query : "",
                                                  .headers = out->headers,
                                                  .payload_hash = payload_hash};
    struct lithops__buffer value = LITHOPS__BUFFER_INIT;
    bool good = lithops__sign(s3->crypto, &key, &to_sign, date, &value) == 0;
    char *text = lithops__buffer_steal(&value);
    good = good && text && lithops__web_add_header(out, "authorization", text);
    free(text);
    return good;
}

static int fail_memory(const struct lithops__s3 *s3, lithops_error *err)
{
    return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for a request to %s",
                         s3->dialect->section);
}

/* Piece by piece, each of which is in the CPU's cache when it is hashed. It is read once more when
 * it is sent: that costs less than to keep a part in memory in between. A server that has got other
 * bytes than these refuses them. */
static int hash_file(const struct lithops__s3 *s3, const struct lithops__web_file *file,
                     char ret_hex[LITHOPS__HEX_HASH], lithops_error *err)
{
    enum { PIECE = 128 << 10 };
    unsigned char hash[LITHOPS__DIGEST_MAX] = {0}, *piece = malloc(PIECE);
    struct lithops__digest *digest = s3->crypto->digest_begin(LITHOPS__DIGEST_SHA256);
    ssize_t got = 1;
    int read_errno = 0;
    for (uint64_t done = 0; digest && piece && got > 0 && done < file->len; done += (uint64_t)got) {
        uint64_t left = file->len - done;
        got = pread(file->fd, piece, left < PIECE ? (size_t)left : PIECE,
                    (off_t)(file->start + done));
        if (got > 0)
            s3->crypto->digest_add(digest, (lithops_bytes){piece, (size_t)got});
        else
            read_errno = errno;
    }
    bool good = digest && piece && got > 0;
    if (digest && s3->crypto->digest_end(digest, good ? hash : NULL, NULL) != 0)
        good = false;
    free(piece);
    if (got < 0)
        return lithops__fail_errno(err, read_errno, "cannot read the body");
    if (got == 0)
        return lithops__fail(err, LITHOPS_EIO, "the body became shorter while it was stored");
    if (!good)
        return fail_memory(s3, err);
    lithops__hash_to_hex(hash, ret_hex);
    return 0;
}

static int hash_body(const struct lithops__s3 *s3, const struct lithops__s3_request *request,
                     char ret_hex[LITHOPS__HEX_HASH], lithops_error *err)
{
    if (request->file)
        return hash_file(s3, request->file, ret_hex, err);
    return lithops__hex_sha256(s3->crypto, request->body, ret_hex) == 0 ? 0 : fail_memory(s3, err);
}

static int prepare(const struct lithops__s3 *s3, const struct lithops__s3_request *request,
                   const struct lithops__credentials *credentials, const char *region,
                   struct lithops__web_request *out, lithops_error *err)
{
    char *scheme, *host, *path;
    if (!address(s3, request, region, &scheme, &host, &path))
        return fail_memory(s3, err);
    bool hashed = !credentials->bearer && strcmp(scheme, "https://") != 0;
    char hash[LITHOPS__HEX_HASH] = LITHOPS__UNSIGNED_PAYLOAD;
    int rc = hashed ? hash_body(s3, request, hash, err) : 0;
    bool good = rc == 0 && lithops__web_add_header(out, "host", host);
    for (size_t i = 0; good && i < sizeof request->headers / sizeof *request->headers; i++)
        if (request->headers[i])
            good = (out->headers[out->count++] = strdup(request->headers[i])) != NULL;
    good = good &&
           (credentials->bearer ? lithops__web_add_bearer(out, "authorization", credentials->bearer)
                                : add_signature(s3, request, credentials, region, path, hash, out));
    struct lithops__buffer url = LITHOPS__BUFFER_INIT;
    LITHOPS__BUFFER_APPEND(&url, scheme, host, path, request->query ? "?" : "",
                           request->query ? request->query : "");
    out->url = lithops__buffer_steal(&url);
    free(scheme);
    free(host);
    free(path);
    return rc || (good && out->url) ? rc : fail_memory(s3, err);
}

/* ---- making it ------------------------------------------------------------------------------- */

static int make_once(struct lithops__s3 *s3, const struct lithops__s3_request *request,
                     const struct lithops__credentials *credentials, const char *region,
                     const lithops_storage_op *op, struct lithops__transfer *transfer)
{
    struct lithops__web_request out = {.method = request->method,
                                       .has_body = request->has_body,
                                       .is_expected = request->is_expected,
                                       .body = request->body,
                                       .file = request->file};
    int rc = prepare(s3, request, credentials, region, &out, op->err);
    if (rc == 0)
        rc = lithops__web_send(&s3->web, transfer, &out, op);
    lithops__web_request_deinit(&out);
    return rc;
}

static bool change_region(struct lithops__s3 *s3, struct lithops__transfer *transfer,
                          const struct lithops__s3_error *error, char *region)
{
    const char *named = s3->http->header(transfer, "x-amz-bucket-region");
    if (!named || !*named)
        named = error->region;
    if (!*named || strlen(named) >= LITHOPS__S3_REGION || strcmp(named, region) == 0)
        return false;
    snprintf(region, LITHOPS__S3_REGION, "%s", named);
    pthread_mutex_lock(&s3->lock);
    memcpy(s3->region, region, LITHOPS__S3_REGION);
    pthread_mutex_unlock(&s3->lock);
    return true;
}

static bool have_expired(const struct lithops__s3_error *error, long status)
{
    return strcmp(error->code, "ExpiredToken") == 0 || strcmp(error->code, "InvalidToken") == 0 ||
           strcmp(error->code, "TokenRefreshRequired") == 0 || status == 401;
}

/* What was wrong in an answer, and can be put right; each once. */
struct mended {
    bool clock, region, credentials;
};

static bool mend(struct lithops__s3 *s3, struct lithops__transfer *transfer,
                 const struct lithops__s3_error *error,
                 const struct lithops__credentials *credentials, char *region,
                 struct mended *mended)
{
    long status = s3->http->answer(transfer)->status;
    if (strcmp(error->code, "RequestTimeTooSkewed") == 0 && !mended->clock)
        return mended->clock = lithops__skew_correct(&s3->skew, s3->http->header(transfer, "Date"),
                                                     0, "storage", s3->dialect->section);
    if (have_expired(error, status) && !mended->credentials &&
        lithops__credential_store_expire(s3->credentials, credentials))
        return mended->credentials = true;
    return status < 404 && !mended->region &&
           (mended->region = change_region(s3, transfer, error, region));
}

/* An attempt with the credentials of now. *ret_again: make another. */
static int attempt(struct lithops__s3 *s3, const struct lithops__s3_request *request, char *region,
                   const lithops_storage_op *op, struct lithops__transfer *transfer,
                   struct mended *mended, bool *ret_again)
{
    struct lithops__credentials credentials = {.expires = 0};
    const struct lithops__bounds bounds = {op->deadline_ns, op->interrupted, op->user};
    *ret_again = false;
    int rc = lithops__credential_store_get(s3->credentials, &bounds, &credentials, op->err);
    if (rc)
        return rc;
    rc = make_once(s3, request, &credentials, region, op, transfer);
    const struct lithops__answer *answer = s3->http->answer(transfer);
    if (rc == 0 && answer->status >= 300) {
        struct lithops__s3_error error;
        lithops__s3_read_error(answer->error_text, strlen(answer->error_text), &error);
        *ret_again = mend(s3, transfer, &error, &credentials, region, mended);
        if (!*ret_again)
            rc = lithops__s3_fail(s3, request, answer->status, error.code, error.message, op);
    }
    lithops__credentials_deinit(&credentials);
    return rc;
}

int lithops__s3_begin(struct lithops__s3 *s3, const struct lithops__s3_request *request,
                      const lithops_storage_op *op, struct lithops__transfer **ret_transfer)
{
    struct lithops__transfer *transfer;
    char region[LITHOPS__S3_REGION];
    int rc = lithops__web_take(&s3->web, &transfer, op->err);
    if (rc)
        return rc;
    pthread_mutex_lock(&s3->lock);
    memcpy(region, s3->region, sizeof region);
    pthread_mutex_unlock(&s3->lock);
    struct mended mended = {.clock = false};
    bool again = true;
    while (rc == 0 && again)
        rc = attempt(s3, request, region, op, transfer, &mended, &again);
    if (rc == 0)
        *ret_transfer = transfer;
    else
        lithops__s3_end(s3, transfer);
    return rc;
}

void lithops__s3_end(struct lithops__s3 *s3, struct lithops__transfer *transfer)
{
    lithops__web_end(&s3->web, transfer);
}

int lithops__s3_do(struct lithops__s3 *s3, const struct lithops__s3_request *request,
                   const lithops_storage_op *op)
{
    struct lithops__transfer *transfer;
    char byte;
    size_t got = 0;
    int rc = lithops__s3_begin(s3, request, op, &transfer);
    if (rc)
        return rc;
    rc = s3->http->pull(transfer, &byte, 1, &got, op->err); /* to its end: to keep the connection */
    if (rc == 0 && got)
        rc = lithops__web_fail_stranger(&s3->web, transfer, "has a body", op);
    lithops__s3_end(s3, transfer);
    return rc;
}

int lithops__s3_fetch(struct lithops__s3 *s3, const struct lithops__s3_request *request,
                      const lithops_storage_op *op, char **ret_document, size_t *ret_len)
{
    struct lithops__transfer *transfer;
    int rc = lithops__s3_begin(s3, request, op, &transfer);
    return rc ? rc : lithops__web_document(&s3->web, transfer, op, ret_document, ret_len);
}
