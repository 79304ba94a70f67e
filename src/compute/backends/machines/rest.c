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
    char *body; /* NULL: none; "": one that is empty */
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
    bool is_merge = asking->rest->merges && strcmp(request->method, "PATCH") == 0;
    const char *type = is_merge ? "application/merge-patch+json" : "application/json";
    if (asprintf(&request->url, "%s%s", asking->rest->endpoint, asking->question->path) < 0)
        request->url = NULL;
    request->has_body = asking->body != NULL;
    request->is_expected = true;
    request->body =
        (lithops_bytes){asking->body ? asking->body : "", asking->body ? strlen(asking->body) : 0};
    bool good =
        request->url && now.bearer &&
        lithops__web_add_bearer(request, "authorization", now.bearer) &&
        (!asking->body || !*asking->body || lithops__web_add_header(request, "content-type", type));
    return good ? 0 : lithops__cloud_fail_memory(asking->rest, err);
}

static bool renew(void *user, const char *code)
{
    const struct asking *asking = user;
    const char *const *row = asking->rest->expired;
    while (*row && strcmp(*row, code) != 0)
        row++;
    return *row && lithops__credential_store_expire(asking->rest->tokens, &asking->used);
}

/* The word that services have for an error: {"error": {"errors": [{"reason"}], "status"}} of
 * Google, {"error": {"code"}} of Microsoft, {"errors": [{"code"}]} of IBM. */
static void explain(char *document, char ret_code[LITHOPS__MACHINE_TAG], char ret_text[512])
{
    lithops_value *all = lithops_value_from_json(document, strlen(document), NULL);
    const lithops_value *error = lithops_value_get(all, "error");
    const lithops_value *list = lithops_value_get(error ? error : all, "errors");
    const lithops_value *first = lithops__cloud_first(list);
    const char *words[] = {
        lithops__cloud_setting(first, "reason"), lithops__cloud_setting(first, "code"),
        lithops__cloud_setting(error, "status"), lithops__cloud_setting(error, "code")};
    const char *text = lithops__cloud_setting(error, "message");
    text = text ? text : lithops__cloud_setting(first, "message");
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
                                             .is_whole = strcmp(question->what, rest->makes) == 0,
                                             .prepare = prepare,
                                             .explain = explain,
                                             .codes = rest->codes,
                                             .renew = renew,
                                             .user = &asking};
    lithops_value *answer = NULL;
    bool has_body = strcmp(question->method, "GET") != 0 && strcmp(question->method, "DELETE") != 0;
    bool is_whole = question->path && (question->body || !has_body);
    if (is_whole && lithops_value_type(question->body) == LITHOPS_NULL)
        is_whole = !question->body || (asking.body = strdup("")) != NULL;
    else if (is_whole)
        is_whole = lithops_value_to_json(question->body, &asking.body, NULL) == 0;
    int rc = is_whole ? lithops__cloud_call(&call, &document, &len, err)
                      : lithops__cloud_fail_memory(rest, err);
    if (rc == 0 && ret_answer && !(answer = lithops_value_from_json(document, len, NULL)))
        rc = lithops__fail(err, LITHOPS_EBACKEND,
                           "the answer to %s is not one of %s; is a proxy in between?",
                           question->what, rest->title);
    if (ret_answer)
        *ret_answer = answer;
    free(document);
    free(asking.body);
    free(question->path);
    lithops_value_free(question->body);
    lithops__credentials_deinit(&asking.used);
    return rc;
}

int lithops__cloud_ask_pages(struct lithops__cloud_rest *rest,
                             const struct lithops__cloud_pages *pages, char *path,
                             const struct lithops__bounds *bounds, lithops_error *err)
{
    int rc;
    do {
        lithops_value *answer = NULL;
        char *before = path ? strdup(path) : NULL;
        rc = lithops__cloud_ask(rest,
                                &(struct lithops__cloud_question){"GET", pages->what, path, NULL},
                                bounds, &answer, err);
        path = NULL;
        const lithops_value *items = lithops_value_get(answer, pages->list);
        for (size_t i = 0; rc == 0 && i < lithops_value_size(items); i++)
            pages->visit(lithops_value_at(items, i), pages->state);
        if (rc == 0 && (!before || !pages->next(pages->state, answer, &path)))
            rc = lithops__cloud_fail_memory(rest, err);
        if (path && (rc != 0 || strcmp(path, before) == 0)) { /* it would never end */
            free(path);
            path = NULL;
        }
        free(before);
        lithops_value_free(answer);
    } while (path);
    return rc;
}

/* ---- what they have in common ---------------------------------------------------------------- */

