/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/web_request.h"

#include "base/buffer.h"
#include "base/error.h"
#include "net/credentials.h"
#include "net/http.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { EXPECT_FROM = 1 << 20, LONG_FROM = 1 << 20 };

void lithops__web_request_deinit(struct lithops__web_request *request)
{
    for (size_t i = 0; i < request->count; i++)
        lithops__secret_free((char *)request->headers[i]);
    lithops__secret_free(request->url);
    *request = (struct lithops__web_request){.count = 0};
}

bool lithops__web_add_header(struct lithops__web_request *request, const char *name,
                             const char *value)
{
    struct lithops__buffer text = LITHOPS__BUFFER_INIT;
    if (!value)
        return true;
    if (request->count == LITHOPS__WEB_HEADERS)
        return false;
    LITHOPS__BUFFER_APPEND(&text, name, ": ", value);
    char *header = lithops__buffer_steal(&text);
    if (header)
        request->headers[request->count++] = header;
    return header != NULL;
}

bool lithops__web_add_bearer(struct lithops__web_request *request, const char *name,
                             const char *token)
{
    struct lithops__buffer value = LITHOPS__BUFFER_INIT;
    lithops__buffer_printf(&value, "Bearer %s", token);
    char *text = lithops__buffer_steal(&value);
    bool good = text && lithops__web_add_header(request, name, text);
    lithops__secret_free(text);
    return good;
}

/* A range of an object that has been seen, so that there are as many bytes. */
static bool is_long(const struct lithops__web_request *request)
{
    uint64_t first, last, len = 0;
    bool seen = false;
    for (size_t i = 0; i < request->count; i++) {
        const char *header = request->headers[i];
        seen = seen || strncasecmp(header, "if-match:", 9) == 0;
        if (strncasecmp(header, "range: bytes=", 13) == 0 &&
            sscanf(header + 13, "%" SCNu64 "-%" SCNu64, &first, &last) == 2 && last >= first)
            len = last - first + 1;
    }
    return seen && len >= LONG_FROM && strcmp(request->method, "GET") == 0;
}

int lithops__web_send(struct lithops__web *web, struct lithops__transfer *transfer,
                      struct lithops__web_request *request, const lithops_storage_op *op)
{
    request->headers[request->count] = NULL;
    if (request->is_expected || request->body.len < EXPECT_FROM) {
        /* else libcurl sends "Expect: 100-continue" and waits before it sends the body */
        request->headers[request->count] = "Expect:";
        request->headers[request->count + 1] = NULL;
    }
    struct lithops__http_request http = LITHOPS__HTTP_REQUEST(request->method, request->url);
    http.headers = request->headers;
    http.is_long = is_long(request);
    http.has_body = request->has_body;
    http.body = request->body;
    if (request->file) {
        http.body_fd = request->file->fd;
        http.body_fd_start = request->file->start;
        http.body_fd_len = request->file->len;
    }
    http.bounds = (struct lithops__bounds){op->deadline_ns, op->interrupted, op->user};
    size_t none;
    char byte;
    int rc = web->http->start(transfer, &http, op->err);
    if (rc == 0)
        rc = web->http->pull(transfer, NULL, 0, &none, op->err);
    const struct lithops__answer *answer = web->http->answer(transfer);
    if (rc || answer->status < 300)
        return rc;
    if (answer->retry_after_s > 0)
        *op->retry_after_s = (unsigned)answer->retry_after_s;
    return web->http->pull(transfer, &byte, 1, &none, op->err);
}

/* Without a code that is known. */
static struct lithops__web_code meaning_of(long status)
{
    bool passes = status == 408 || status == 429 ||
                  (status >= 500 && status != 501 && status != 505 && status != 507);
    int means = status == 404 || status == 410   ? LITHOPS_ENOTFOUND
                : status == 401 || status == 403 ? LITHOPS_EDENIED
                : status == 429 || status == 503 ? LITHOPS_ETHROTTLED
                : status == 507                  ? LITHOPS_ENOSPACE
                                                 : LITHOPS_EBACKEND;
    return (struct lithops__web_code){.means = means, .passes = passes};
}

int lithops__web_fail(const struct lithops__web_failure *failure,
                      const struct lithops__web_code *codes, const lithops_storage_op *op)
{
    const struct lithops__web_failure *f = failure;
    struct lithops__web_code meaning = meaning_of(f->status);
    for (; codes && codes->code; codes++)
        if (strcmp(codes->code, f->code) == 0)
            meaning = *codes;
    const char *key = f->key ? f->key : "", *slash = f->key ? "/" : "";
    if (meaning.means == LITHOPS_ENOTFOUND && (f->no_bucket || !f->key))
        lithops__fail(op->err, meaning.means, "no bucket '%s' at %s; create it, or name another",
                      f->bucket, f->where);
    else if (meaning.means == LITHOPS_ENOTFOUND)
        lithops__fail(op->err, meaning.means, "no object '%s' in bucket '%s' at %s", key, f->bucket,
                      f->where);
    else
        lithops__fail(op->err, meaning.means, "%s '%s%s%s' at %s: %s%s%s (HTTP %ld)%s", f->method,
                      f->bucket, slash, key, f->where, f->code, *f->code && *f->message ? ": " : "",
                      f->message, f->status, meaning.advice ? meaning.advice : "");
    op->err->http_status = (int)f->status;
    op->err->retryable = meaning.passes;
    return meaning.means;
}
