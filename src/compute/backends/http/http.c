/* SPDX-License-Identifier: Apache-2.0 */
/* Services that give a container of ours HTTP requests, and run as many of it as there are
 * requests: Knative, and what is like it. They differ by name, by how long a request may take
 * (config_keys.c), and by how it says who makes it; all else is here. docs/serverless.md tells what
 * the container runs.
 *
 * Those that run actions of OpenWhisk take the same requests by another API (whisk.h): the answer
 * to one is the name of an activation, which is asked for now and then how it has ended. Oracle's
 * functions (oracle.h) are invoked alike, and nobody says how they end.
 *
 * A worker is one POST. Its body is the key of its link and its configuration, sealed
 * (net/activation.h). It is answered as soon as the worker runs there, and stays open as long as it
 * works: so its end is the worker's end, and ending it ends the worker. Requests that were not
 * answered, or with what may pass, are made again, each sealed anew, until `start_timeout`. Of two
 * workers that were started for one link by that, only one gets calls (carrier/worker.c). */
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/module.h"
#include "compute/backends/http/functions.h"
#include "compute/backends/http/service.h"
#include "compute/limits.h"
#include "compute/linked.h"
#include "compute/oci/oci.h"
#include "net/activation.h"
#include "net/fetch.h"

#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_DELAY_MS = 100 };
static const uint64_t look_ns = 2000000000; /* between two looks at an activation of OpenWhisk */
static const uint64_t no_look_ns = 30000000000; /* after one for which there was no token */

/* ---- opening --------------------------------------------------------------------------------- */

static void http_close(void *state)
{
    lithops__service_close(state);
}

static int http_open(const lithops_link_driver *driver, void *state, const lithops_value *settings,
                     const char *program, lithops_workers *ret_workers, lithops_error *err)
{
    struct lithops__service *http = state;
    (void)program;
    http->backend = driver->name;
    int rc = lithops__service_settings(http, settings, err);
    if (rc == 0)
        rc = lithops__service_open(http, err);
    if (rc != 0) {
        http_close(http);
        return rc;
    }
    const lithops_value *processes = lithops_value_get(settings, "worker_processes");
    if (lithops_value_type(processes) == LITHOPS_INT)
        ret_workers->worker_processes = (uint32_t)lithops_value_get_int(processes);
    ret_workers->workers = http->count;
    ret_workers->through_storage = true;
    ret_workers->ends_when_told = true; /* hanging up tells it, too, but waits for nothing */
    if (http->is_oracle)
        ret_workers->lost_timeout_ms =
            1000 *
            (uint32_t)lithops_value_get_int(lithops_value_get(settings, "worker_lost_timeout"));
    ret_workers->keeps_secrets = !http->sends_credentials;
    ret_workers->idle_timeout_ms =
        (uint32_t)(1000 * lithops_value_get_double(lithops_value_get(settings, "idle_timeout")));
    return 0;
}

/* ---- one request ----------------------------------------------------------------------------- */

/* The configuration may be long. */
static int check_size(const struct lithops__service *http, size_t len, lithops_error *err)
{
    uint64_t most = lithops__limits_of(http->backend)->body_bytes;
    return most == 0 || len <= most
               ? 0
               : lithops__fail(err, LITHOPS_ECONFIG,
                               "a request has %zu bytes, most of which are the configuration of "
                               "the storage; %s takes %llu",
                               len, http->backend, (unsigned long long)most);
}

/* What is sealed becomes a parameter of an action. */
static int wrap(const char *activation, struct lithops__buffer *body, lithops_error *err)
{
    struct lithops__buffer sealed = *body;
    *body = (struct lithops__buffer)LITHOPS__BUFFER_INIT;
    int rc = lithops__whisk_wrap(activation, (lithops_bytes){sealed.data, sealed.len}, body, err);
    lithops__buffer_deinit(&sealed);
    return rc;
}

