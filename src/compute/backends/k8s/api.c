/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to the API server, over the module "http".
 *
 * Handles keep their connections and are shared by all threads of an executor, one request at a
 * time each. What one logs in with may change: a plugin's credentials expire, a token's file is
 * written anew. Handles that were made with an older certificate are not used again.
 *
 * Messages have the server's words, and no credentials. */
#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/module.h"
#include "compute/backends/k8s/k8s.h"
#include "net/credentials.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* EARLY_S: before they expire credentials are renewed, and if that fails tried again after AGAIN_S,
 * while the old ones are good. TOKEN_S: how long a token's file is
 * believed, which a node writes anew before the token expires. */
enum {
    IDLE_HANDLES = 24, /* as many as are used at a time, when many Jobs are made */
    EARLY_S = 30,
    AGAIN_S = 5,
    TOKEN_S = 60,
    FIRST_DELAY_MS = 200,
    MOST_PAUSE_S = 60,
    MOST_BYTES = 64 << 20,
    CHUNK_BYTES = 64 << 10,
    STALL_MS = 30000,
    WATCH_STALL_MS = 90000,
};

struct handle {
    struct lithops__transfer *transfer;
    unsigned generation;
};

struct lithops__k8s_api {
    struct lithops__k8s_access access;
    const struct lithops__transfer_api *http;
    pthread_mutex_t lock;    /* of all below; held while a plugin runs, as all wait for that */
    char *token;             /* NULL: none is needed */
    char *certificate, *key; /* in PEM; NULL: none */
    char *authorities;       /* in PEM; NULL: the system's */
    double expires;          /* of the plugin's credentials; 0: never */
    uint64_t read_ns;        /* when the token's file was read */
    uint64_t again_ns;       /* when the plugin may run again, after an early renewal failed */
    bool is_ready;           /* files are read, a plugin has run */
    unsigned generation;     /* of certificate and key */
    struct handle idle[IDLE_HANDLES];
    size_t idle_count;
};

static int out_of_memory(lithops_error *err)
{
    return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
}

int lithops__k8s_api_new(struct lithops__k8s_access *access, struct lithops__k8s_api **ret_api,
                         lithops_error *err)
{
    const struct lithops__http_api *http = lithops__module_symbol("http", "lithops__http", err);
    if (!http)
        return err->code;
    struct lithops__k8s_api *api = calloc(1, sizeof *api);
    if (!api)
        return out_of_memory(err);
    api->http = &http->transfer;
    api->access = *access;
    *access = (struct lithops__k8s_access){.origin = NULL};
    pthread_mutex_init(&api->lock, NULL);
    *ret_api = api;
    return 0;
}

/* A namespace is part of paths. */
static int check_namespace(const char *name, lithops_error *err)
{
    size_t len = strlen(name);
    if (len > 0 && len <= 63 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == len)
        return 0;
    return lithops__fail(err, LITHOPS_ECONFIG,
                         "'%.80s' is no name of a namespace: set k8s.namespace", name);
}

int lithops__k8s_open_api(const lithops_value *settings, struct lithops__k8s_api **ret_api,
                          char **ret_namespace, lithops_error *err)
{
    struct lithops__k8s_access access = {.origin = NULL};
    const char *named = lithops_value_get_string(lithops_value_get(settings, "namespace"));
    int rc = lithops__k8s_access_find(
        lithops_value_get_string(lithops_value_get(settings, "kubecfg_path")),
        lithops_value_get_string(lithops_value_get(settings, "kubecfg_context")), &access, err);
    if (rc != 0)
        return rc;
    const char *namespace = named ? named : access.namespace ? access.namespace : "default";
    rc = check_namespace(namespace, err);
    if (rc == 0 && !(*ret_namespace = strdup(namespace)))
        rc = out_of_memory(err);
    if (rc == 0 && (rc = lithops__k8s_api_new(&access, ret_api, err)) != 0) {
        free(*ret_namespace);
        *ret_namespace = NULL;
    }
    lithops__k8s_access_deinit(&access);
    return rc;
}

