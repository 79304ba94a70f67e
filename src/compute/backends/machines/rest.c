/* SPDX-License-Identifier: Apache-2.0 */
/* Clouds whose API is JSON with a bearer's token. */
#include "base/error.h"
#include "base/thread.h"
#include "compute/backends/machines/machines.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE_BY_SIDE = 16 };

/* ---- one request ----------------------------------------------------------------------------- */

struct asking {
    struct lithops__cloud_rest *rest;
    const struct lithops__cloud_question *question;
    char *body; /* NULL: none */
    struct lithops__credentials used;
};

static int prepare(void *user, const struct lithops__bounds *bounds,
                   struct lithops__web_request *request, lithops_error *err)
{
    struct asking *asking = user;
    struct lithops__credentials now = {.expires = 0};
    int rc = lithops__credential_store_get(asking->rest->tokens, bounds, &now, err);
    if (rc != 0)
        return rc;
    lithops__credentials_deinit(&asking->used);
    asking->used = now;
    request->method = asking->question->method;
    request->url = strdup(asking->question->url);
    request->has_body = asking->body != NULL;
    request->is_expected = true;
    request->body =
        (lithops_bytes){asking->body ? asking->body : "", asking->body ? strlen(asking->body) : 0};
    bool good =
        request->url && now.bearer &&
        lithops__web_add_bearer(request, "authorization", now.bearer) &&
        (!asking->body || lithops__web_add_header(request, "content-type", "application/json"));
    return good ? 0
                : lithops__fail(err, LITHOPS_ENOMEM, "out of memory for a request to %s",
                                asking->rest->title);
}

static bool renew(void *user, const char *code)
{
    const struct asking *asking = user;
    const char *const *row = asking->rest->expired;
    while (*row && strcmp(*row, code) != 0)
        row++;
    return *row && lithops__credential_store_expire(asking->rest->tokens, &asking->used);
}

static const char *text_at(const lithops_value *map, const char *name)
{
    const char *text = lithops_value_get_string(lithops_value_get(map, name));
    return text && *text ? text : NULL;
}

/* The word that services have for an error: {"error": {"errors": [{"reason"}], "status"}} of
 * Google, {"error": {"code"}} of Microsoft, {"errors": [{"code"}]} of IBM. */
static void explain(char *document, char ret_code[LITHOPS__MACHINE_TAG], char ret_text[512])
{
    lithops_value *all = lithops_value_from_json(document, strlen(document), NULL);
    const lithops_value *error = lithops_value_get(all, "error");
    const lithops_value *list = lithops_value_get(error ? error : all, "errors");
    const lithops_value *first = lithops_value_size(list) ? lithops_value_at(list, 0) : NULL;
    const char *words[] = {text_at(first, "reason"), text_at(first, "code"),
                           text_at(error, "status"), text_at(error, "code")};
    const char *text = text_at(error, "message");
    text = text ? text : text_at(first, "message");
    for (size_t i = 0; !ret_code[0] && i < sizeof words / sizeof *words; i++)
        if (words[i])
            snprintf(ret_code, LITHOPS__MACHINE_TAG, "%s", words[i]);
    if (text)
        snprintf(ret_text, 512, "%.400s", text);
    else if (!ret_code[0])
        snprintf(ret_text, 200, "%.*s", (int)strcspn(document, "\r\n"), document);
    lithops_value_free(all);
}

int lithops__cloud_ask(struct lithops__cloud_rest *rest,
                       const struct lithops__cloud_question *question,
                       const struct lithops__bounds *bounds, lithops_value **ret_answer,
                       lithops_error *err)
{
    struct asking asking = {.rest = rest, .question = question};
    char *document = NULL;
    size_t len = 0;
    const struct lithops__cloud_call call = {.web = &rest->web,
                                             .title = rest->title,
                                             .what = question->what,
                                             .bounds = *bounds,
                                             .is_whole = question->is_whole,
                                             .prepare = prepare,
                                             .explain = explain,
                                             .codes = rest->codes,
                                             .renew = renew,
                                             .user = &asking};
    lithops_value *answer = NULL;
    int rc = 0;
    if (question->body && lithops_value_to_json(question->body, &asking.body, NULL) != 0)
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory for a request to %s", rest->title);
    if (rc == 0)
        rc = lithops__cloud_call(&call, &document, &len, err);
    if (rc == 0 && ret_answer && !(answer = lithops_value_from_json(document, len, NULL)))
        rc = lithops__fail(err, LITHOPS_EBACKEND,
                           "the answer to %s is not one of %s; is a proxy in between?",
                           question->what, rest->title);
    if (ret_answer)
        *ret_answer = answer;
    free(document);
    free(asking.body);
    lithops__credentials_deinit(&asking.used);
    return rc;
}

/* ---- many of them ---------------------------------------------------------------------------- */

struct many {
    void *state;
    const char *const *ids;
    size_t count;
    const struct lithops__bounds *bounds;
    lithops__cloud_one *one;
    atomic_size_t next;
    pthread_mutex_t lock;
    /* under lock */
    lithops_error error; /* of the first that failed, or was cancelled */
    const char *which;   /* has that error */
    size_t failed;
};

static void *work(void *user)
{
    struct many *many = user;
    size_t i;
    while ((i = atomic_fetch_add(&many->next, 1)) < many->count) {
        lithops_error error = LITHOPS_ERROR_INIT;
        int rc = many->one(many->state, many->ids[i], many->bounds, &error);
        pthread_mutex_lock(&many->lock);
        bool has_failed = rc != 0 && rc != LITHOPS_ENOTFOUND;
        many->failed += has_failed;
        if (has_failed && (!many->error.code || rc == LITHOPS_ECANCELED)) {
            many->error = error;
            many->which = many->ids[i];
        }
        pthread_mutex_unlock(&many->lock);
    }
    return NULL;
}

int lithops__cloud_each(void *state, const char *const *ids, size_t count,
                        const struct lithops__bounds *bounds, lithops__cloud_one *one,
                        lithops_error *err)
{
    struct many many = {.state = state,
                        .ids = ids,
                        .count = count,
                        .bounds = bounds,
                        .one = one,
                        .lock = PTHREAD_MUTEX_INITIALIZER,
                        .error = LITHOPS_ERROR_INIT};
    pthread_t threads[SIDE_BY_SIDE];
    size_t started = 0;
    while (started + 1 < count && started < SIDE_BY_SIDE &&
           lithops__thread_start(&threads[started], work, &many) == 0)
        started++;
    (void)work(&many);
    while (started)
        pthread_join(threads[--started], NULL);
    pthread_mutex_destroy(&many.lock);
    if (!many.error.code)
        return 0;
    *err = many.error;
    if (many.failed > 1)
        snprintf(err->message, sizeof err->message, "%.150s and %zu others: %.450s", many.which,
                 many.failed - 1, many.error.message);
    else if (count > 1)
        snprintf(err->message, sizeof err->message, "%.150s: %.450s", many.which,
                 many.error.message);
    return err->code;
}