static int begin(struct lithops__service *http, const char *text,
                 const struct lithops__bounds *bounds, char proof[LITHOPS__HEX_HASH],
                 struct lithops__credentials *ret_used, struct lithops__post **ret_post,
                 lithops_error *err)
{
    char value[LITHOPS__ACTIVATION_HEADER], activation[LITHOPS__ACTIVATION_HEADER + 32], host[512];
    char *authorization = NULL, *oracle_url = NULL;
    struct lithops__oracle_signed made = {.authorization = NULL};
    struct lithops__buffer body = LITHOPS__BUFFER_INIT;
    int rc = http->is_oracle ? lithops__oracle_invoke_url(&http->oracle, http->transfer,
                                                          http->crypto, bounds, &oracle_url, err)
                             : 0;
    if (rc == 0)
        rc = lithops__service_authorization(http, bounds, &authorization, ret_used, err);
    if (rc == 0)
        rc = lithops__activation_seal(http->crypto, http->secret, text, time(NULL), value, proof,
                                      &body, err);
    if (rc == 0 && lithops__service_is_async(http))
        rc = wrap(value, &body, err);
    if (rc == 0)
        rc = check_size(http, body.len, err);
    if (rc == 0 && http->is_oracle)
        rc = lithops__oracle_sign_post(&http->oracle, http->crypto, oracle_url,
                                       (lithops_bytes){body.data, body.len}, &made, err);
    if (rc == 0) {
        const char *headers[8] = {activation};
        size_t count = 1;
        snprintf(activation, sizeof activation, "%s%s",
                 lithops__service_is_async(http) ? "Content-Type: application/json"
                                                 : LITHOPS__ACTIVATION_HEADER_NAME ": ",
                 lithops__service_is_async(http) ? "" : value);
        snprintf(host, sizeof host, "Host: %s", http->host ? http->host : "");
        if (http->host)
            headers[count++] = host;
        if (authorization)
            headers[count++] = authorization;
        if (http->is_oracle) {
            headers[count++] = "fn-invoke-type: detached";
            headers[count++] = made.date;
            headers[count++] = made.hash;
            headers[count++] = made.authorization;
        }
        const struct lithops__post_request request = {.url = http->is_whisk ? http->whisk.invoke_url
                                                             : http->is_oracle ? oracle_url
                                                                               : http->endpoint,
                                                      .headers = headers,
                                                      .body = {body.data, body.len},
                                                      .wanted = LITHOPS__ACTIVATION_PROOF_NAME,
                                                      .is_short = lithops__service_is_async(http)};
        rc = http->api->begin(http->posts, &request, ret_post, err);
    }
    lithops__buffer_deinit(&body);
    lithops__secret_free(authorization);
    free(made.authorization);
    free(oracle_url);
    return rc;
}

/* Whether the same request may be answered otherwise soon; 409: it had been there before, as where
 * somebody in between has sent it twice. */
static bool may_pass(long status)
{
    return status == 408 || status == 409 || status == 425 || status == 429 || status == 500 ||
           status == 502 || status == 503 || status == 504;
}

/* 0: a worker runs there, or will. */
static int judge(const struct lithops__service *http, const struct lithops__post_state *state,
                 const char *proof, char id[LITHOPS__WHISK_ID], lithops_error *err)
{
    if (http->is_whisk && state->is_answered && state->status == 202 && !state->failure.code &&
        lithops__whisk_read_id(state->text, id))
        return 0;
    if (http->is_oracle && state->is_answered && state->status == 202 && !state->failure.code)
        return 0;
    if (!lithops__service_is_async(http) && state->is_answered && state->status == 200 &&
        strcmp(state->header, proof) == 0)
        return 0;
    if (!state->is_answered) {
        int rc = lithops__fail(err, LITHOPS_EBACKEND, "%s", state->failure.message);
        err->retryable = state->failure.retryable;
        return rc;
    }
    bool is_refused = state->status == 401 || state->status == 403;
    bool is_cut_off =
        (state->status == 200 || state->status == 202) && state->is_over && !state->is_headed;
    if (is_cut_off)
        lithops__fail(err, LITHOPS_EBACKEND, "its answer was cut off");
    else if (http->is_whisk && state->status == 404)
        lithops__fail(err, LITHOPS_EBACKEND,
                      "there is no such action: make one of an image that runs 'lithops worker "
                      "--openwhisk', and name it as %s.action",
                      http->backend);
    else if (http->is_oracle && (state->status == 200 || state->status == 202))
        lithops__fail(err, LITHOPS_EBACKEND,
                      "something answers there that is not the API of Oracle's functions");
    else if (state->status == 200 || state->status == 202)
        lithops__fail(
            err, LITHOPS_EBACKEND,
            http->is_whisk
                ? "something answers there that is not the API of OpenWhisk "
                  "(backend %s)"
                : "something answers there that is not 'lithops worker --http' of %s.secret",
            http->backend);
    else
        lithops__fail(err, is_refused ? LITHOPS_EDENIED : LITHOPS_EBACKEND,
                      "it answers with status %ld: %.200s", state->status, state->text);
    err->http_status = (int)state->status;
    err->retryable = is_cut_off || may_pass(state->status);
    return err->code;
}