void lithops__k8s_api_free(struct lithops__k8s_api *api)
{
    if (!api)
        return;
    for (size_t i = 0; i < api->idle_count; i++)
        api->http->close(api->idle[i].transfer);
    lithops__secret_free(api->token);
    lithops__secret_free(api->certificate);
    lithops__secret_free(api->key);
    lithops__secret_free(api->authorities);
    lithops__k8s_access_deinit(&api->access);
    pthread_mutex_destroy(&api->lock);
    free(api);
}

const struct lithops__k8s_access *lithops__k8s_api_access(const struct lithops__k8s_api *api)
{
    return &api->access;
}

/* ---- logging in, with the lock held ---------------------------------------------------------- */

/* Data, or what its file has. */
static int take_pem(const char *data, const char *path, char **ret, lithops_error *err)
{
    lithops__secret_free(*ret);
    *ret = data ? strdup(data) : path ? lithops__k8s_read_file(path, err) : NULL;
    if (*ret || (!data && !path))
        return 0;
    return data ? out_of_memory(err) : err->code;
}

static int read_token(struct lithops__k8s_api *api, lithops_error *err)
{
    const char *path = api->access.token_file;
    char *token = path                ? lithops__k8s_read_file(path, err)
                  : api->access.token ? strdup(api->access.token)
                                      : NULL;
    if (!token && path && api->token) /* the old one may still be good */
        return 0;
    if (!token && (path || api->access.token))
        return path ? err->code : out_of_memory(err);
    if (token)
        token[strcspn(token, "\r\n")] = '\0';
    lithops__secret_free(api->token);
    api->token = token;
    api->read_ns = lithops__now_ns();
    return 0;
}

static int run_plugin(struct lithops__k8s_api *api, const struct lithops__bounds *bounds,
                      lithops_error *err)
{
    struct lithops__k8s_granted granted;
    int rc = lithops__k8s_plugin(&api->access, bounds, &granted, err);
    if (rc != 0)
        return rc;
    lithops__secret_free(api->token);
    api->token = granted.token;
    api->expires = granted.expires;
    if (granted.certificate && granted.key) {
        lithops__secret_free(api->certificate);
        lithops__secret_free(api->key);
        api->certificate = granted.certificate;
        api->key = granted.key;
        api->generation++;
    } else {
        lithops__secret_free(granted.certificate);
        lithops__secret_free(granted.key);
    }
    return 0;
}

/* Run the plugin again where its credentials are old: what is still good is kept if it fails. */
static int renew(struct lithops__k8s_api *api, const struct lithops__bounds *bounds,
                 lithops_error *err)
{
    double now = (double)time(NULL);
    if (api->expires <= 0 || now + EARLY_S < api->expires ||
        (now < api->expires && lithops__now_ns() < api->again_ns))
        return 0;
    lithops_error own = LITHOPS_ERROR_INIT;
    int rc = run_plugin(api, bounds, &own);
    if (rc == 0 || rc == LITHOPS_ECANCELED || (double)time(NULL) >= api->expires) {
        if (rc != 0 && err)
            *err = own;
        return rc;
    }
    api->again_ns = lithops__now_ns() + AGAIN_S * 1000000000ull;
    lithops__log(LITHOPS_LOG_WARNING, "k8s", "the old credentials are used while they are good: %s",
                 own.message);
    return 0;
}

static int log_in(struct lithops__k8s_api *api, const struct lithops__bounds *bounds,
                  lithops_error *err)
{
    const struct lithops__k8s_access *access = &api->access;
    if (api->is_ready && access->exec)
        return renew(api, bounds, err);
    if (api->is_ready)
        return access->token_file && lithops__now_ns() - api->read_ns > TOKEN_S * 1000000000ull
                   ? read_token(api, err)
                   : 0;
    int rc = take_pem(access->authorities, access->authorities_file, &api->authorities, err);
    if (rc == 0)
        rc = take_pem(access->certificate, access->certificate_file, &api->certificate, err);
    if (rc == 0)
        rc = take_pem(access->key, access->key_file, &api->key, err);
    if (rc == 0)
        rc = access->exec ? run_plugin(api, bounds, err) : read_token(api, err);
    api->is_ready = rc == 0;
    if (rc != 0 && rc != LITHOPS_ECANCELED)
        lithops__error_prefix(err, "Kubernetes");
    return rc;
}

