/* SPDX-License-Identifier: Apache-2.0 */
/* One request to Swift: its URL, its headers, its token; and turning statuses into errors. Swift
 * has no error codes but the status. */
#include "base/buffer.h"
#include "base/error.h"
#include "net/sign.h"
#include "storage/backends/swift/swift.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool write_url(const struct lithops__swift_request *request, const char *endpoint,
                      struct lithops__web_request *out)
{
    struct lithops__buffer url = LITHOPS__BUFFER_INIT;
    lithops__buffer_append_string(&url, endpoint);
    if (request->bucket) {
        lithops__buffer_append_string(&url, "/");
        lithops__url_encode(&url, request->bucket, strlen(request->bucket), false);
    }
    if (request->key) {
        lithops__buffer_append_string(&url, "/");
        lithops__url_encode(&url, request->key, strlen(request->key), true);
    }
    if (request->query)
        lithops__buffer_printf(&url, "?%s", request->query);
    out->url = lithops__buffer_steal(&url);
    return out->url != NULL;
}

static bool prepare(const struct lithops__swift_request *request,
                    const struct lithops__credentials *credentials,
                    struct lithops__web_request *out)
{
    bool good = write_url(request, credentials->endpoint, out) &&
                lithops__web_add_header(out, "X-Auth-Token", credentials->bearer) &&
                lithops__web_add_header(out, "Range", request->range) &&
                lithops__web_add_header(out, "If-Match", request->if_match) &&
                lithops__web_add_header(out, "If-None-Match", request->is_new ? "*" : NULL);
    for (size_t i = 0; good && i < sizeof request->headers / sizeof *request->headers; i++)
        good = lithops__web_add_header(out, request->headers[i].name, request->headers[i].value);
    return good;
}

/* ---- errors ---------------------------------------------------------------------------------- */

static const struct lithops__web_code codes[] = {
    {"401", LITHOPS_EDENIED, false,
     "; check the credentials; a token that was set may have expired"},
    {"403", LITHOPS_EDENIED, false, "; give the user a role in the project, or the permission"},
    {"exists", LITHOPS_EEXIST, false, NULL},
    {"name", LITHOPS_EUSAGE, false,
     "; a key is UTF-8, and no name is longer than the server allows"},
    {"409", LITHOPS_EBACKEND, true, NULL}, /* two requests at once */
    {"413", LITHOPS_ENOSPACE, false, "; raise the quota, or delete objects"},
    {"422", LITHOPS_EBACKEND, true, ": the object arrived damaged"},
    {"498", LITHOPS_ETHROTTLED, true, NULL},
    {.code = NULL},
};

static int fail_status(const struct lithops__swift *swift,
                       const struct lithops__swift_request *request, long status,
                       const lithops_storage_op *op)
{
    char code[24];
    snprintf(code, sizeof code, "%ld", status);
    if (status == 412)
        snprintf(code, sizeof code, "%s", request->is_new || request->if_match ? "exists" : "name");
    else if (status == 400 && request->has_body && !request->query)
        snprintf(code, sizeof code, "name");
    const struct lithops__web_failure failure = {.method = request->method,
                                                 .bucket = request->bucket ? request->bucket : "",
                                                 .key = request->key,
                                                 .where = swift->where,
                                                 .status = status,
                                                 .code = code,
                                                 .message = "",
                                                 /* what is missing when an object is stored */
                                                 .no_bucket = strcmp(request->method, "PUT") == 0};
    return lithops__web_fail(&failure, codes, op);
}

/* ---- making it ------------------------------------------------------------------------------- */

/* An attempt with the token of now. *ret_again: make another. */
static int attempt(struct lithops__swift *swift, const struct lithops__swift_request *request,
                   const lithops_storage_op *op, struct lithops__transfer *transfer,
                   bool *ret_again)
{
    struct lithops__credentials credentials = {.expires = 0};
    const struct lithops__bounds bounds = {op->deadline_ns, op->interrupted, op->user};
    bool may_renew = *ret_again;
    *ret_again = false;
    int rc = lithops__credential_store_get(swift->credentials, &bounds, &credentials, op->err);
    if (rc)
        return rc;
    struct lithops__web_request out = {
        .method = request->method, .has_body = request->has_body, .body = request->body};
    rc = prepare(request, &credentials, &out)
             ? lithops__web_send(&swift->web, transfer, &out, op)
             : lithops__fail(op->err, LITHOPS_ENOMEM, "out of memory for a request to Swift");
    lithops__web_request_deinit(&out);
    long status = rc ? 0 : swift->web.http->answer(transfer)->status;
    if (status == 401 && may_renew)
        *ret_again = lithops__credential_store_expire(swift->credentials, &credentials);
    lithops__credentials_deinit(&credentials);
    if (rc || *ret_again)
        return rc;
    if (status >= 300)
        return fail_status(swift, request, status, op);
    return swift->web.http->header(transfer, "X-Trans-Id")
               ? 0
               : lithops__web_fail_stranger(&swift->web, transfer, "has no X-Trans-Id", op);
}

int lithops__swift_begin(struct lithops__swift *swift, const struct lithops__swift_request *request,
                         const lithops_storage_op *op, struct lithops__transfer **ret_transfer)
{
    struct lithops__transfer *transfer;
    int rc = lithops__web_take(&swift->web, &transfer, op->err);
    if (rc)
        return rc;
    bool again = true;
    rc = attempt(swift, request, op, transfer, &again);
    if (rc == 0 && again) {
        again = false;
        rc = attempt(swift, request, op, transfer, &again);
    }
    if (rc == 0)
        *ret_transfer = transfer;
    else
        lithops__web_end(&swift->web, transfer);
    return rc;
}

int lithops__swift_do(struct lithops__swift *swift, const struct lithops__swift_request *request,
                      const lithops_storage_op *op)
{
    struct lithops__transfer *transfer;
    char *document;
    size_t len;
    int rc = lithops__swift_begin(swift, request, op, &transfer);
    if (rc == 0)
        rc = lithops__web_document(&swift->web, transfer, op, &document, &len);
    if (rc == 0)
        free(document);
    return rc;
}

int lithops__swift_ask(void *state, const char *method, const char *bucket, const char *key,
                       const char *if_match, const char *range, const lithops_storage_op *op,
                       struct lithops__transfer **ret_transfer)
{
    const struct lithops__swift_request request = {
        .method = method, .bucket = bucket, .key = key, .if_match = if_match, .range = range};
    return lithops__swift_begin(state, &request, op, ret_transfer);
}