static bool is_readable(void *user)
{
    struct pollfd fd = {*(const int *)user, POLLIN, 0};
    return poll(&fd, 1, 0) > 0;
}

struct attempts {
    const char *text;
    int cancel_fd;
    uint64_t deadline_ns;
    bool has_renewed;  /* the token, since it was refused */
    unsigned asked_ms; /* the pause that the service asks for; 0: none */
};

/* A token that is refused is renewed, once. */
static bool may_renew(const struct lithops__service *http, struct attempts *attempts,
                      const struct lithops__credentials *used, const lithops_error *err)
{
    if (err->http_status != 401 || !http->store || attempts->has_renewed)
        return false;
    attempts->has_renewed = true;
    return lithops__credential_store_expire(http->store, used);
}

static int try_once(struct lithops__service *http, struct attempts *attempts,
                    struct lithops__post **ret_post, char id[LITHOPS__WHISK_ID], lithops_error *err)
{
    char proof[LITHOPS__HEX_HASH];
    struct lithops__post *post;
    struct lithops__post_state state;
    struct lithops__credentials used = {.expires = 0};
    const struct lithops__bounds bounds = {attempts->deadline_ns, is_readable,
                                           &attempts->cancel_fd};
    attempts->asked_ms = 0;
    int rc = begin(http, attempts->text, &bounds, proof, &used, &post, err);
    if (rc != 0) {
        lithops__credentials_deinit(&used);
        return rc;
    }
    rc = http->api->await(post, attempts->cancel_fd, attempts->deadline_ns, err);
    if (rc == LITHOPS_ETIMEDOUT)
        err->retryable = true;
    if (rc == 0) {
        http->api->look(post, &state);
        attempts->asked_ms = state.retry_after_s > 0 ? 1000 * (unsigned)state.retry_after_s : 0;
        rc = judge(http, &state, proof, id, err);
        if (rc != 0 && may_renew(http, attempts, &used, err))
            err->retryable = true;
    }
    lithops__credentials_deinit(&used);
    if (rc == 0 && !lithops__service_is_async(http))
        *ret_post = post;
    else
        http->api->end(post);
    return rc;
}

/* ---- the configuration that travels ---------------------------------------------------------- */

/* The key, a line end, and the configuration; without secrets where workers have their own.
 * Wiped and freed by the caller. */
static char *make_text(const struct lithops__service *http, const char *key, const char *config)
{
    char *text = NULL, *own = NULL;
    if (!http->sends_credentials) {
        lithops_value *value = lithops_value_from_json(config, strlen(config), NULL);
        if (value && lithops__config_drop_secrets(value, true) == 0)
            (void)lithops_value_to_json(value, &own, NULL);
        lithops_value_free(value);
        if (!own)
            return NULL;
    }
    if (asprintf(&text, "%s\n%s", key, own ? own : config) < 0)
        text = NULL;
    free(own);
    return text;
}

/* ---- slots ----------------------------------------------------------------------------------- */

static void name_of(const struct lithops__service *http, uint32_t worker, char *buf, size_t size)
{
    snprintf(buf, size, "%s-%u", http->backend, worker);
}

static void http_name(void *state, uint32_t worker, char *buf, size_t size)
{
    name_of(state, worker, buf, size);
}