/* The server did not accept the credentials. @return whether there may be others */
static bool log_out(struct lithops__k8s_api *api, const char *authorization)
{
    pthread_mutex_lock(&api->lock);
    bool is_current = !authorization || !api->token ||
                      strcmp(authorization + strlen("Authorization: Bearer "), api->token) == 0;
    bool can_change = api->access.exec || api->access.token_file;
    if (is_current && can_change)
        api->is_ready = false;
    pthread_mutex_unlock(&api->lock);
    return can_change;
}

/* ---- handles --------------------------------------------------------------------------------- */

static lithops_bytes bytes_of(const char *text)
{
    return (lithops_bytes){text, text ? strlen(text) : 0};
}

/* "https://host:port/x" by another name: the URL's, and how curl is told. */
static bool rename_server(const struct lithops__k8s_access *access, char **ret_url,
                          char **ret_connect)
{
    *ret_connect = NULL;
    if (!access->server_name || strncmp(access->server, "https://", 8) != 0)
        return (*ret_url = strdup(access->server)) != NULL;
    const char *host = access->server + 8, *end = host + strcspn(host, "/");
    const char *colon = host[0] == '[' ? strchr(host, ']') : host;
    colon = colon ? strchr(colon, ':') : NULL;
    bool has_port = colon && colon < end;
    int host_len = (int)((has_port ? colon : end) - host);
    int port_len = has_port ? (int)(end - colon - 1) : 3;
    const char *port = has_port ? colon + 1 : "443";
    if (asprintf(ret_url, "https://%s:%.*s%s", access->server_name, port_len, port, end) < 0)
        return false;
    if (asprintf(ret_connect, "%s:%.*s:%.*s:%.*s", access->server_name, port_len, port, host_len,
                 host, port_len, port) >= 0)
        return true;
    free(*ret_url);
    *ret_url = NULL;
    return false;
}

static int open_handle(struct lithops__k8s_api *api, const char *connect, bool is_watch,
                       struct handle *ret_handle, lithops_error *err)
{
    const struct lithops__http_identity identity = {
        .authorities = bytes_of(api->authorities),
        .certificate = bytes_of(api->certificate),
        .key = bytes_of(api->key),
        .any_certificate = api->access.any_certificate,
        .connect_to = connect,
        .proxy = api->access.proxy,
    };
    const struct lithops__http_limits limits = {
        .stall_timeout_ms = is_watch ? WATCH_STALL_MS : STALL_MS, .identity = &identity};
    ret_handle->generation = api->generation;
    return api->http->open(&limits, &ret_handle->transfer, err);
}

/* Log in, and take a handle; what it needs for one request. */
static int begin(struct lithops__k8s_api *api, bool is_watch, const struct lithops__bounds *bounds,
                 struct handle *ret_handle, char **ret_url, char **ret_authorization,
                 lithops_error *err)
{
    char *connect = NULL;
    *ret_url = *ret_authorization = NULL;
    pthread_mutex_lock(&api->lock);
    int rc = log_in(api, bounds, err);
    if (rc == 0 && !rename_server(&api->access, ret_url, &connect))
        rc = out_of_memory(err);
    if (rc == 0 && api->token &&
        asprintf(ret_authorization, "Authorization: Bearer %s", api->token) < 0)
        rc = out_of_memory(err);
    while (rc == 0 && !is_watch && api->idle_count > 0 &&
           api->idle[api->idle_count - 1].generation != api->generation)
        api->http->close(api->idle[--api->idle_count].transfer);
    if (rc == 0 && !is_watch && api->idle_count > 0)
        *ret_handle = api->idle[--api->idle_count];
    else if (rc == 0)
        rc = open_handle(api, connect, is_watch, ret_handle, err);
    pthread_mutex_unlock(&api->lock);
    free(connect);
    if (rc == 0)
        return 0;
    free(*ret_url);
    lithops__secret_free(*ret_authorization);
    return rc;
}

