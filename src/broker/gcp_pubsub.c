/* SPDX-License-Identifier: Apache-2.0 */
/* Google Cloud Pub/Sub, by its HTTP API. A queue is a topic and a subscription of the same name.
 * Tokens are those of a service account's key, or of the machine. */
#include "base/error.h"
#include "base/module.h"
#include "broker/queue.h"
#include "net/aws_remote.h"
#include "net/http.h"
#include "net/oauth.h"
#include "net/sign.h"

#include <stdlib.h>
#include <string.h>

/* The service waits for as long as it likes: "a bounded amount of time". */
enum { WAIT_S = 90, RECEIPTS = 64, MESSAGES = 64 };
#define VISIBLE_S 300 /* a message that was taken is not seen by others so long */
#define LIFE_S "3600s"
#define FORGOTTEN_S "86400s" /* a subscription that nobody uses is deleted; the least there is */

struct gcp_pubsub {
    struct lithops__credential_store *tokens; /* NULL: an emulator's, which wants none */
    struct lithops__credentials used;         /* by the last request */
    char *endpoint;                           /* without '/' at its end */
    char *project;
};

static int fail_memory(lithops_error *err)
{
    return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for a request to Google Pub/Sub");
}

static const char *text_of(const lithops_value *settings, const char *name)
{
    const char *text = lithops_value_get_string(lithops_value_get(settings, name));
    return text && *text ? text : NULL;
}

/* ---- opening --------------------------------------------------------------------------------- */

static int find_endpoint(struct gcp_pubsub *pubsub, const char *given, const char *emulator,
                         lithops_error *err)
{
    struct lithops__buffer text = LITHOPS__BUFFER_INIT;
    size_t len = given ? strlen(given) : 0;
    while (len && given[len - 1] == '/')
        len--;
    if (given)
        lithops__buffer_append(&text, given, len);
    else if (emulator)
        lithops__buffer_printf(&text, "http://%s", emulator);
    else
        lithops__buffer_append_string(&text, "https://pubsub.googleapis.com");
    pubsub->endpoint = lithops__buffer_steal(&text);
    if (!pubsub->endpoint)
        return fail_memory(err);
    return strncmp(pubsub->endpoint, "http://", 7) == 0 ||
                   strncmp(pubsub->endpoint, "https://", 8) == 0
               ? 0
               : lithops__fail(err, LITHOPS_ECONFIG,
                               "the endpoint of 'gcp_pubsub' must begin with http:// or https://");
}

static int find_tokens(struct gcp_pubsub *pubsub, const lithops_value *settings,
                       const struct lithops__http_api *http, char **ret_project, lithops_error *err)
{
    const struct lithops__crypto_api *crypto =
        lithops__module_symbol("crypto", "lithops__crypto", err);
    const char *path = text_of(settings, "credentials_path");
    path = path ? path : lithops__environment("GOOGLE_APPLICATION_CREDENTIALS");
    if (!crypto)
        return LITHOPS_EUNSUPPORTED;
    return path ? lithops__google_open(&http->transfer, crypto, path, LITHOPS__GOOGLE_PUBSUB,
                                       &pubsub->tokens, ret_project, err)
                : lithops__google_machine_open(&http->transfer, &pubsub->tokens, err);
}

static int pubsub_open(void *state, const lithops_value *settings, lithops_error *err)
{
    struct gcp_pubsub *pubsub = state;
    const struct lithops__http_api *http = lithops__module_symbol("http", "lithops__http", err);
    const char *project = text_of(settings, "project_name"), *given = text_of(settings, "endpoint"),
               *emulator = given ? NULL : lithops__environment("PUBSUB_EMULATOR_HOST");
    char *own = NULL; /* the account's */
    if (!http)
        return LITHOPS_EUNSUPPORTED;
    int rc = find_endpoint(pubsub, given, emulator, err);
    if (rc == 0 && !emulator)
        rc = find_tokens(pubsub, settings, http, &own, err);
    project = project ? project : own;
    if (rc == 0 && !project)
        rc = lithops__fail(err, LITHOPS_ECONFIG,
                           "'monitoring: gcp_pubsub' needs a project: set project_name in the "
                           "section 'gcp_pubsub' or 'gcp'");
    else if (rc == 0 && strpbrk(project, "/?#% \r\n"))
        rc = lithops__fail(err, LITHOPS_ECONFIG,
                           "project_name of 'gcp_pubsub' contains an invalid character");
    else if (rc == 0 && !(pubsub->project = strdup(project)))
        rc = fail_memory(err);
    free(own);
    return rc;
}

static void pubsub_close(void *state)
{
    struct gcp_pubsub *pubsub = state;
    lithops__credential_store_free(pubsub->tokens);
    lithops__credentials_deinit(&pubsub->used);
    free(pubsub->endpoint);
    free(pubsub->project);
}

static const char *pubsub_where(const void *state)
{
    return ((const struct gcp_pubsub *)state)->endpoint;
}

/* ---- requests -------------------------------------------------------------------------------- */

