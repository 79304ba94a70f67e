/* SPDX-License-Identifier: Apache-2.0 */
/* Services that give a container of ours HTTP requests, and run as many of it as there are
 * requests: Knative, and what is like it. They differ by name, by how long a request may take
 * (config_keys.c), and by how it says who makes it; all else is here. docs/serverless.md tells what
 * the container runs.
 *
 * A worker is one POST. Its body is the key of its link and its configuration, sealed
 * (net/activation.h). Requests that were not answered, or with what may pass, are made again, each
 * sealed anew, until `start_timeout`. Of two workers that were started for one link by that, only
 * one gets calls (carrier/worker.c).
 *
 * Kinds of services differ in what an answer means (struct lithops__service_kind). A container's
 * comes as soon as the worker runs there, and stays open as long as it works: so its end is the
 * worker's end, and ending it ends the worker (container.c). Where actions of OpenWhisk (whisk.c)
 * and Oracle's functions (oracle.c) are invoked, it says that this was taken. */
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

#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_DELAY_MS = 100 };
/* From when a worker is told to end to when the platform would kill it (agent/http_server.c). */
enum { MARGIN_MS = 6000 };

/* A driver of links, and what kind of service it is for. */
struct service_driver {
    lithops_link_driver links;
    const struct lithops__service_kind *kind;
};

static const struct lithops__service_kind *kind_of(const lithops_link_driver *driver)
{
    return ((const struct service_driver *)(const void *)driver)->kind;
}

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
    http->kind = kind_of(driver);
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
    if (http->kind->is_silent)
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

/* What is sealed becomes a parameter of what is invoked. */
static int wrap(const char *activation, struct lithops__buffer *body, lithops_error *err)
{
    char *json = NULL;
    lithops_value *map = lithops_pack("{s:s,s:o}", "activation", activation, "sealed",
                                      lithops_value_bytes(body->data, body->len));
    int rc = map ? lithops_value_to_json(map, &json, err)
                 : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    lithops_value_free(map);
    if (rc != 0)
        return rc;
    body->len = 0;
    lithops__buffer_append_string(body, json);
    free(json);
    return body->failed ? lithops__fail(err, LITHOPS_ENOMEM, "out of memory") : 0;
}

static int post(const struct lithops__service *http, const struct lithops__service_head *head,
                const char *first, const char *authorization, lithops_bytes body,
                struct lithops__post **ret_post, lithops_error *err)
{
    const char *headers[LITHOPS__SERVICE_LINES + 4] = {first};
    char host[512];
    size_t count = 1;
    snprintf(host, sizeof host, "Host: %s", http->host ? http->host : "");
    if (http->host)
        headers[count++] = host;
    if (authorization)
        headers[count++] = authorization;
    for (size_t i = 0; head->lines[i]; i++)
        headers[count++] = head->lines[i];
    const struct lithops__post_request request = {.url = head->url,
                                                  .headers = headers,
                                                  .body = body,
                                                  .wanted = LITHOPS__ACTIVATION_PROOF_NAME,
                                                  .is_short = http->kind->is_async};
    return http->api->begin(http->posts, &request, ret_post, err);
}

static int begin(struct lithops__service *http, const char *text,
                 const struct lithops__bounds *bounds, char proof[LITHOPS__HEX_HASH],
                 struct lithops__credentials *ret_used, struct lithops__post **ret_post,
                 lithops_error *err)
{
    char value[LITHOPS__ACTIVATION_HEADER] = "", activation[LITHOPS__ACTIVATION_HEADER + 32];
    char *authorization = NULL;
    struct lithops__service_head head = {.url = NULL};
    struct lithops__buffer body = LITHOPS__BUFFER_INIT;
    int rc = lithops__service_authorization(http, bounds, &authorization, ret_used, err);
    if (rc == 0)
        rc = lithops__activation_seal(http->crypto, http->secret, text, time(NULL), value, proof,
                                      &body, err);
    if (rc == 0 && http->kind->is_async)
        rc = wrap(value, &body, err);
    if (rc == 0)
        rc = check_size(http, body.len, err);
    const lithops_bytes bytes = {body.data, body.len};
    if (rc == 0)
        rc = http->kind->address(http, bytes, bounds, &head, err);
    snprintf(activation, sizeof activation, LITHOPS__ACTIVATION_HEADER_NAME ": %s", value);
    if (rc == 0)
        rc = post(http, &head, http->kind->is_async ? "Content-Type: application/json" : activation,
                  authorization, bytes, ret_post, err);
    lithops__buffer_deinit(&body);
    lithops__secret_free(authorization);
    for (size_t i = 0; i < LITHOPS__SERVICE_LINES; i++)
        free(head.lines[i]);
    free(head.url);
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
static int judge(struct lithops__service *http, uint32_t worker,
                 const struct lithops__post_state *state, const char *proof, lithops_error *err)
{
    if (!state->is_answered) {
        int rc = lithops__fail(err, LITHOPS_EBACKEND, "%s", state->failure.message);
        err->retryable = state->failure.retryable;
        return rc;
    }
    if (http->kind->is_taken(http, worker, state, proof))
        return 0;
    bool is_refused = state->status == 401 || state->status == 403;
    bool is_good = state->status == 200 || state->status == 202;
    bool is_cut_off = is_good && state->is_over && !state->is_headed;
    if (is_cut_off)
        lithops__fail(err, LITHOPS_EBACKEND, "its answer was cut off");
    else if (state->status == 404 && http->kind->missing)
        lithops__fail(err, LITHOPS_EBACKEND, "%s", http->kind->missing);
    else if (is_good)
        lithops__fail(err, LITHOPS_EBACKEND, "something answers there that is not %s (backend %s)",
                      http->kind->stranger, http->backend);
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
    uint32_t worker;
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

static int try_once(struct lithops__service *http, struct attempts *attempts, lithops_error *err)
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
        rc = judge(http, attempts->worker, &state, proof, err);
        if (rc != 0 && may_renew(http, attempts, &used, err))
            err->retryable = true;
    }
    lithops__credentials_deinit(&used);
    if (rc == 0 && !http->kind->is_async)
        http->workers[attempts->worker] = post;
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
    struct attempts attempts = {.worker = worker,
                                .text = text,
                                .cancel_fd = cancel_fd,
                                .deadline_ns = retry.bounds.deadline_ns};
    lithops_error error, refusal = LITHOPS_ERROR_INIT;
    uint64_t begun_ns;
    int rc;
    do {
        error = (lithops_error)LITHOPS_ERROR_INIT;
        begun_ns = lithops__now_ns();
        rc = try_once(http, &attempts, &error);
        if (rc != 0 && error.retryable)
            lithops__log(LITHOPS_LOG_DEBUG, http->backend, "worker %u: %s", worker, error.message);
        if (rc == LITHOPS_ETIMEDOUT && refusal.code) /* it says more */
            error = refusal;
        else
            refusal = error;
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
        if (http->kind->is_async)
            ret_link->time_left_ms -= MARGIN_MS;
        return 0;
    }
    char name[64];
    name_of(http, worker, name, sizeof name);
    if (error.code != LITHOPS_ECANCELED)
        lithops__error_prefix(&error, "worker %s", name);
    *err = error;
    return err->code;
}

