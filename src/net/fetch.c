/* SPDX-License-Identifier: Apache-2.0 */
#include "net/fetch.h"

#include "base/error.h"
#include "net/http.h"

#include <stdlib.h>
#include <string.h>

enum { HEADERS_MAX = 8 };

void lithops__document_free(char *document)
{
    if (document)
        explicit_bzero(document, strlen(document));
    free(document);
}

/* @param most  bytes that `document` has room for, besides a NUL
 * @param used  the most that any attempt has written there */
static int fetch_once(const struct lithops__fetch *fetch, struct lithops__transfer *transfer,
                      long *ret_status, char *document, size_t most, size_t *used,
                      lithops_error *err)
{
    struct lithops__http_request request = LITHOPS__HTTP_REQUEST(fetch->method, fetch->url);
    const char *headers[HEADERS_MAX + 1] = {"Expect:"}; /* or libcurl waits before it sends */
    for (size_t i = 0; fetch->headers && fetch->headers[i] && i + 1 < HEADERS_MAX; i++)
        headers[i + 1] = fetch->headers[i];
    request.headers = headers;
    request.has_body = fetch->body != NULL;
    request.body = (lithops_bytes){fetch->body, fetch->body ? strlen(fetch->body) : 0};
    request.bounds = fetch->bounds;
    size_t len = 0;
    int rc = fetch->http->start(transfer, &request, err);
    if (rc == 0)
        rc = fetch->http->pull(transfer, document, most, &len, err);
    if (rc) {
        *used = most;
        return rc;
    }
    const struct lithops__answer *answer = fetch->http->answer(transfer);
    document[len] = '\0';
    if (answer->status >= 400)
        len = (size_t)snprintf(document, most, "%s", answer->error_text);
    *used = *used > len ? *used : len;
    *ret_status = answer->status;
    if (fetch->on_answer)
        fetch->on_answer(fetch->http, transfer, fetch->user);
    if (answer->status < 500 && answer->status != 429)
        return 0;
    rc = lithops__fail(err, LITHOPS_EBACKEND, "%s answers with status %ld",
                       fetch->http->url(transfer), answer->status);
    err->http_status = (int)answer->status;
    err->retryable = true;
    return rc;
}

int lithops__fetch(const struct lithops__fetch *fetch, long *ret_status, char **ret_document,
                   lithops_error *err)
{
    const struct lithops__http_limits limits = {.connect_timeout_ms = fetch->connect_timeout_ms,
                                                .stall_timeout_ms = 20000};
    struct lithops__retry retry = {.attempts = fetch->attempts ? fetch->attempts : 3,
                                   .first_delay_ms = 100,
                                   .bounds = fetch->bounds};
    struct lithops__transfer *transfer;
    lithops_error error;
    const size_t most = fetch->most_bytes ? fetch->most_bytes : LITHOPS__DOCUMENT_MAX;
    size_t used = 0;
    char *document = malloc(most + 1);
    if (!document)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for an answer");
    int rc = fetch->http->open(&limits, &transfer, err);
    if (rc) {
        free(document);
        return rc;
    }
    do {
        error = (lithops_error)LITHOPS_ERROR_INIT;
        rc = fetch_once(fetch, transfer, ret_status, document, most, &used, &error);
    } while (rc && lithops__retry_again(&retry, &error, 0));
    fetch->http->close(transfer);
    char *shorter = rc ? NULL : strdup(document);
    explicit_bzero(document, used);
    free(document);
    if (rc == 0 && !shorter)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for an answer");
    if (rc) {
        if (err)
            *err = error;
        return error.code;
    }
    *ret_document = shorter;
    return 0;
}