static const struct {
    const char *method, *kind, *verb;
} shapes[LITHOPS__QUEUE_STEPS] = {
    [LITHOPS__QUEUE_MAKE] = {"PUT", "topics", ""},
    [LITHOPS__QUEUE_MAKE_MORE] = {"PUT", "subscriptions", ""},
    [LITHOPS__QUEUE_RECEIVE] = {"POST", "subscriptions", ":pull"},
    [LITHOPS__QUEUE_SEND] = {"POST", "topics", ":publish"},
    [LITHOPS__QUEUE_FORGET] = {"POST", "subscriptions", ":acknowledge"},
    [LITHOPS__QUEUE_DROP_MORE] = {"DELETE", "subscriptions", ""},
    [LITHOPS__QUEUE_DROP] = {"DELETE", "topics", ""},
    [LITHOPS__QUEUE_LIST] = {"GET", "topics", ""},
};

static bool write_url(const struct gcp_pubsub *pubsub,
                      const struct lithops__queue_question *question,
                      struct lithops__web_request *out)
{
    struct lithops__buffer url = LITHOPS__BUFFER_INIT;
    bool is_list = question->step == LITHOPS__QUEUE_LIST;
    lithops__buffer_printf(&url, "%s/v1/projects/%s/%s", pubsub->endpoint, pubsub->project,
                           shapes[question->step].kind);
    if (is_list)
        lithops__buffer_append_string(&url, "?pageSize=1000");
    else
        lithops__buffer_printf(&url, "/%s%s", question->name, shapes[question->step].verb);
    if (is_list && question->after) {
        lithops__buffer_append_string(&url, "&pageToken=");
        lithops__url_encode(&url, question->after, strlen(question->after), false);
    }
    out->method = shapes[question->step].method;
    out->url = lithops__buffer_steal(&url);
    return out->url != NULL;
}

static lithops_value *list_receipts(const struct lithops__queue_question *question)
{
    lithops_value *list = lithops_value_list();
    int rc = list ? 0 : LITHOPS_ENOMEM;
    for (size_t i = 0; rc == 0 && i < question->count; i++)
        rc = lithops_value_append(list, lithops_value_string(question->receipts[i]));
    if (rc == 0)
        return list;
    lithops_value_free(list);
    return NULL;
}

static lithops_value *write_subscription(const struct gcp_pubsub *pubsub, const char *name)
{
    struct lithops__buffer topic = LITHOPS__BUFFER_INIT;
    lithops__buffer_printf(&topic, "projects/%s/topics/%s", pubsub->project, name);
    char *text = lithops__buffer_steal(&topic);
    lithops_value *value =
        text ? lithops_pack("{s:s,s:i,s:s,s:{s:s}}", "topic", text, "ackDeadlineSeconds", VISIBLE_S,
                            "messageRetentionDuration", LIFE_S, "expirationPolicy", "ttl",
                            FORGOTTEN_S)
             : NULL;
    free(text);
    return value;
}

/* NULL: out of memory. */
static lithops_value *write_question(const struct gcp_pubsub *pubsub,
                                     const struct lithops__queue_question *question)
{
    lithops_value *receipts;
    switch (question->step) {
    case LITHOPS__QUEUE_MAKE_MORE:
        return write_subscription(pubsub, question->name);
    case LITHOPS__QUEUE_RECEIVE:
        return lithops_pack("{s:i}", "maxMessages", MESSAGES);
    case LITHOPS__QUEUE_SEND:
        return lithops_pack("{s:[{s:s}]}", "messages", "data", question->text);
    case LITHOPS__QUEUE_FORGET:
        receipts = list_receipts(question);
        return receipts ? lithops_pack("{s:o}", "ackIds", receipts) : NULL;
    default:
        return lithops_value_map();
    }
}

static bool write_body(const struct gcp_pubsub *pubsub,
                       const struct lithops__queue_question *question,
                       struct lithops__queue_request *out)
{
    const char *method = shapes[question->step].method;
    char *text = NULL;
    if (strcmp(method, "GET") == 0 || strcmp(method, "DELETE") == 0)
        return true;
    lithops_value *value = write_question(pubsub, question);
    bool good = value && lithops_value_to_json(value, &text, NULL) == 0;
    lithops_value_free(value);
    if (good)
        lithops__buffer_append_string(&out->body, text);
    free(text);
    return good && lithops__web_add_header(&out->web, "content-type", "application/json");
}

static int pubsub_ask(void *state, const struct lithops__queue_question *question,
                      const struct lithops__bounds *bounds, struct lithops__queue_request *out,
                      lithops_error *err)
{
    struct gcp_pubsub *pubsub = state;
    struct lithops__credentials now = {.expires = 0};
    int rc = pubsub->tokens ? lithops__credential_store_get(pubsub->tokens, bounds, &now, err) : 0;
    if (rc)
        return rc;
    bool good = write_url(pubsub, question, &out->web) && write_body(pubsub, question, out) &&
                (!now.bearer || lithops__web_add_bearer(&out->web, "authorization", now.bearer));
    lithops__credentials_deinit(&pubsub->used);
    pubsub->used = now;
    return good ? 0 : fail_memory(err);
}