static bool http_has_ended(void *state, const lithops_link *link)
{
    struct lithops__service *http = state;
    return http->kind->has_ended(http, (uint32_t)link->id);
}

static void http_disconnect(void *state, const lithops_link *link, char *ret_how, size_t size)
{
    struct lithops__service *http = state;
    ret_how[0] = '\0';
    http->kind->tell_end(http, (uint32_t)link->id, ret_how, size);
    if (http->workers[link->id])
        http->api->end(http->workers[link->id]);
    http->workers[link->id] = NULL;
}

/* ---- probing --------------------------------------------------------------------------------- */

static int http_probe(const struct lithops__compute_driver *driver,
                      const struct lithops__config *config, bool start, lithops__probe_say say,
                      void *user, lithops_error *err)
{
    const char *backend = driver->name;
    struct lithops__service http = {.backend = backend, .kind = kind_of(driver->links)};
    (void)start;
    lithops_value *settings = lithops__linked_settings(config, backend);
    int rc = settings ? lithops__service_settings(&http, settings, err)
                      : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    if (rc == 0)
        rc = lithops__service_open(&http, err);
    if (rc == 0)
        rc = http.kind->probe(&http, say, user, err);
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

#define SERVICE_OF(name_, title_, kind_, runtimes_)                                                \
    static const struct service_driver link_driver_##name_ = {                                     \
        .links =                                                                                   \
            {                                                                                      \
                .abi = LITHOPS_COMPUTE_ABI,                                                        \
                .name = #name_,                                                                    \
                .is_elsewhere = true,                                                              \
                .state_size = sizeof(struct lithops__service),                                     \
                .ops = &link_ops,                                                                  \
            },                                                                                     \
        .kind = &(kind_),                                                                          \
    };                                                                                             \
    const struct lithops__compute_driver lithops__compute_##name_ = {                              \
        .name = #name_,                                                                            \
        .mode = "serverless",                                                                      \
        .summary = "Containers of " title_ ", started by HTTP requests.",                          \
        .is_elsewhere = true,                                                                      \
        .untested = true,                                                                          \
        .state_size = sizeof(struct lithops__linked),                                              \
        .ops = &http_ops,                                                                          \
        .links = &link_driver_##name_.links,                                                       \
        .workers_key = "max_workers",                                                              \
        .check = lithops__linked_check_storage,                                                    \
        .runtimes = (runtimes_),                                                                   \
    };
#define SERVICE(name_, title_)                                                                     \
    SERVICE_OF(name_, title_, lithops__container_kind, &lithops__image_runtimes)
#define PACKAGE(name_, title_)                                                                     \
    SERVICE_OF(name_, title_, lithops__container_kind, &lithops__function_runtimes)
#define INVOKED(name_, title_, kind_) SERVICE_OF(name_, title_, kind_, &lithops__image_runtimes)

SERVICE(knative, "a Knative service")
SERVICE(gcp_cloudrun, "Google Cloud Run")
SERVICE(code_engine_apps, "an application of IBM Code Engine")
SERVICE(azure_containers, "Azure Container Apps")
SERVICE(aliyun_fc, "a function of Alibaba Cloud")
PACKAGE(gcp_functions, "a function of Google Cloud")
PACKAGE(azure_functions, "a function of Azure")
INVOKED(openwhisk, "an action of OpenWhisk", lithops__whisk_kind)
INVOKED(ibm_cf, "an action of IBM Cloud Functions", lithops__whisk_kind)
INVOKED(oracle_f, "a function of Oracle Cloud", lithops__oracle_kind)
