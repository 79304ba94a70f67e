/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"
#include "compute/backends/machines/machines.h"

#include <string.h>

/* Pauses add up to half a minute; one that takes its time is asked until the bounds end. */
enum { TRIES = 8, SLOW_TRIES = 100, FIRST_DELAY_MS = 200 };

static struct lithops__web_code meaning_of(const struct lithops__web_code *codes, const char *code,
                                           long status)
{
    for (const struct lithops__web_code *row = codes; row->code; row++)
        if (strcmp(row->code, code) == 0)
            return *row;
    return (struct lithops__web_code){.means = status == 404   ? LITHOPS_ENOTFOUND
                                               : status == 401 ? LITHOPS_EDENIED
                                               : status == 403 ? LITHOPS_EDENIED
                                               : status == 409 ? LITHOPS_EEXIST
                                               : status == 429 ? LITHOPS_ETHROTTLED
                                               : status >= 500 ? LITHOPS_EBACKEND
                                                               : LITHOPS_ECONFIG,
                                      .passes = status == 429 || status >= 500};
}

int lithops__cloud_refuse(const char *title, const char *what,
                          const struct lithops__web_code *codes, const char *code, const char *text,
                          long status, lithops_error *err)
{
    const struct lithops__web_code meaning = meaning_of(codes, code, status);
    char number[32] = "";
    if (status)
        snprintf(number, sizeof number, " (HTTP %ld)", status);
    lithops__fail(err, meaning.means, "%s refuses %s: %s%s%s%s%s", title, what, code,
                  *code && *text ? ": " : "", text, number, meaning.advice ? meaning.advice : "");
    err->http_status = (int)status;
    err->retryable = meaning.passes;
    return meaning.means;
}

static int fail(const struct lithops__cloud_call *call, const struct lithops__answer *answer,
                bool *renewed, lithops_error *err)
{
    char document[LITHOPS__HTTP_ERROR_TEXT + 1], code[LITHOPS__MACHINE_TAG] = "", text[512] = "";
    snprintf(document, sizeof document, "%s", answer->error_text ? answer->error_text : "");
    call->explain(document, code, text);
    int rc = lithops__cloud_refuse(call->title, call->what, call->codes, code, text, answer->status,
                                   err);
    if (rc == LITHOPS_EDENIED && !*renewed && call->renew(call->user, code))
        *renewed = err->retryable = true;
    return rc;
}

static int call_once(const struct lithops__cloud_call *call, bool *renewed, unsigned *ret_after_s,
                     char **ret_document, size_t *ret_len, lithops_error *err)
{
    struct lithops__web_request request = {.method = NULL};
    struct lithops__transfer *transfer = NULL;
    const lithops_storage_op op = {.deadline_ns = call->bounds.deadline_ns,
                                   .interrupted = call->is_whole ? NULL : call->bounds.interrupted,
                                   .user = call->bounds.user,
                                   .err = err,
                                   .retry_after_s = ret_after_s};
    int rc = lithops__bounds_check(&call->bounds, err);
    if (rc == 0)
        rc = call->prepare(call->user, &call->bounds, &request, err);
    if (rc == 0)
        rc = lithops__web_take(call->web, &transfer, err);
    if (rc == 0) {
        rc = lithops__web_send(call->web, transfer, &request, &op);
        const struct lithops__answer *answer = call->web->http->answer(transfer);
        if (rc == 0 && answer->status < 300)
            rc = lithops__web_document(call->web, transfer, &op, ret_document, ret_len);
        else {
            rc = rc ? rc : fail(call, answer, renewed, err);
            lithops__web_end(call->web, transfer);
        }
    }
    lithops__web_request_deinit(&request);
    return rc;
}

int lithops__cloud_call(const struct lithops__cloud_call *call, char **ret_document,
                        size_t *ret_len, lithops_error *err)
{
    struct lithops__retry retry = {
        .attempts = TRIES, .first_delay_ms = FIRST_DELAY_MS, .bounds = call->bounds};
    bool renewed = false;
    lithops_error error;
    unsigned after_s;
    int rc;
    do {
        error = (lithops_error)LITHOPS_ERROR_INIT;
        after_s = 0;
        rc = call_once(call, &renewed, &after_s, ret_document, ret_len, &error);
        retry.attempts = rc == LITHOPS_ETHROTTLED ? SLOW_TRIES : TRIES;
    } while (rc != 0 && lithops__retry_again(&retry, &error, after_s <= 60 ? 1000 * after_s : 0));
    if (rc == 0)
        return 0;
    if (err)
        *err = error;
    return error.code;
}
