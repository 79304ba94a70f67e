/* SPDX-License-Identifier: Apache-2.0 */
/* One request to Azure's blob service: its URL, its headers, how it is authorized; and turning
 * error responses into errors. Their codes come in a header, also of answers without a body. */
#include "base/buffer.h"
#include "base/error.h"
#include "net/date.h"
#include "net/sign.h"
#include "storage/backends/azure/azure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static bool write_url(const struct lithops__azure *azure,
                      const struct lithops__azure_request *request,
                      struct lithops__web_request *out, char **ret_path)
{
    struct lithops__buffer path = LITHOPS__BUFFER_INIT, url = LITHOPS__BUFFER_INIT;
    const char *authority = strstr(azure->endpoint, "://") + 3, *folder = strchr(authority, '/');
    size_t base_len = folder ? (size_t)(folder - azure->endpoint) : strlen(azure->endpoint);
    lithops__buffer_printf(&path, "%s/", folder ? folder : "");
    lithops__url_encode(&path, request->bucket, strlen(request->bucket), false);
    if (request->key) {
        lithops__buffer_append_string(&path, "/");
        lithops__url_encode(&path, request->key, strlen(request->key), true);
    }
    *ret_path = lithops__buffer_steal(&path);
    lithops__buffer_printf(&url, "%.*s%s", (int)base_len, azure->endpoint,
                           *ret_path ? *ret_path : "");
    char mark = '?';
    for (const struct lithops__azure_parameter *p = request->query; p->name; p++) {
        lithops__buffer_printf(&url, "%c%s=", mark, p->name);
        lithops__url_encode(&url, p->value, strlen(p->value), false);
        mark = '&';
    }
    if (azure->sas)
        lithops__buffer_printf(&url, "%c%s", mark, azure->sas);
    out->url = lithops__buffer_steal(&url);
    return *ret_path && out->url;
}

static const char *type_of(const struct lithops__azure_request *request)
{
    if (!request->has_body)
        return "";
    return request->content_type ? request->content_type : "application/octet-stream";
}

/* What is signed with the account's key. The headers of the service itself, and the query, stand in
 * it in the order of their names. */
static bool write_signed_text(const struct lithops__azure *azure,
                              const struct lithops__azure_request *request, const char *date,
                              const char *path, struct lithops__buffer *text)
{
    lithops__buffer_printf(text, "%s\n\n\n", request->method);
    if (request->body.len)
        lithops__buffer_printf(text, "%zu", request->body.len);
    lithops__buffer_printf(text, "\n\n%s\n\n\n%s\n%s\n\n\n", type_of(request),
                           request->if_match ? request->if_match : "",
                           request->if_none_match ? request->if_none_match : "");
    if (request->blob_type)
        lithops__buffer_printf(text, "x-ms-blob-type:%s\n", request->blob_type);
    if (request->copy_source)
        lithops__buffer_printf(text, "x-ms-copy-source:%s\n", request->copy_source);
    lithops__buffer_printf(text, "x-ms-date:%s\n", date);
    if (request->range)
        lithops__buffer_printf(text, "x-ms-range:%s\n", request->range);
    if (request->copy_source)
        lithops__buffer_append_string(text, "x-ms-requires-sync:true\n");
    lithops__buffer_printf(text, "%s/%s%s",
                           request->is_part ? "" : "x-ms-version:" LITHOPS__AZURE_VERSION "\n",
                           azure->account, path);
    for (const struct lithops__azure_parameter *p = request->query; p->name; p++)
        lithops__buffer_printf(text, "\n%s:%s", p->name, p->value);
    return !text->failed;
}

static bool authorize(const struct lithops__azure *azure,
                      const struct lithops__azure_request *request, const char *date,
                      const char *path, const char *token, struct lithops__web_request *out)
{
    if (token && request->copy_source &&
        !lithops__web_add_bearer(out, "x-ms-copy-source-authorization", token))
        return false;
    if (token)
        return lithops__web_add_bearer(out, "authorization", token);
    if (!azure->key)
        return true; /* the SAS is in the URL */
    struct lithops__buffer text = LITHOPS__BUFFER_INIT;
    unsigned char mac[LITHOPS__SHA256_BYTES];
    char signature[64], value[400];
    bool good = write_signed_text(azure, request, date, path, &text) &&
                azure->crypto->hmac_sha256((lithops_bytes){azure->key, azure->key_len},
                                           (lithops_bytes){text.data, text.len}, mac) == 0;
    lithops__buffer_deinit(&text);
    if (!good)
        return false;
    lithops__base64(mac, sizeof mac, signature);
    snprintf(value, sizeof value, "SharedKey %.256s:%s", azure->account, signature);
    return lithops__web_add_header(out, "authorization", value);
}