static void note_activation(const struct lithops__service *http, uint32_t worker,
                            const char id[LITHOPS__WHISK_ID])
{
    struct activation *activation = &http->activations[worker];
    memcpy(activation->id, id, LITHOPS__WHISK_ID);
    activation->look_ns = lithops__now_ns() + look_ns;
    activation->has_ended = false;
    free(activation->how);
    activation->how = NULL;
    lithops__log(LITHOPS_LOG_DEBUG, http->backend, "worker %u: activation %s", worker, id);
}

static int http_invoke(void *state, uint32_t worker, const char *key, const char *config,
                       int cancel_fd, lithops_link *ret_link, lithops_error *err)
{
    struct lithops__service *http = state;
    char *text = make_text(http, key, config);
    if (!text)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    struct lithops__retry retry = {
        .attempts = UINT_MAX,
        .first_delay_ms = FIRST_DELAY_MS,
        .bounds = {lithops__now_ns() + http->start_ns, is_readable, &cancel_fd}};
    struct attempts attempts = {
        .text = text, .cancel_fd = cancel_fd, .deadline_ns = retry.bounds.deadline_ns};
    char id[LITHOPS__WHISK_ID] = "";
    lithops_error error;
    uint64_t begun_ns;
    int rc;
    do {
        error = (lithops_error)LITHOPS_ERROR_INIT;
        begun_ns = lithops__now_ns();
        rc = try_once(http, &attempts, &http->workers[worker], id, &error);
        if (rc != 0 && error.retryable)
            lithops__log(LITHOPS_LOG_DEBUG, http->backend, "worker %u: %s", worker, error.message);
    } while (rc != 0 && lithops__retry_again(&retry, &error, attempts.asked_ms));
    explicit_bzero(text, strlen(text));
    free(text);
    if (rc == 0) {
        *ret_link = (lithops_link){
            .read_fd = -1,
            .write_fd = -1,
            .id = worker,
            .time_left_ms = (int64_t)(http->request_ns / 1000000) -
                            (int64_t)((lithops__now_ns() - begun_ns) / 1000000),
        };
        if (lithops__service_is_async(http))
            ret_link->time_left_ms -= LITHOPS__WHISK_MARGIN_MS;
        if (http->is_whisk)
            note_activation(http, worker, id);
        return 0;
    }
    char name[64];
    name_of(http, worker, name, sizeof name);
    if (error.code != LITHOPS_ECANCELED)
        lithops__error_prefix(&error, "worker %s", name);
    *err = error;
    return err->code;
}

/* A request for the result of an activation is on its way from now on, if all is well. A token of
 * IAM that has to be renewed for it may take until the next look; if it does not come, nobody looks
 * for a while, as the relay waits for it. */
static void begin_look(struct lithops__service *http, uint32_t worker)
{
    char url[1024], *authorization = NULL;
    lithops_error err = LITHOPS_ERROR_INIT;
    struct lithops__credentials used = {.expires = 0};
    const struct lithops__bounds bounds = {lithops__now_ns() + look_ns, NULL, NULL};
    snprintf(url, sizeof url, "%s%s/result", http->whisk.activations_url,
             http->activations[worker].id);
    if (lithops__service_authorization(http, &bounds, &authorization, &used, &err) == 0) {
        const char *headers[] = {authorization, NULL};
        const struct lithops__post_request request = {
            .url = url, .headers = headers, .is_get = true, .is_short = true};
        (void)http->api->begin(http->posts, &request, &http->workers[worker], &err);
    } else {
        http->looks_ns = lithops__now_ns() + no_look_ns;
    }
    lithops__credentials_deinit(&used);
    lithops__secret_free(authorization);
}

/* It is not there before the activation has ended (404). Whatever else is amiss: another look will
 * tell, or the silence of the worker. */
static void take_look(const struct lithops__service *http, uint32_t worker)
{
    struct activation *activation = &http->activations[worker];
    struct lithops__post_state state;
    http->api->look(http->workers[worker], &state);
    http->api->end(http->workers[worker]);
    http->workers[worker] = NULL;
    activation->look_ns = lithops__now_ns() + look_ns;
    if (state.status != 200 || state.failure.code)
        return;
    char how[LITHOPS__WHISK_HOW];
    lithops__whisk_read_result(state.text, how);
    activation->how = strdup(how);
    activation->has_ended = true;
}