static void end(struct lithops__k8s_api *api, const struct handle *handle, bool is_watch)
{
    api->http->stop(handle->transfer);
    pthread_mutex_lock(&api->lock);
    bool is_kept =
        !is_watch && api->idle_count < IDLE_HANDLES && handle->generation == api->generation;
    if (is_kept)
        api->idle[api->idle_count++] = *handle;
    pthread_mutex_unlock(&api->lock);
    if (!is_kept)
        api->http->close(handle->transfer);
}

/* ---- answers --------------------------------------------------------------------------------- */

bool lithops__k8s_is_quota(const lithops_error *err)
{
    return strstr(err->message, "exceeded quota") != NULL;
}

static int code_of(long status, const char *reason)
{
    switch (status) {
    case 404:
    case 410:
        return LITHOPS_ENOTFOUND;
    case 401:
    case 403:
        return LITHOPS_EDENIED;
    case 429:
        return LITHOPS_ETHROTTLED;
    case 409: /* Conflict, of a quota or an older version, passes */
        return strcmp(reason, "AlreadyExists") == 0 ? LITHOPS_EEXIST : LITHOPS_EBACKEND;
    case 400:
    case 422:
        return LITHOPS_EUSAGE;
    default:
        return LITHOPS_EBACKEND;
    }
}

/* An answer of status 300 and up: no server of an API sends us elsewhere. */
static int refuse(const struct lithops__k8s_api *api, const struct lithops__answer *answer,
                  lithops_error *err)
{
    lithops_value *status =
        lithops_value_from_json(answer->error_text, strlen(answer->error_text), NULL);
    const char *message = lithops_value_get_string(lithops_value_get(status, "message"));
    const char *reason = lithops_value_get_string(lithops_value_get(status, "reason"));
    int code = code_of(answer->status, reason ? reason : "");
    bool is_denied = answer->status == 403 && message && !strstr(message, "exceeded quota");
    const char *advice =
        answer->status == 401
            ? "; it does not accept the credentials: does 'kubectl get pods' work?"
        : is_denied ? "; who looks after the cluster can allow it (docs/kubernetes.md has the role)"
                    : "";
    lithops__fail(err, code, "Kubernetes (%.200s): %.600s%s", api->access.server,
                  message ? message : answer->error_text, advice);
    if (!message && !answer->error_text[0])
        lithops__fail(err, code, "Kubernetes (%.200s): HTTP status %ld%s", api->access.server,
                      answer->status, advice);
    err->http_status = (int)answer->status;
    err->retryable = answer->status == 429 || answer->status >= 500 ||
                     (answer->status == 409 && reason && strcmp(reason, "Conflict") == 0);
    lithops_value_free(status);
    return err->code;
}

static int read_body(struct lithops__k8s_api *api, struct lithops__transfer *transfer,
                     struct lithops__buffer *body, lithops_error *err)
{
    size_t got = CHUNK_BYTES;
    int rc = 0;
    while (rc == 0 && got == CHUNK_BYTES && body->len < MOST_BYTES) {
        void *room = lithops__buffer_reserve(body, CHUNK_BYTES);
        if (!room)
            return out_of_memory(err);
        rc = api->http->pull(transfer, room, CHUNK_BYTES, &got, err);
        body->len += rc == 0 ? got : 0;
    }
    return rc;
}

/* ---- a request ------------------------------------------------------------------------------- */