bool lithops__azure_prepare(const struct lithops__azure *azure,
                            const struct lithops__azure_request *request, const char *token,
                            struct lithops__web_request *out)
{
    char date[LITHOPS__HTTP_DATE], *path = NULL;
    lithops__http_date_write(time(NULL), date);
    const struct {
        const char *name, *value;
    } headers[] = {{"content-type", request->has_body ? type_of(request) : NULL},
                   {"if-match", request->if_match},
                   {"if-none-match", request->if_none_match},
                   {"x-ms-blob-type", request->blob_type},
                   {"x-ms-copy-source", request->copy_source},
                   {"x-ms-date", date},
                   {"x-ms-range", request->range},
                   {"x-ms-requires-sync", request->copy_source ? "true" : NULL},
                   {"x-ms-version", request->is_part ? NULL : LITHOPS__AZURE_VERSION}};
    bool good = write_url(azure, request, out, &path);
    for (size_t i = 0; good && i < sizeof headers / sizeof *headers; i++)
        good = lithops__web_add_header(out, headers[i].name, headers[i].value);
    good = good && authorize(azure, request, date, path, token, out);
    free(path);
    return good;
}

bool lithops__azure_write_part(const struct lithops__azure *azure,
                               const struct lithops__azure_request *request, const char *token,
                               struct lithops__buffer *out)
{
    struct lithops__web_request part = {.method = request->method};
    bool good = lithops__azure_prepare(azure, request, token, &part);
    const char *host = good ? strstr(part.url, "://") + 3 : "";
    lithops__buffer_printf(out, "%s %s HTTP/1.1\r\n", request->method, host + strcspn(host, "/"));
    for (size_t i = 0; good && i < part.count; i++)
        lithops__buffer_printf(out, "%s\r\n", part.headers[i]);
    lithops__buffer_append_string(out, "Content-Length: 0\r\n\r\n");
    lithops__web_request_deinit(&part);
    return good && !out->failed;
}

/* ---- errors ---------------------------------------------------------------------------------- */

static const struct lithops__web_code codes[] = {
    {"BlobNotFound", LITHOPS_ENOTFOUND, false, NULL},
    {"ContainerNotFound", LITHOPS_ENOTFOUND, false, NULL},
    {"ResourceNotFound", LITHOPS_ENOTFOUND, false, NULL},
    {"AuthenticationFailed", LITHOPS_EDENIED, false,
     "; check the account's name and key, or the token, and this machine's clock"},
    {"InvalidAuthenticationInfo", LITHOPS_EDENIED, false,
     "; check the account's name and key, or the token, which may have expired"},
    {"AuthorizationFailure", LITHOPS_EDENIED, false, "; check the account's name and key"},
    {"AuthorizationPermissionMismatch", LITHOPS_EDENIED, false,
     "; give it the role Storage Blob Data Contributor, or a SAS with the permission"},
    {"AuthorizationProtocolMismatch", LITHOPS_EDENIED, false, "; use https"},
    {"NoAuthenticationInformation", LITHOPS_EDENIED, false,
     "; set storage_account_key, sas_token, token or a login of Microsoft Entra ID"},
    {"BlobAlreadyExists", LITHOPS_EEXIST, false, NULL},
    {"ContainerAlreadyExists", LITHOPS_EEXIST, false, NULL},
    {"ContainerBeingDeleted", LITHOPS_EBACKEND, true, NULL},
    {"ServerBusy", LITHOPS_ETHROTTLED, true, NULL},
    {"InternalError", LITHOPS_EBACKEND, true, NULL},
    {"OperationTimedOut", LITHOPS_EBACKEND, true, NULL},
    {"InvalidResourceName", LITHOPS_EUSAGE, false,
     "; a container's name is 3 to 63 small letters, digits and '-'"},
    {"OutOfRangeInput", LITHOPS_EUSAGE, false,
     "; a container's name is 3 to 63 small letters, digits and '-'"},
    {"InvalidUri", LITHOPS_EUSAGE, false, NULL},
    {.code = NULL},
};