static bool activation_has_ended(struct lithops__service *http, uint32_t worker)
{
    struct activation *activation = &http->activations[worker];
    uint64_t now = lithops__now_ns();
    if (!activation->has_ended && http->workers[worker] &&
        http->api->is_over(http->workers[worker]))
        take_look(http, worker);
    if (!activation->has_ended && !http->workers[worker] && now >= activation->look_ns &&
        now >= http->looks_ns)
        begin_look(http, worker);
    return activation->has_ended;
}

static bool http_has_ended(void *state, const lithops_link *link)
{
    struct lithops__service *http = state;
    if (http->is_whisk)
        return activation_has_ended(http, (uint32_t)link->id);
    if (http->is_oracle)
        return false;
    return http->api->is_over(http->workers[link->id]);
}

/* {"ended": "it was killed by signal 9"}, after blanks. */
static void read_end(const struct lithops__post_state *state, char *ret_how, size_t size)
{
    const char *json = strchr(state->text, '{');
    lithops_value *value = json ? lithops_value_from_json(json, strlen(json), NULL) : NULL;
    const char *ended = lithops_value_get_string(lithops_value_get(value, "ended"));
    if (ended)
        snprintf(ret_how, size, "%s", ended);
    else
        snprintf(ret_how, size, "its request ended%s%s",
                 state->failure.code ? ": " : " without a word of it",
                 state->failure.code ? state->failure.message : "");
    lithops_value_free(value);
}

static void http_disconnect(void *state, const lithops_link *link, char *ret_how, size_t size)
{
    struct lithops__service *http = state;
    struct lithops__post_state now;
    struct lithops__post *post = http->workers[link->id];
    ret_how[0] = '\0';
    if (http->is_oracle)
        return;
    if (http->is_whisk) {
        const char *how = http->activations[link->id].how;
        snprintf(ret_how, size, "%s", how ? how : "");
        if (post)
            http->api->end(post);
        http->workers[link->id] = NULL;
        return;
    }
    http->api->look(post, &now);
    if (now.is_over)
        read_end(&now, ret_how, size);
    http->api->end(post);
    http->workers[link->id] = NULL;
}

/* ---- probing --------------------------------------------------------------------------------- */

static char *health_url(const char *endpoint)
{
    char *url = NULL;
    size_t len = strlen(endpoint);
    while (len && endpoint[len - 1] == '/')
        len--;
    return asprintf(&url, "%.*s/health", (int)len, endpoint) < 0 ? NULL : url;
}

static int ask_health(const struct lithops__service *http, long *ret_status, char **ret_document,
                      lithops_error *err)
{
    const struct lithops__http_api *module = lithops__module_symbol("http", "lithops__http", err);
    const struct lithops__bounds bounds = LITHOPS__UNBOUNDED;
    struct lithops__credentials used = {.expires = 0};
    char *authorization = NULL, host[512];
    char *url = http->is_whisk ? strdup(http->whisk.action_url) : health_url(http->endpoint);
    int rc = !module ? err->code
             : !url  ? lithops__fail(err, LITHOPS_ENOMEM, "out of memory")
                     : lithops__service_authorization(http, &bounds, &authorization, &used, err);
    if (rc == 0) {
        const char *headers[3] = {NULL};
        size_t count = 0;
        snprintf(host, sizeof host, "Host: %s", http->host ? http->host : "");
        if (http->host)
            headers[count++] = host;
        if (authorization)
            headers[count++] = authorization;
        const struct lithops__fetch fetch = {.http = &module->transfer,
                                             .bounds = LITHOPS__UNBOUNDED,
                                             .method = "GET",
                                             .url = url,
                                             .headers = headers};
        rc = lithops__fetch(&fetch, ret_status, ret_document, err);
    }
    lithops__credentials_deinit(&used);
    lithops__secret_free(authorization);
    free(url);
    return rc;
}