/* One attempt.
 * @param ret_pause_ms  how long the server asks to wait; 0: it does not
 * @param ret_is_stale  the server did not accept the credentials, and there may be newer ones */
static int send_once(struct lithops__k8s_api *api, const struct lithops__k8s_request *request,
                     lithops_bytes body, struct lithops__buffer *answer, unsigned *ret_pause_ms,
                     bool *ret_is_stale, lithops_error *err)
{
    struct handle handle;
    char *url, *authorization, *whole = NULL;
    char type[96];
    *err = (lithops_error)LITHOPS_ERROR_INIT;
    *ret_pause_ms = 0;
    *ret_is_stale = false;
    answer->len = 0;
    int rc = begin(api, false, &request->bounds, &handle, &url, &authorization, err);
    if (rc != 0)
        return rc;
    snprintf(type, sizeof type, "Content-Type: %s",
             request->type ? request->type : "application/json");
    const char *headers[4] = {"Accept: application/json"};
    size_t count = 1;
    if (authorization)
        headers[count++] = authorization;
    if (request->body)
        headers[count++] = type;
    struct lithops__http_request out = LITHOPS__HTTP_REQUEST(request->method, NULL);
    out.headers = headers;
    out.has_body = request->body != NULL;
    out.body = body;
    out.bounds = request->bounds;
    if (asprintf(&whole, "%s%s", url, request->path) < 0)
        rc = out_of_memory(err);
    out.url = whole;
    if (rc == 0)
        rc = api->http->start(handle.transfer, &out, err);
    if (rc == 0)
        rc = read_body(api, handle.transfer, answer, err);
    if (rc != 0 && rc != LITHOPS_ECANCELED && rc != LITHOPS_ENOMEM)
        lithops__error_prefix(err, "Kubernetes");
    const struct lithops__answer *head = rc == 0 ? api->http->answer(handle.transfer) : NULL;
    if (head && head->status >= 300) {
        rc = refuse(api, head, err);
        long asked_s = head->retry_after_s;
        *ret_pause_ms =
            asked_s <= 0 ? 0 : 1000 * (unsigned)(asked_s < MOST_PAUSE_S ? asked_s : MOST_PAUSE_S);
        *ret_is_stale = head->status == 401 && log_out(api, authorization);
    }
    end(api, &handle, false);
    free(whole);
    free(url);
    lithops__secret_free(authorization);
    return rc;
}

static int send_again(struct lithops__k8s_api *api, const struct lithops__k8s_request *request,
                      lithops_bytes body, struct lithops__buffer *answer, lithops_error *err)
{
    struct lithops__retry retry = {.attempts = request->attempts ? request->attempts : 1,
                                   .first_delay_ms = FIRST_DELAY_MS,
                                   .bounds = request->bounds};
    bool is_stale, was_away = false;
    unsigned pause_ms;
    int rc;
    do {
        rc = send_once(api, request, body, answer, &pause_ms, &is_stale, err);
        if (is_stale) /* once more with new credentials */
            rc = send_once(api, request, body, answer, &pause_ms, &is_stale, err);
        /* A server that has just started does not know yet who may do what. */
        was_away |= rc != 0 && err->http_status == 0;
        err->retryable |= was_away && (err->http_status == 401 || err->http_status == 403);
    } while (rc && lithops__retry_again(&retry, err, pause_ms));
    return rc ? err->code : 0;
}

int lithops__k8s_ask(struct lithops__k8s_api *api, const struct lithops__k8s_request *request,
                     lithops_value **ret_answer, lithops_error *err)
{
    lithops_error own = LITHOPS_ERROR_INIT;
    struct lithops__buffer answer = LITHOPS__BUFFER_INIT;
    char *body = NULL;
    err = err ? err : &own;
    int rc = request->body ? lithops_value_to_json(request->body, &body, err) : 0;
    if (rc == 0)
        rc = send_again(api, request, bytes_of(body), &answer, err);
    if (rc == 0 && ret_answer) {
        *ret_answer = lithops_value_from_json((const char *)answer.data, answer.len, err);
        if (!*ret_answer)
            rc = lithops__fail(err, LITHOPS_EBACKEND,
                               "Kubernetes (%.200s) answered something else than JSON",
                               api->access.server);
    }
    lithops__secret_free(body);
    lithops__buffer_deinit(&answer);
    return rc;
}

