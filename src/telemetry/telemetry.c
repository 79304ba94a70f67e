/* SPDX-License-Identifier: Apache-2.0 */
#include "telemetry/telemetry.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/module.h"
#include "base/thread.h"
#include "net/fetch.h"
#include "net/http.h"
#include "net/sign.h"
#include "telemetry/encode.h"

#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HEADERS_MAX = 6 };

/* Where and how to send. */
struct target {
    bool is_otlp;
    const struct lithops__transfer_api *http;
    char *url, *service_name, *instance;
    char *headers[HEADERS_MAX + 1];
    size_t header_count;
    uint64_t timeout_ns, interval_ns;
};

struct lithops__telemetry {
    pthread_mutex_t lock; /* a leaf; guards what follows */
    pthread_cond_t wanted;
    struct lithops__registry registry;
    bool is_ending, is_asked; /* for a sending now */
    /* set while there are users */
    struct target target;
    pthread_t thread;
    uint64_t start_ns;
};

/* There is one in a process. A child of fork() has none of its parent's: its thread is not there,
 * and the parent sends what was counted until then. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t users_lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows */
static struct lithops__telemetry *the_one;
static unsigned users;

/* ---- settings -------------------------------------------------------------------------------- */

static void free_target(struct target *target)
{
    free(target->url);
    free(target->service_name);
    free(target->instance);
    for (size_t i = 0; i < target->header_count; i++) {
        explicit_bzero(target->headers[i], strlen(target->headers[i])); /* may hold a token */
        free(target->headers[i]);
    }
    *target = (struct target){0};
}

static int add_header(struct target *target, const char *name, const char *value,
                      lithops_error *err)
{
    char *line = NULL;
    if (target->header_count == HEADERS_MAX)
        return lithops__fail(err, LITHOPS_ECONFIG, "there are more than %d headers", HEADERS_MAX);
    if (asprintf(&line, "%s: %s", name, value) < 0)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    target->headers[target->header_count++] = line;
    return 0;
}

static char *copy_instance(const char *given)
{
    char name[HOST_NAME_MAX + 1] = "";
    if (!given)
        given = getenv("LITHOPS_TELEMETRY_INSTANCE");
    if (given && *given)
        return strdup(given);
    if (gethostname(name, sizeof name) != 0 || name[sizeof name - 1] != '\0' || !*name)
        return strdup("localhost");
    return strdup(name);
}

/* As in "http://localhost:9091", without a slash at the end. */
static void append_endpoint(struct lithops__buffer *out, const char *endpoint)
{
    size_t len = strlen(endpoint);
    while (len > 0 && endpoint[len - 1] == '/')
        len--;
    if (!strstr(endpoint, "://"))
        lithops__buffer_append_string(out, "http://");
    lithops__buffer_append(out, endpoint, len);
}

/* A part of the key of a group. Slashes, which may be in no path segment, need another form. */
static void append_group(struct lithops__buffer *out, const char *name, const char *value)
{
    size_t len = strlen(value);
    if (len > 0 && !strchr(value, '/')) {
        lithops__buffer_printf(out, "/%s/", name);
        lithops__url_encode(out, value, len, false);
        return;
    }
    lithops__buffer_printf(out, "/%s@base64/", name);
    char *text = lithops__buffer_reserve(out, 4 * (len / 3) + 5);
    if (!text)
        return;
    lithops__base64((const unsigned char *)value, len, text);
    for (char *c = text; *c; c++, out->len++)
        *c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
    if (len == 0)
        lithops__buffer_append_string(out, "=");
}

static int add_login(struct target *target, const char *user, const char *password,
                     lithops_error *err)
{
    char *plain = NULL, *value = NULL;
    int len = asprintf(&plain, "%s:%s", user, password);
    if (len >= 0)
        value = malloc(6 + 4 * ((size_t)len / 3) + 5);
    int rc = value ? 0 : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    if (value) {
        memcpy(value, "Basic ", 6);
        lithops__base64((const unsigned char *)plain, (size_t)len, value + 6);
        rc = add_header(target, "Authorization", value, err);
        explicit_bzero(value, strlen(value));
    }
    if (len >= 0)
        explicit_bzero(plain, (size_t)len);
    free(plain);
    free(value);
    return rc;
}

static int aim_at_prometheus(struct target *target, const struct lithops__config *config,
                             struct lithops__buffer *url, lithops_error *err)
{
    const char *user = lithops__config_string(config, "prometheus", "username");
    const char *password = lithops__config_string(config, "prometheus", "password");
    target->timeout_ns = (uint64_t)(lithops__config_double(config, "prometheus", "timeout") * 1e9);
    target->instance = copy_instance(lithops__config_string(config, "prometheus", "instance"));
    append_endpoint(url, lithops__config_string(config, "prometheus", "gateway"));
    lithops__buffer_append_string(url, "/metrics");
    append_group(url, "job", lithops__config_string(config, "prometheus", "job"));
    append_group(url, "instance", target->instance ? target->instance : "");
    int rc = add_header(target, "Content-Type", "text/plain; version=0.0.4; charset=utf-8", err);
    return rc == 0 && user && password ? add_login(target, user, password, err) : rc;
}