static bool pubsub_renew(void *state, const char *code, const char *header)
{
    const struct gcp_pubsub *pubsub = state;
    (void)header;
    return pubsub->tokens && strcmp(code, "UNAUTHENTICATED") == 0 &&
           lithops__credential_store_expire(pubsub->tokens, &pubsub->used);
}

/* ---- answers --------------------------------------------------------------------------------- */

static void read_messages(const lithops_value *document, const struct lithops__queue_reader *reader)
{
    const lithops_value *messages = lithops_value_get(document, "receivedMessages");
    for (size_t i = 0; i < lithops_value_size(messages); i++) {
        const lithops_value *one = lithops_value_at(messages, i);
        const char *data = lithops_value_get_string(
                       lithops_value_get(lithops_value_get(one, "message"), "data")),
                   *receipt = lithops_value_get_string(lithops_value_get(one, "ackId"));
        char *text = receipt ? strdup(data ? data : "") : NULL;
        if (text && reader->message)
            reader->message(text, receipt, reader->user);
        free(text);
    }
}

static void read_names(const lithops_value *document, const struct lithops__queue_reader *reader)
{
    const lithops_value *topics = lithops_value_get(document, "topics");
    const char *after = lithops_value_get_string(lithops_value_get(document, "nextPageToken"));
    for (size_t i = 0; i < lithops_value_size(topics); i++) {
        const char *name =
            lithops_value_get_string(lithops_value_get(lithops_value_at(topics, i), "name"));
        const char *slash = name ? strrchr(name, '/') : NULL;
        if (slash && reader->name)
            reader->name(slash + 1, reader->user);
    }
    if (after && *after && reader->after)
        reader->after(after, reader->user);
}

static bool pubsub_read(void *state, enum lithops__queue_step step, char *text, size_t len,
                        const struct lithops__queue_reader *reader)
{
    (void)state;
    lithops_value *document = lithops_value_from_json(text, len, NULL);
    bool good = document && lithops_value_type(document) == LITHOPS_MAP;
    if (good && step == LITHOPS__QUEUE_RECEIVE)
        read_messages(document, reader);
    if (good && step == LITHOPS__QUEUE_LIST)
        read_names(document, reader);
    lithops_value_free(document);
    return good;
}

/* {"error": {"status": "NOT_FOUND"}}. A long message, whose beginning is cut off, has none. */
static void pubsub_explain(const char *header, const char *text, char ret_code[LITHOPS__QUEUE_CODE])
{
    (void)header;
    lithops_value *document = lithops_value_from_json(text, strlen(text), NULL);
    const char *code =
        lithops_value_get_string(lithops_value_get(lithops_value_get(document, "error"), "status"));
    snprintf(ret_code, LITHOPS__QUEUE_CODE, "%s", code ? code : "");
    lithops_value_free(document);
}

static const struct lithops__web_code codes[] = {
    {"NOT_FOUND", LITHOPS_ENOTFOUND, false, NULL},
    {"ALREADY_EXISTS", LITHOPS_EEXIST, false, NULL},
    {"PERMISSION_DENIED", LITHOPS_EDENIED, false, NULL},
    {"UNAUTHENTICATED", LITHOPS_EDENIED, false, "; check credentials_path"},
    {"RESOURCE_EXHAUSTED", LITHOPS_ETHROTTLED, true, NULL},
    {"DEADLINE_EXCEEDED", LITHOPS_ETIMEDOUT, true, NULL},
    {"UNAVAILABLE", LITHOPS_EBACKEND, true, NULL},
    {"INTERNAL", LITHOPS_EBACKEND, true, NULL},
    {.code = NULL},
};

const struct lithops__queue_service lithops__queue_gcp_pubsub = {
    .name = "gcp_pubsub",
    .state_size = sizeof(struct gcp_pubsub),
    .has_more = true,
    .wait_s = WAIT_S,
    .receipts = RECEIPTS,
    .codes = codes,
    .needs = {[LITHOPS__QUEUE_MAKE] = "pubsub.topics.create",
              [LITHOPS__QUEUE_MAKE_MORE] =
                  "pubsub.subscriptions.create, and pubsub.topics.attachSubscription",
              [LITHOPS__QUEUE_RECEIVE] = "pubsub.subscriptions.consume",
              [LITHOPS__QUEUE_SEND] = "pubsub.topics.publish",
              [LITHOPS__QUEUE_FORGET] = "pubsub.subscriptions.consume",
              [LITHOPS__QUEUE_DROP_MORE] = "pubsub.subscriptions.delete",
              [LITHOPS__QUEUE_DROP] = "pubsub.topics.delete",
              [LITHOPS__QUEUE_LIST] = "pubsub.topics.list"},
    .open = pubsub_open,
    .close = pubsub_close,
    .where = pubsub_where,
    .ask = pubsub_ask,
    .read = pubsub_read,
    .explain = pubsub_explain,
    .renew = pubsub_renew,
};

LITHOPS__QUEUE_DRIVER(gcp_pubsub, 0, "gcp")