int lithops__cloud_fail_memory(const struct lithops__cloud_rest *rest, lithops_error *err)
{
    return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for a request to %s", rest->title);
}

/* Its host gives out the tokens of machines, over http, and no router knows the way to it. */
static bool is_metadata(const char *url)
{
    static const char host[] = "http://169.254.169.254";
    return strncmp(url, host, sizeof host - 1) == 0 && strchr(":/", url[sizeof host - 1]);
}

int lithops__cloud_rest_find(struct lithops__cloud_rest *rest, const char *otherwise,
                             lithops_error *err)
{
    const char *endpoint = lithops__cloud_setting(rest->settings, "endpoint");
    endpoint = endpoint ? endpoint : otherwise;
    bool is_good =
        (strncmp(endpoint, "http://", 7) == 0 || strncmp(endpoint, "https://", 8) == 0) &&
        !endpoint[strspn(endpoint, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   "0123456789-._~:/[]")];
    if (!is_good)
        return lithops__fail(err, LITHOPS_ECONFIG, "the endpoint '%.100s' of %s is not a URL",
                             endpoint, rest->section);
    if (!lithops__is_safe_url(endpoint) && !is_metadata(endpoint))
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "%s.endpoint is not https: others could read the token",
                             rest->section);
    size_t len = strlen(endpoint);
    while (endpoint[len - 1] == '/')
        len--;
    rest->endpoint = strndup(endpoint, len);
    return rest->endpoint ? 0 : lithops__cloud_fail_memory(rest, err);
}

void lithops__cloud_rest_close(struct lithops__cloud_rest *rest)
{
    lithops__credential_store_free(rest->tokens);
    lithops__web_deinit(&rest->web);
    free(rest->endpoint);
}

const char *lithops__cloud_setting(const lithops_value *settings, const char *key)
{
    const char *text = lithops_value_get_string(lithops_value_get(settings, key));
    return text && *text ? text : NULL;
}

bool lithops__cloud_is_on(const lithops_value *settings, const char *key)
{
    return lithops_value_get_bool(lithops_value_get(settings, key));
}

bool lithops__cloud_is_public(const lithops_value *settings)
{
    const lithops_value *said = lithops_value_get(settings, "worker_public_ip");
    const char *address = lithops__cloud_setting(settings, "ssh_address");
    return said && lithops_value_type(said) == LITHOPS_BOOL
               ? lithops_value_get_bool(said)
               : !address || strcmp(address, "private") != 0;
}

const char *lithops__cloud_text(const lithops_value *map, const char *name)
{
    const char *text = lithops_value_get_string(lithops_value_get(map, name));
    return text ? text : "";
}

const lithops_value *lithops__cloud_first(const lithops_value *list)
{
    return lithops_value_size(list) ? lithops_value_at(list, 0) : NULL;
}

bool lithops__cloud_is_id(const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    size_t first = strspn(text, letters);
    return first > 0 && strlen(text) < LITHOPS__MACHINE_ID &&
           strspn(text + first, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "-_.") == strlen(text + first);
}

lithops_value *lithops__cloud_pack_tags(const lithops__machine_tags tags)
{
    lithops_value *map = lithops_value_map();
    int rc = map ? 0 : LITHOPS_ENOMEM;
    for (size_t i = 0; rc == 0 && i < LITHOPS__TAGS; i++)
        if (tags[i][0])
            rc = lithops_value_set(map, lithops__machine_tag_names[i],
                                   lithops_value_string(tags[i]));
    if (rc == 0)
        return map;
    lithops_value_free(map);
    return NULL;
}

void lithops__cloud_read_tags(const lithops_value *map, lithops__machine_tags ret_tags)
{
    for (size_t i = 0; i < LITHOPS__TAGS; i++)
        snprintf(ret_tags[i], LITHOPS__MACHINE_TAG, "%.100s",
                 lithops__cloud_text(map, lithops__machine_tag_names[i]));
}

enum lithops__machine_state lithops__cloud_state(const struct lithops__cloud_state *rows,
                                                 const char *name)
{
    while (rows->name && strcmp(rows->name, name) != 0)
        rows++;
    return rows->name ? rows->state : LITHOPS__MACHINE_GONE;
}

/* The token is in no argument. */
void lithops__cloud_add_call(struct lithops__buffer *out)
{
    lithops__buffer_append_string(
        out,
        "call() { a=$1 b=$2; shift 2; printf 'header = \"Authorization: Bearer %s\"' \"$t\" |\n"
        "    curl -sf -m 60 --retry 3 -K - -X \"$a\" \"$@\" \"$b\"; }\n");
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