static int aim_at_otlp(struct target *target, const struct lithops__config *config,
                       struct lithops__buffer *url, lithops_error *err)
{
    static const char path[] = "/v1/metrics";
    const lithops_value *headers = lithops__config_get(config, "otlp", "headers");
    target->is_otlp = true;
    target->timeout_ns = (uint64_t)(lithops__config_double(config, "otlp", "timeout") * 1e9);
    target->instance = copy_instance(lithops__config_string(config, "otlp", "instance"));
    target->service_name = strdup(lithops__config_string(config, "otlp", "service_name"));
    append_endpoint(url, lithops__config_string(config, "otlp", "endpoint"));
    size_t len = sizeof path - 1;
    if (!url->failed && (url->len < len || memcmp(url->data + url->len - len, path, len) != 0))
        lithops__buffer_append_string(url, path);
    int rc = add_header(target, "Content-Type", "application/json", err);
    if (rc == 0 && headers && lithops_value_type(headers) != LITHOPS_NULL &&
        lithops_value_type(headers) != LITHOPS_MAP)
        rc = lithops__fail(err, LITHOPS_ECONFIG, "key 'headers' in section 'otlp' must be a map");
    const char *name;
    const lithops_value *value;
    for (size_t i = 0; rc == 0 && headers && (value = lithops_value_pair(headers, i, &name)); i++) {
        const char *text = lithops_value_get_string(value);
        rc = text ? add_header(target, name, text, err)
                  : lithops__fail(err, LITHOPS_ECONFIG,
                                  "header '%s' in section 'otlp' must be a string", name);
    }
    return rc;
}

static int aim(struct target *target, const char *kind, const struct lithops__config *config,
               lithops_error *err)
{
    struct lithops__buffer url = LITHOPS__BUFFER_INIT;
    const struct lithops__http_api *http = lithops__module_symbol("http", "lithops__http", err);
    if (!http)
        return err->code;
    *target = (struct target){.http = &http->transfer};
    target->interval_ns =
        (uint64_t)(lithops__config_double(config, "lithops", "telemetry_interval") * 1e9);
    int rc = strcmp(kind, "otlp") == 0 ? aim_at_otlp(target, config, &url, err)
                                       : aim_at_prometheus(target, config, &url, err);
    target->url = lithops__buffer_steal(&url);
    if (rc == 0 &&
        (!target->url || !target->instance || (target->is_otlp && !target->service_name)))
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    if (rc)
        free_target(target);
    return rc;
}

/* ---- sending --------------------------------------------------------------------------------- */

static char *encode(const struct lithops__telemetry *telemetry,
                    const struct lithops__registry *registry)
{
    struct lithops__buffer text = LITHOPS__BUFFER_INIT;
    const struct target *target = &telemetry->target;
    const struct lithops__otlp_resource resource = {
        .service_name = target->service_name,
        .instance = target->instance,
        .start_ns = telemetry->start_ns,
        .now_ns = lithops__wall_ns(),
    };
    if (target->is_otlp)
        lithops__otlp_encode(registry, &resource, &text);
    else
        lithops__prometheus_encode(registry, &text);
    char *ret = lithops__buffer_steal(&text);
    lithops__buffer_deinit(&text);
    return ret;
}

static int push(const struct lithops__telemetry *telemetry, const char *body, lithops_error *err)
{
    const struct target *target = &telemetry->target;
    struct lithops__fetch fetch = {
        .http = target->http,
        .bounds = {.deadline_ns = lithops__now_ns() + target->timeout_ns},
        .method = target->is_otlp ? "POST" : "PUT", /* replaces the group */
        .url = target->url,
        .headers = (const char *const *)target->headers,
        .body = body,
        .connect_timeout_ms = (long)(target->timeout_ns / 1000000) + 1,
        .attempts = 2,
    };
    long status = 0;
    char *document = NULL;
    int rc = lithops__fetch(&fetch, &status, &document, err);
    if (rc == 0 && (status < 200 || status > 299))
        rc = lithops__fail(err, LITHOPS_EBACKEND, "status %ld: %.200s", status, document);
    lithops__document_free(document);
    return rc;
}

/* Without the lock. */
static void send_counts(const struct lithops__telemetry *telemetry,
                        struct lithops__registry *counts, bool *failed_before)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    char *body = encode(telemetry, counts);
    int rc =
        body ? push(telemetry, body, &err) : lithops__fail(&err, LITHOPS_ENOMEM, "out of memory");
    if (rc) /* once, until it works again: a gateway may be away for days */
        lithops__log(*failed_before ? LITHOPS_LOG_DEBUG : LITHOPS_LOG_WARNING, "telemetry",
                     "metrics were not sent: %s", err.message);
    *failed_before = rc != 0;
    free(body);
    lithops__registry_deinit(counts);
}