void lithops__k8s_path(char *buf, size_t size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(buf, size, format, args);
    va_end(args);
}

int lithops__k8s_next_page(const lithops_value *answer, char *buf, size_t size, lithops_error *err)
{
    const char *next = lithops_value_get_string(
        lithops_value_get(lithops_value_get(answer, "metadata"), "continue"));
    size_t len = next ? strlen(next) : 0;
    bool is_fine = len < size && strspn(next ? next : "", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                                          "abcdefghijklmnopqrstuvwxyz"
                                                          "0123456789-_=.") == len;
    if (!is_fine)
        return lithops__fail(err, LITHOPS_EBACKEND,
                             "Kubernetes: the list goes on by what is no token");
    snprintf(buf, size, "%s", next ? next : "");
    return 0;
}

/* ---- a watch --------------------------------------------------------------------------------- */

/* Give each whole line. False: it is enough. */
static bool give_lines(struct lithops__buffer *lines, bool (*came)(void *, const char *, size_t),
                       void *user)
{
    size_t start = 0;
    bool goes_on = true;
    for (;;) {
        const unsigned char *at = lines->data + start;
        const unsigned char *end_of = memchr(at, '\n', lines->len - start);
        if (!end_of || !goes_on)
            break;
        goes_on = came(user, (const char *)at, (size_t)(end_of - at));
        start += (size_t)(end_of - at) + 1;
    }
    memmove(lines->data, lines->data + start, lines->len - start);
    lines->len -= start;
    return goes_on;
}

static int follow(struct lithops__k8s_api *api, struct lithops__transfer *transfer,
                  bool (*came)(void *, const char *, size_t), void *user, lithops_error *err)
{
    struct lithops__buffer lines = LITHOPS__BUFFER_INIT;
    size_t got = 1;
    int rc = 0;
    while (rc == 0 && got > 0) {
        void *room = lithops__buffer_reserve(&lines, CHUNK_BYTES);
        if (!room || lines.len > MOST_BYTES) {
            rc = out_of_memory(err);
            break;
        }
        rc = api->http->pull(transfer, room, CHUNK_BYTES, &got, err);
        lines.len += got;
        if (rc == 0 && !give_lines(&lines, came, user))
            break;
    }
    lithops__buffer_deinit(&lines);
    return rc;
}

int lithops__k8s_watch(struct lithops__k8s_api *api, const char *path,
                       const struct lithops__bounds *bounds,
                       bool (*came)(void *user, const char *line, size_t len), void *user,
                       lithops_error *err)
{
    struct handle handle;
    char *url, *authorization, *whole = NULL;
    int rc = begin(api, true, bounds, &handle, &url, &authorization, err);
    if (rc != 0)
        return rc;
    const char *headers[3] = {"Accept: application/json", authorization};
    struct lithops__http_request out = LITHOPS__HTTP_REQUEST("GET", NULL);
    out.headers = headers;
    out.as_it_comes = true;
    out.bounds = *bounds;
    rc = asprintf(&whole, "%s%s", url, path) < 0 ? out_of_memory(err) : 0;
    out.url = whole;
    if (rc == 0)
        rc = api->http->start(handle.transfer, &out, err);
    if (rc == 0)
        rc = follow(api, handle.transfer, came, user, err);
    const struct lithops__answer *head = rc == 0 ? api->http->answer(handle.transfer) : NULL;
    if (head && head->status >= 300) {
        rc = refuse(api, head, err);
        if (head->status == 401)
            (void)log_out(api, authorization);
    }
    end(api, &handle, true);
    free(whole);
    free(url);
    lithops__secret_free(authorization);
    return rc;
}