static int fail_status(struct lithops__azure *azure, const struct lithops__azure_request *request,
                       struct lithops__transfer *transfer, const lithops_storage_op *op)
{
    const char *code = azure->web.http->header(transfer, "x-ms-error-code");
    const struct lithops__web_failure failure = {
        .method = request->method,
        .bucket = request->bucket,
        .key = request->key,
        .where = azure->endpoint,
        .status = azure->web.http->answer(transfer)->status,
        .code = code ? code : "",
        .message = "",
        .no_bucket = code && strcmp(code, "ContainerNotFound") == 0};
    if (request->ret_no_bucket)
        *request->ret_no_bucket = failure.no_bucket;
    return lithops__web_fail(&failure, codes, op);
}

/* ---- making it ------------------------------------------------------------------------------- */

static bool refuses_token(struct lithops__azure *azure, struct lithops__transfer *transfer)
{
    long status = azure->web.http->answer(transfer)->status;
    const char *code = azure->web.http->header(transfer, "x-ms-error-code");
    return status == 401 || (status == 403 && code && strcmp(code, "AuthenticationFailed") == 0);
}

/* An attempt with the token of now, if there is one. *ret_again: whether it may be renewed, and
 * then whether to make another. */
static int attempt(struct lithops__azure *azure, const struct lithops__azure_request *request,
                   const lithops_storage_op *op, struct lithops__transfer *transfer,
                   bool *ret_again)
{
    struct lithops__credentials now = {.expires = 0};
    const struct lithops__bounds bounds = {op->deadline_ns, op->interrupted, op->user};
    bool may_renew = *ret_again && azure->tokens;
    *ret_again = false;
    int rc =
        azure->tokens ? lithops__credential_store_get(azure->tokens, &bounds, &now, op->err) : 0;
    if (rc)
        return rc;
    struct lithops__web_request out = {
        .method = request->method, .has_body = request->has_body, .body = request->body};
    rc = lithops__azure_prepare(azure, request, now.bearer, &out)
             ? lithops__web_send(&azure->web, transfer, &out, op)
             : lithops__fail(op->err, LITHOPS_ENOMEM, "out of memory for a request to Azure");
    lithops__web_request_deinit(&out);
    long status = rc ? 0 : azure->web.http->answer(transfer)->status;
    if (may_renew && rc == 0 && refuses_token(azure, transfer))
        *ret_again = lithops__credential_store_expire(azure->tokens, &now);
    lithops__credentials_deinit(&now);
    if (rc || *ret_again)
        return rc;
    if (status >= 300)
        return fail_status(azure, request, transfer, op);
    return azure->web.http->header(transfer, "x-ms-request-id")
               ? 0
               : lithops__web_fail_stranger(&azure->web, transfer, "has no x-ms-request-id", op);
}

int lithops__azure_begin(struct lithops__azure *azure, const struct lithops__azure_request *request,
                         const lithops_storage_op *op, struct lithops__transfer **ret_transfer)
{
    struct lithops__transfer *transfer;
    int rc = lithops__web_take(&azure->web, &transfer, op->err);
    if (rc)
        return rc;
    bool again = true;
    rc = attempt(azure, request, op, transfer, &again);
    if (rc == 0 && again) {
        again = false;
        rc = attempt(azure, request, op, transfer, &again);
    }
    if (rc == 0)
        *ret_transfer = transfer;
    else
        lithops__web_end(&azure->web, transfer);
    return rc;
}

int lithops__azure_do(struct lithops__azure *azure, const struct lithops__azure_request *request,
                      const lithops_storage_op *op)
{
    struct lithops__transfer *transfer;
    char *document;
    size_t len;
    int rc = lithops__azure_begin(azure, request, op, &transfer);
    if (rc == 0)
        rc = lithops__web_document(&azure->web, transfer, op, &document, &len);
    if (rc == 0)
        free(document);
    return rc;
}

int lithops__azure_ask(void *state, const char *method, const char *bucket, const char *key,
                       const char *if_match, const char *range, const lithops_storage_op *op,
                       struct lithops__transfer **ret_transfer)
{
    const struct lithops__azure_request request = {
        .method = method, .bucket = bucket, .key = key, .if_match = if_match, .range = range};
    return lithops__azure_begin(state, &request, op, ret_transfer);
}