static void *run(void *user)
{
    struct lithops__telemetry *telemetry = user;
    bool failed_before = false, is_ending = false;
    while (!is_ending) {
        uint64_t until = lithops__now_ns() + telemetry->target.interval_ns;
        struct timespec time = {(time_t)(until / 1000000000), (long)(until % 1000000000)};
        pthread_mutex_lock(&telemetry->lock);
        while (!telemetry->is_ending && !telemetry->is_asked && lithops__now_ns() < until)
            pthread_cond_timedwait(&telemetry->wanted, &telemetry->lock, &time);
        is_ending = telemetry->is_ending;
        telemetry->is_asked = false;
        struct lithops__registry counts;
        bool copied = lithops__registry_copy(&telemetry->registry, &counts);
        pthread_mutex_unlock(&telemetry->lock);
        if (copied && counts.scopes)
            send_counts(telemetry, &counts, &failed_before);
    }
    return NULL;
}

/* ---- users ----------------------------------------------------------------------------------- */

static void forget_parents(void)
{
    pthread_mutex_init(&users_lock, NULL); /* a thread that is not there may have it */
    the_one = NULL;
    users = 0;
}

static void watch_forks(void)
{
    (void)pthread_atfork(NULL, NULL, forget_parents);
}

/* Counts stay when the last user has gone, for the next one: so they only grow. */
static struct lithops__telemetry *make(void)
{
    struct lithops__telemetry *telemetry = calloc(1, sizeof *telemetry);
    if (!telemetry)
        return NULL;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&telemetry->lock, NULL);
    pthread_cond_init(&telemetry->wanted, &attributes);
    pthread_condattr_destroy(&attributes);
    telemetry->start_ns = lithops__wall_ns();
    return telemetry;
}

static int start(struct lithops__telemetry *telemetry, const char *kind,
                 const struct lithops__config *config, lithops_error *err)
{
    int rc = aim(&telemetry->target, kind, config, err);
    if (rc)
        return rc;
    telemetry->is_ending = telemetry->is_asked = false;
    int os_errno = lithops__thread_start(&telemetry->thread, run, telemetry);
    if (!os_errno)
        return 0;
    free_target(&telemetry->target);
    return lithops__fail_errno(err, os_errno, "cannot start a thread");
}

struct lithops__telemetry *lithops__telemetry_open(const struct lithops__config *config)
{
    const char *kind = lithops__config_string(config, "lithops", "telemetry");
    if (!kind || strcmp(kind, "false") == 0)
        return NULL;
    lithops_error err = LITHOPS_ERROR_INIT;
    pthread_once(&once, watch_forks);
    pthread_mutex_lock(&users_lock);
    if (!the_one)
        the_one = make();
    struct lithops__telemetry *telemetry = the_one;
    if (!telemetry)
        lithops__fail(&err, LITHOPS_ENOMEM, "out of memory");
    else if (users == 0 && start(telemetry, kind, config, &err) != 0)
        telemetry = NULL;
    else if (telemetry->target.is_otlp != (strcmp(kind, "otlp") == 0))
        lithops__log(LITHOPS_LOG_WARNING, "telemetry",
                     "'%s' is ignored: another executor of this process has chosen, and they share "
                     "one exporter",
                     kind);
    users += telemetry != NULL;
    pthread_mutex_unlock(&users_lock);
    if (!telemetry)
        lithops__log(LITHOPS_LOG_ERROR, "telemetry", "there is none: %s", err.message);
    return telemetry;
}

void lithops__telemetry_close(struct lithops__telemetry *telemetry)
{
    if (!telemetry)
        return;
    pthread_mutex_lock(&users_lock);
    bool is_last = --users == 0;
    pthread_mutex_lock(&telemetry->lock);
    telemetry->is_asked = true;
    telemetry->is_ending = is_last;
    pthread_cond_signal(&telemetry->wanted);
    pthread_mutex_unlock(&telemetry->lock);
    if (is_last) {
        pthread_join(telemetry->thread, NULL);
        free_target(&telemetry->target);
    }
    pthread_mutex_unlock(&users_lock);
}

void lithops__telemetry_lock(struct lithops__telemetry *telemetry)
{
    pthread_mutex_lock(&telemetry->lock);
}

void lithops__telemetry_unlock(struct lithops__telemetry *telemetry)
{
    pthread_mutex_unlock(&telemetry->lock);
}

struct lithops__scope *lithops__telemetry_scope(struct lithops__telemetry *telemetry,
                                                const char *backend, const char *runtime,
                                                int64_t memory_mb, const char *function)
{
    return lithops__registry_scope(&telemetry->registry, backend, runtime, memory_mb, function);
}