static int ask_function(struct lithops__service *http, lithops__probe_say say, void *user,
                        lithops_error *err)
{
    const struct lithops__bounds bounds = LITHOPS__UNBOUNDED;
    char *text = NULL;
    int rc = lithops__oracle_look(&http->oracle, http->transfer, http->crypto, &bounds, &text, err);
    if (rc == 0)
        say(user, http->oracle.url, true, text);
    free(text);
    return rc;
}

static int ask_service(const struct lithops__service *http, lithops__probe_say say, void *user,
                       lithops_error *err)
{
    char *document = NULL, text[512];
    long status = 0;
    int rc = ask_health(http, &status, &document, err);
    if (rc != 0)
        return rc;
    snprintf(text, sizeof text, "status %ld: %.*s", status,
             http->is_whisk && status == 200 ? 0 : (int)strcspn(document, "\r\n"), document);
    say(user, http->is_whisk ? http->whisk.action_url : http->endpoint, status == 200, text);
    if (status != 200)
        rc = lithops__fail(err, LITHOPS_EBACKEND, "%s: %s: status %ld", http->backend,
                           http->is_whisk ? "the action" : "/health of the endpoint", status);
    lithops__document_free(document);
    return rc;
}

/* A worker costs money, so none is started. */
static int http_probe(const struct lithops__compute_driver *driver,
                      const struct lithops__config *config, bool start, lithops__probe_say say,
                      void *user, lithops_error *err)
{
    const char *backend = driver->name;
    struct lithops__service http = {.backend = backend};
    (void)start;
    lithops_value *settings = lithops__linked_settings(config, backend);
    int rc = settings ? lithops__service_settings(&http, settings, err)
                      : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    if (rc == 0)
        rc = lithops__service_open(&http, err);
    if (rc == 0)
        rc = http.is_oracle ? ask_function(&http, say, user, err)
                            : ask_service(&http, say, user, err);
    lithops_value_free(settings);
    http_close(&http);
    return rc;
}

/* ---- the services ---------------------------------------------------------------------------- */

static const lithops_link_ops link_ops = {
    .open = http_open,
    .close = http_close,
    .name = http_name,
    .invoke = http_invoke,
    .has_ended = http_has_ended,
    .disconnect = http_disconnect,
};

static const struct lithops__compute_ops http_ops = {
    LITHOPS__LINKED_SLOTS,
    .probe = http_probe,
};

#define SERVICE_OF(name_, title_, runtimes_)                                                       \
    static const lithops_link_driver link_driver_##name_ = {                                       \
        .abi = LITHOPS_COMPUTE_ABI,                                                                \
        .name = #name_,                                                                            \
        .is_elsewhere = true,                                                                      \
        .state_size = sizeof(struct lithops__service),                                             \
        .ops = &link_ops,                                                                          \
    };                                                                                             \
    const struct lithops__compute_driver lithops__compute_##name_ = {                              \
        .name = #name_,                                                                            \
        .mode = "serverless",                                                                      \
        .summary = "Containers of " title_ ", started by HTTP requests.",                          \
        .is_elsewhere = true,                                                                      \
        .untested = true,                                                                          \
        .state_size = sizeof(struct lithops__linked),                                              \
        .ops = &http_ops,                                                                          \
        .links = &link_driver_##name_,                                                             \
        .workers_key = "max_workers",                                                              \
        .check = lithops__linked_check_storage,                                                    \
        .runtimes = (runtimes_),                                                                   \
    };
#define SERVICE(name_, title_) SERVICE_OF(name_, title_, &lithops__image_runtimes)
#define FUNCTION(name_, title_) SERVICE_OF(name_, title_, &lithops__function_runtimes)

SERVICE(knative, "a Knative service")
SERVICE(gcp_cloudrun, "Google Cloud Run")
SERVICE(code_engine_apps, "an application of IBM Code Engine")
SERVICE(azure_containers, "Azure Container Apps")
SERVICE(aliyun_fc, "a function of Alibaba Cloud")
SERVICE(openwhisk, "an action of OpenWhisk")
SERVICE(ibm_cf, "an action of IBM Cloud Functions")
SERVICE(oracle_f, "a function of Oracle Cloud")
FUNCTION(gcp_functions, "a function of Google Cloud")
FUNCTION(azure_functions, "a function of Azure")
