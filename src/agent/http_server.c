/* SPDX-License-Identifier: Apache-2.0 */
/* The loop of `lithops worker --http`, `--openwhisk` and `--fn`: connections, and the workers that
 * they have started.
 *
 *     READING --activation--> RUNNING --worker ends--> WRITING --all sent--> LINGERING --> closed
 *        '------ anything else: an answer ------------->'
 *
 * A connection has one request. While its worker runs a blank is sent now and then, so that no
 * proxy takes the connection for dead; that it hangs up is seen at once. Then the worker gets
 * SIGINT, which is how workers are told to end, and SIGKILL when it has not for a while; the
 * connection's place is taken until then.
 *
 * As the action of OpenWhisk it takes `/init` once and then activations at `/run`, whose answers
 * come when their workers have ended; these are told to end before the platform kills everything.
 * The same as the container of a function of Fn, with one request to `/call` at a time.
 */
#include "agent/http_server.h"

#include "agent/fn.h"
#include "agent/http_request.h"
#include "agent/through.h"
#include "agent/whisk.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/module.h"
#include "ipc/area.h"
#include "net/activation.h"

#include <lithops/value.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    SPARE_CONNECTIONS = 64, /* besides those whose workers run */
    READ_BYTES = 16 << 10,
    HOW_BYTES = 512,
};
static const uint64_t ms_ns = 1000000;
static const uint64_t request_ms = 30000; /* in which a request must have come */
static const uint64_t sign_ms = 15000;    /* between two signs of life */
static const uint64_t linger_ms = 2000;   /* until the other side has read the answer */
static const uint64_t kill_ms = 5000;     /* from SIGINT to SIGKILL */
static const int64_t margin_ms = 6000;    /* from SIGINT to the deadline of an action */

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

enum state { READING, RUNNING, WRITING, LINGERING };

struct connection {
    struct connection *next;
    int fd; /* -1: the other side has hung up, the worker has not ended yet */
    enum state state;
    struct lithops__buffer in, out;
    size_t sent; /* of `out` */
    struct lithops__http_head head;
    bool has_head;
    struct lithops__child child;
    uint64_t until_ns; /* end of reading or lingering, or the next sign */
    uint64_t kill_ns;  /* when its worker is killed; UINT64_MAX: it was not told to end */
    struct pollfd *polled, *polled_child; /* NULL: not now */
};

struct counts {
    uint64_t started, busy, malformed, unsigned_, forged, stale, replayed;
};

struct lithops__http_server {
    struct lithops__http_server_options options;
    const struct lithops__crypto_api *crypto;
    int fd;
    uint32_t port;
    struct connection *connections;
    uint32_t count, running;
    bool is_draining;
    uint64_t drained_ns; /* when workers are told to end */
    struct lithops__activation_seen seen;
    struct counts counts;
    struct pollfd *fds;
    struct lithops__standby standby;          /* for the next request */
    bool is_alone;                            /* no standby can be started now */
    bool is_initialized;                      /* as an action of OpenWhisk */
    char whisk_secret[LITHOPS__WHISK_SECRET]; /* that it was told */
};

/* The answer comes when the worker has ended, as a whole. */
static bool gathers(const struct lithops__http_server *server)
{
    return server->options.is_whisk || server->options.fn_path;
}

/* ---- answers --------------------------------------------------------------------------------- */

static const char *reason_of(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {{200, "OK"},
                   {400, "Bad Request"},
                   {401, "Unauthorized"},
                   {403, "Forbidden"},
                   {404, "Not Found"},
                   {405, "Method Not Allowed"},
                   {408, "Request Timeout"},
                   {409, "Conflict"},
                   {411, "Length Required"},
                   {413, "Content Too Large"},
                   {429, "Too Many Requests"},
                   {431, "Request Header Fields Too Large"},
                   {500, "Internal Server Error"},
                   {501, "Not Implemented"},
                   {503, "Service Unavailable"},
                   {505, "HTTP Version Not Supported"}};
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Error";
}

static void begin_writing(struct connection *connection)
{
    connection->state = WRITING;
    connection->until_ns = lithops__now_ns() + request_ms * ms_ns;
}

/* `body` is JSON. */
static void answer(struct connection *connection, int status, const char *body)
{
    lithops__buffer_printf(&connection->out,
                           "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\n"
                           "Content-Length: %zu\r\nCache-Control: no-store\r\n%s"
                           "Connection: close\r\n\r\n%s",
                           status, reason_of(status), strlen(body),
                           status == 429 || status == 503 ? "Retry-After: 1\r\n" : "", body);
    begin_writing(connection);
}

static void refuse(struct connection *connection, int status, const char *why)
{
    char body[256];
    snprintf(body, sizeof body, "{\"error\": \"%s\"}\n", why);
    answer(connection, status, body);
}

static void show_health(const struct lithops__http_server *server, struct connection *connection)
{
    const struct counts *counts = &server->counts;
    char body[512];
    snprintf(body, sizeof body,
             "{\"status\": \"%s\", \"running\": %u, \"limit\": %u, \"started\": %llu, "
             "\"busy\": %llu, \"refused\": {\"malformed\": %llu, \"unsigned\": %llu, "
             "\"forged\": %llu, \"stale\": %llu, \"replayed\": %llu}}\n",
             server->is_draining ? "draining" : "ok", server->running, server->options.limit,
             (unsigned long long)counts->started, (unsigned long long)counts->busy,
             (unsigned long long)counts->malformed, (unsigned long long)counts->unsigned_,
             (unsigned long long)counts->forged, (unsigned long long)counts->stale,
             (unsigned long long)counts->replayed);
    answer(connection, server->is_draining ? 503 : 200, body);
}

/* A piece of an answer whose length is not known; "": its end. */
static void append_piece(struct connection *connection, const char *text)
{
    if (connection->head.is_old)
        lithops__buffer_append_string(&connection->out, text);
    else
        lithops__buffer_printf(&connection->out, "%zx\r\n%s\r\n", strlen(text), text);
}

/* ---- workers --------------------------------------------------------------------------------- */

static void end_worker(struct connection *connection)
{
    if (connection->kill_ns != UINT64_MAX)
        return;
    lithops__watch_signal(&connection->child.watch, SIGINT);
    connection->kill_ns = lithops__now_ns() + kill_ms * ms_ns;
}

static void start_worker(struct lithops__http_server *server, struct connection *connection,
                         char *text, const char *proof)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    char *config = strchr(text, '\n');
    if (!config) {
        server->counts.malformed++;
        refuse(connection, 400,
               "an activation is the key of a link, a line end, and a configuration");
        return;
    }
    *config++ = '\0';
    if (lithops__through_start(&server->standby, server->options.command, true, text, config,
                               &connection->child, &err) != 0) {
        lithops__log(LITHOPS_LOG_ERROR, "http", "%s", err.message);
        refuse(connection, 500, "the worker cannot be started here; see its log");
        return;
    }
    lithops__log(LITHOPS_LOG_INFO, "http", "worker %d is started for %s",
                 (int)connection->child.watch.pid, text);
    server->counts.started++;
    server->running++;
    connection->state = RUNNING;
    connection->kill_ns = UINT64_MAX;
    if (gathers(server))
        return;
    lithops__buffer_printf(
        &connection->out,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        "%sCache-Control: no-store\r\nX-Accel-Buffering: no\r\n" LITHOPS__ACTIVATION_PROOF_NAME
        ": %s\r\nConnection: close\r\n\r\n",
        connection->head.is_old ? "" : "Transfer-Encoding: chunked\r\n", proof);
    append_piece(connection, " ");
    connection->until_ns = lithops__now_ns() + sign_ms * ms_ns;
}

/* An activation has failed in the eyes of the platform if its result has an error. */
static void answer_run(struct connection *connection, const char *how)
{
    static const char good[] = "it ended with exit status 0";
    bool is_good = strncmp(how, good, sizeof good - 1) == 0; /* what it has printed may follow */
    lithops_value *value = lithops_pack("{s:s}", is_good ? "ended" : "error", how);
    char *json = NULL;
    if (value && lithops_value_to_json(value, &json, NULL) == 0)
        answer(connection, 200, json);
    else
        refuse(connection, 500, "out of memory");
    free(json);
    lithops_value_free(value);
}

static void finish_worker(struct lithops__http_server *server, struct connection *connection)
{
    char how[HOW_BYTES] = "";
    int pid = (int)connection->child.watch.pid;
    lithops__through_end(&connection->child, how, sizeof how);
    server->running--;
    server->is_alone = false;
    lithops__log(LITHOPS_LOG_INFO, "http", "worker %d: %s", pid, how);
    if (gathers(server)) {
        answer_run(connection, how);
        if (server->options.is_whisk)
            lithops__whisk_end_log();
        return;
    }
    lithops_value *value = lithops_pack("{s:s}", "ended", how);
    char *json = NULL;
    if (value && lithops_value_to_json(value, &json, NULL) == 0) {
        append_piece(connection, json);
        append_piece(connection, "");
    }
    free(json);
    lithops_value_free(value);
    begin_writing(connection);
}

/* ---- requests -------------------------------------------------------------------------------- */

static lithops_bytes body_of(const struct connection *connection)
{
    return (lithops_bytes){connection->in.data + connection->head.len, connection->head.body_len};
}

static void take_activation(struct lithops__http_server *server, struct connection *connection,
                            const char *header, lithops_bytes body)
{
    struct counts *counts = &server->counts;
    char *text = NULL, proof[LITHOPS__HEX_HASH];
    enum lithops__activation_verdict verdict =
        lithops__activation_open(server->crypto, server->options.secret, header, body, time(NULL),
                                 &server->seen, &text, proof);
    static const struct {
        int status;
        const char *why;
    } refusals[] = {
        [LITHOPS__ACTIVATION_UNSIGNED] = {401, "the request is not signed"},
        [LITHOPS__ACTIVATION_FORGED] = {401, "the signature is not of this worker's secret"},
        [LITHOPS__ACTIVATION_STALE] = {403, "the request is too old, or the clocks differ"},
        [LITHOPS__ACTIVATION_REPLAYED] = {409, "the request was here before"},
        [LITHOPS__ACTIVATION_FAILED] = {500, "out of memory"},
    };
    counts->unsigned_ += verdict == LITHOPS__ACTIVATION_UNSIGNED;
    counts->forged += verdict == LITHOPS__ACTIVATION_FORGED;
    counts->stale += verdict == LITHOPS__ACTIVATION_STALE;
    counts->replayed += verdict == LITHOPS__ACTIVATION_REPLAYED;
    if (verdict != LITHOPS__ACTIVATION_GOOD) {
        lithops__log(LITHOPS_LOG_WARNING, "http", "refused: %s", refusals[verdict].why);
        refuse(connection, refusals[verdict].status, refusals[verdict].why);
        return;
    }
    if (server->running >= server->options.limit) {
        counts->busy++;
        refuse(connection, 429, "as many workers run here as may");
    } else {
        start_worker(server, connection, text, proof);
    }
    explicit_bzero(text, body.len - LITHOPS__SEAL_TAG_BYTES);
    free(text);
}

static void take_init(struct lithops__http_server *server, struct connection *connection)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    char secret[LITHOPS__WHISK_SECRET];
    if (server->is_initialized) {
        refuse(connection, 403, "the action is initialized already");
        return;
    }
    int rc = lithops__whisk_init(body_of(connection), secret, &err);
    if (rc == 0 && secret[0]) {
        memcpy(server->whisk_secret, secret, sizeof secret);
        server->options.secret = server->whisk_secret;
    }
    explicit_bzero(secret, sizeof secret);
    if (rc != 0) {
        lithops__log(LITHOPS_LOG_ERROR, "http", "%s", err.message);
        refuse(connection, 400, "this is not how OpenWhisk initializes an action");
    } else if (strlen(server->options.secret) < LITHOPS__ACTIVATION_SECRET_MIN) {
        refuse(connection, 502,
               "the action needs LITHOPS_WORKER_SECRET in its environment, of 32 characters at "
               "least");
    } else {
        server->is_initialized = true;
        answer(connection, 200, "{\"ok\": true}\n");
    }
    lithops__whisk_end_log();
}

static void limit_run(struct connection *connection, int64_t left_ms)
{
    connection->until_ns =
        left_ms == INT64_MAX
            ? UINT64_MAX
            : lithops__now_ns() +
                  (left_ms > margin_ms ? (uint64_t)(left_ms - margin_ms) * ms_ns : 0);
}

static void take_run(struct lithops__http_server *server, struct connection *connection)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    struct lithops__whisk_run run = {.value = NULL};
    if (!server->is_initialized) {
        refuse(connection, 400, "the action is not initialized");
    } else if (lithops__whisk_run_read(body_of(connection), &run, &err) != 0) {
        server->counts.malformed++;
        refuse(connection, 400, "this is not how OpenWhisk runs an action");
    } else {
        take_activation(server, connection, run.activation, run.sealed);
    }
    if (connection->state == RUNNING)
        limit_run(connection, run.left_ms);
    else
        lithops__whisk_end_log();
    lithops_value_free(run.value);
}

static void take_call(struct lithops__http_server *server, struct connection *connection)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    const struct lithops__http_head *head = &connection->head;
    struct lithops__whisk_run run = {.value = NULL};
    if (strcmp(head->path, "/call") != 0) {
        refuse(connection, 404, "POST to /call, or GET /health");
    } else if (server->is_draining) {
        refuse(connection, 503, "this worker ends");
    } else if (lithops__fn_call_read(body_of(connection), head->has_header ? head->header : NULL,
                                     &run, &err) != 0) {
        server->counts.malformed++;
        refuse(connection, 400, "this is not how a worker is called");
    } else {
        take_activation(server, connection, run.activation, run.sealed);
    }
    if (connection->state == RUNNING)
        limit_run(connection, run.left_ms);
    lithops_value_free(run.value);
}

/* A POST to an action: nothing but what OpenWhisk asks of it. */
static void take_whisk(struct lithops__http_server *server, struct connection *connection)
{
    const char *path = connection->head.path;
    bool is_init = strcmp(path, "/init") == 0;
    if (!is_init && strcmp(path, "/run") != 0) {
        refuse(connection, 404, "POST to /init or /run, or GET /health");
    } else if (server->is_draining) {
        refuse(connection, 503, "this worker ends");
        lithops__whisk_end_log();
    } else if (is_init) {
        take_init(server, connection);
    } else {
        take_run(server, connection);
    }
}

static bool is_health(const struct lithops__http_server *server, const char *path)
{
    static const char health[] = "/health";
    size_t len = strlen(path), most = sizeof health - 1;
    bool is_below = server->options.any_path && len > most;
    return strcmp(is_below ? path + len - most : path, health) == 0;
}

static void take_request(struct lithops__http_server *server, struct connection *connection)
{
    const struct lithops__http_head *head = &connection->head;
    bool is_get = strcmp(head->method, "GET") == 0, is_post = strcmp(head->method, "POST") == 0;
    bool is_right = server->options.any_path || strcmp(head->path, "/") == 0;
    if (is_get && is_health(server, head->path))
        show_health(server, connection);
    else if (!is_get && !is_post)
        refuse(connection, 405, "POST an activation, or GET /health");
    else if (is_post && server->options.is_whisk)
        take_whisk(server, connection);
    else if (is_post && server->options.fn_path)
        take_call(server, connection);
    else if (!is_post || !is_right)
        refuse(connection, 404, "POST an activation to /, or GET /health");
    else if (server->is_draining)
        refuse(connection, 503, "this worker ends");
    else
        take_activation(server, connection, head->has_header ? head->header : NULL,
                        body_of(connection));
    explicit_bzero(connection->in.data, connection->in.len); /* there may be a secret in it */
    lithops__buffer_deinit(&connection->in);
}

/* As lithops__http_chunks_read(). */
static int put_together(struct connection *connection)
{
    struct lithops__http_head *head = &connection->head;
    size_t len = 0;
    int status = lithops__http_chunks_read((char *)connection->in.data + head->len,
                                           connection->in.len - head->len,
                                           LITHOPS__ACTIVATION_BODY_MAX, &len);
    head->body_len = len;
    return status;
}

/* Some of it has come. */
static void look_at_request(struct lithops__http_server *server, struct connection *connection)
{
    struct lithops__http_head *head = &connection->head;
    if (!connection->has_head) {
        int status = lithops__http_head_read(
            (const char *)connection->in.data, connection->in.len,
            server->options.fn_path ? "Fn-Deadline" : LITHOPS__ACTIVATION_HEADER_NAME,
            LITHOPS__ACTIVATION_BODY_MAX, head);
        if (status > 1) {
            server->counts.malformed++;
            refuse(connection, status, "this is not a request for a worker");
            return;
        }
        connection->has_head = status == 1;
        if (connection->has_head && head->wants_continue &&
            (head->is_chunked || connection->in.len < head->len + head->body_len))
            lithops__buffer_append_string(&connection->out, "HTTP/1.1 100 Continue\r\n\r\n");
    }
    int status = connection->has_head && head->is_chunked ? put_together(connection) : 1;
    if (status > 1) {
        server->counts.malformed++;
        refuse(connection, status, "this is not a request for a worker");
    } else if (connection->has_head && status == 1 &&
               connection->in.len >= head->len + head->body_len) {
        take_request(server, connection);
    }
}

/* ---- connections ----------------------------------------------------------------------------- */

static void hang_up(struct connection *connection)
{
    if (connection->fd >= 0)
        close(connection->fd);
    connection->fd = -1;
    connection->out.len = connection->sent = 0;
    if (connection->state == RUNNING)
        end_worker(connection);
}

static void read_request(struct lithops__http_server *server, struct connection *connection)
{
    void *room = lithops__buffer_reserve(&connection->in, READ_BYTES);
    ssize_t n = room ? read(connection->fd, room, READ_BYTES) : 0;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        hang_up(connection);
        return;
    }
    connection->in.len += (size_t)n;
    look_at_request(server, connection);
}

/* What the other side says after its request; true: it says nothing more. */
static bool has_closed(const struct connection *connection)
{
    char dropped[4096];
    ssize_t n = read(connection->fd, dropped, sizeof dropped);
    return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

static void write_some(struct connection *connection)
{
    struct lithops__buffer *out = &connection->out;
    ssize_t n = send(connection->fd, out->data + connection->sent, out->len - connection->sent,
                     MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0 || out->failed) {
        hang_up(connection);
        return;
    }
    connection->sent += (size_t)n;
    if (connection->sent < out->len)
        return;
    out->len = connection->sent = 0;
    if (connection->state == WRITING) {
        (void)shutdown(connection->fd, SHUT_WR);
        connection->state = LINGERING;
        connection->until_ns = lithops__now_ns() + linger_ms * ms_ns;
    }
}

static void tend_socket(struct lithops__http_server *server, struct connection *connection)
{
    short events = connection->polled ? connection->polled->revents : 0;
    if (connection->fd >= 0 && connection->state == RUNNING &&
        events & (POLLRDHUP | POLLHUP | POLLERR))
        hang_up(connection);
    if (connection->fd >= 0 && connection->state == READING && events & ~POLLOUT)
        read_request(server, connection);
    if (connection->fd >= 0 && connection->state == LINGERING && events && has_closed(connection))
        hang_up(connection);
    if (connection->fd >= 0 && connection->out.len > connection->sent)
        write_some(connection);
}

static void tend_worker(struct lithops__http_server *server, struct connection *connection,
                        uint64_t now)
{
    short events = connection->polled_child ? connection->polled_child->revents : 0;
    if (lithops__watch_is_over(&connection->child.watch, events)) {
        finish_worker(server, connection);
        return;
    }
    if (now >= connection->kill_ns) {
        lithops__watch_signal(&connection->child.watch, SIGKILL);
        connection->kill_ns = now + kill_ms * ms_ns;
    }
    if (gathers(server) && now >= connection->until_ns) {
        connection->until_ns = UINT64_MAX;
        end_worker(connection);
    } else if (connection->fd >= 0 && now >= connection->until_ns) {
        append_piece(connection, "\n");
        connection->until_ns = now + sign_ms * ms_ns;
    }
}

static void tend(struct lithops__http_server *server, struct connection *connection)
{
    uint64_t now = lithops__now_ns();
    tend_socket(server, connection);
    if (connection->state == RUNNING)
        tend_worker(server, connection, now);
    if (connection->state == READING && connection->fd >= 0 && now >= connection->until_ns)
        refuse(connection, 408, "the request did not come in time");
    if (connection->state != RUNNING && connection->state != READING && now >= connection->until_ns)
        hang_up(connection);
}

static void free_connection(struct connection *connection)
{
    if (connection->fd >= 0)
        close(connection->fd);
    lithops__buffer_deinit(&connection->in);
    lithops__buffer_deinit(&connection->out);
    free(connection);
}

static void drop_closed(struct lithops__http_server *server)
{
    struct connection **at = &server->connections;
    while (*at) {
        struct connection *connection = *at;
        if (connection->fd >= 0 || connection->state == RUNNING) {
            at = &connection->next;
            continue;
        }
        *at = connection->next;
        free_connection(connection);
        server->count--;
    }
}

static uint32_t most_connections(const struct lithops__http_server *server)
{
    return server->options.limit + SPARE_CONNECTIONS;
}

static void take_connections(struct lithops__http_server *server)
{
    while (server->count < most_connections(server)) {
        union address peer;
        socklen_t size = sizeof peer;
        int fd =
            lithops__high_fd(accept4(server->fd, &peer.any, &size, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (fd < 0)
            return;
        struct connection *connection = calloc(1, sizeof *connection);
        if (!connection) {
            close(fd);
            return;
        }
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        connection->fd = fd;
        connection->until_ns = lithops__now_ns() + request_ms * ms_ns;
        connection->kill_ns = UINT64_MAX;
        connection->child.watch.fd = connection->child.log_fd = -1;
        connection->next = server->connections;
        server->connections = connection;
        server->count++;
    }
}

/* ---- the loop -------------------------------------------------------------------------------- */

static struct pollfd *watch_fd(struct lithops__http_server *server, nfds_t *count, int fd,
                               short events)
{
    if (fd < 0)
        return NULL;
    server->fds[*count] = (struct pollfd){fd, events, 0};
    return &server->fds[(*count)++];
}

/* @return when something is to be done though nothing comes */
static uint64_t list_fds(struct lithops__http_server *server, nfds_t *count)
{
    uint64_t until = server->drained_ns;
    for (struct connection *c = server->connections; c; c = c->next) {
        short events = c->state == RUNNING ? POLLRDHUP : POLLIN;
        if (c->out.len > c->sent)
            events |= POLLOUT;
        c->polled = watch_fd(server, count, c->fd, events);
        c->polled_child = NULL;
        if (c->fd >= 0)
            until = lithops__earlier(until, c->until_ns);
        if (c->state != RUNNING)
            continue;
        c->polled_child = watch_fd(server, count, c->child.watch.fd, POLLIN);
        until = lithops__earlier(until, c->kill_ns);
        until = lithops__earlier(until, lithops__watch_look_again(&c->child.watch));
    }
    return until;
}

/* As the first process of a container it gets the children of those that have ended. */
static void reap_orphans(struct lithops__http_server *server)
{
    siginfo_t status;
    for (;;) {
        status.si_pid = 0;
        if (waitid(P_ALL, 0, &status, WEXITED | WNOHANG | WNOWAIT) != 0 || status.si_pid == 0)
            return;
        if (server->standby.fd >= 0 && status.si_pid == server->standby.child.watch.pid) {
            lithops__through_drop(&server->standby);
            server->is_alone = true;
            continue;
        }
        for (const struct connection *c = server->connections; c; c = c->next)
            if (c->state == RUNNING && c->child.watch.pid == status.si_pid)
                return;
        (void)waitid(P_PID, (id_t)status.si_pid, &status, WEXITED | WNOHANG);
    }
}

static void note_stop(struct lithops__http_server *server, int stop_fd)
{
    eventfd_t times;
    (void)eventfd_read(stop_fd, &times);
    uint64_t now = lithops__now_ns();
    if (!server->is_draining) {
        server->is_draining = true;
        server->drained_ns = now + server->options.drain_ms * ms_ns;
        lithops__log(LITHOPS_LOG_INFO, "http", "draining: %u workers run", server->running);
        return;
    }
    for (struct connection *c = server->connections; c; c = c->next)
        if (c->state == RUNNING)
            c->kill_ns = now;
}

static void end_workers(struct lithops__http_server *server)
{
    server->drained_ns = UINT64_MAX;
    for (struct connection *c = server->connections; c; c = c->next)
        if (c->state == RUNNING)
            end_worker(c);
}

/* A worker for the next request gets ready while nothing else is to be done. */
static void prepare_worker(struct lithops__http_server *server)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    if (server->is_draining)
        lithops__through_drop(&server->standby);
    else if (server->standby.fd < 0 && !server->is_alone &&
             server->running < server->options.limit &&
             (server->is_initialized || !server->options.is_whisk))
        server->is_alone = lithops__through_prepare(&server->standby, server->options.command, true,
                                                    &err) != 0; /* a request tells why */
}

static int turn(struct lithops__http_server *server, int stop_fd, lithops_error *err)
{
    const bool is_init = getpid() == 1;
    nfds_t count = 0;
    prepare_worker(server);
    const struct pollfd *stop = watch_fd(server, &count, stop_fd, POLLIN);
    const struct pollfd *listening = watch_fd(
        server, &count, server->count < most_connections(server) ? server->fd : -1, POLLIN);
    uint64_t until = list_fds(server, &count), now = lithops__now_ns();
    uint64_t wait_ms = until <= now ? 0 : (until - now) / ms_ns + 1;
    uint64_t most_ms = is_init ? 1000 : 60000;
    int rc = poll(server->fds, count, (int)(wait_ms < most_ms ? wait_ms : most_ms));
    if (rc < 0 && errno != EINTR)
        return lithops__fail_errno(err, errno, "cannot wait for requests");
    if (rc < 0)
        return 0;
    if (stop && stop->revents)
        note_stop(server, stop_fd);
    for (struct connection *c = server->connections; c; c = c->next)
        tend(server, c);
    drop_closed(server);
    if (listening && listening->revents)
        take_connections(server);
    if (server->is_draining && lithops__now_ns() >= server->drained_ns)
        end_workers(server);
    if (is_init)
        reap_orphans(server);
    return 0;
}

/* Nobody waits for an answer. */
static bool is_drained(const struct lithops__http_server *server)
{
    bool owes = server->running > 0;
    for (const struct connection *c = server->connections; c; c = c->next)
        owes |= c->state != READING;
    return server->is_draining && !owes;
}

/* The first message that is sealed and opened takes a millisecond, as OpenSSL then looks for what
 * it needs. It has time for that before there is a request. */
static void warm_up(const struct lithops__http_server *server)
{
    static const char secret[LITHOPS__ACTIVATION_SECRET_MIN + 1] =
        "not one of anybody, only as long";
    char header[LITHOPS__ACTIVATION_HEADER], proof[LITHOPS__HEX_HASH], *text = NULL;
    struct lithops__activation_seen seen = {.nonces = NULL};
    struct lithops__buffer body = LITHOPS__BUFFER_INIT;
    lithops_error err = LITHOPS_ERROR_INIT;
    const time_t now = time(NULL);
    if (lithops__activation_seal(server->crypto, secret, "", now, header, proof, &body, &err) == 0)
        (void)lithops__activation_open(server->crypto, secret, header,
                                       (lithops_bytes){body.data, body.len}, now, &seen, &text,
                                       proof);
    free(text);
    lithops__activation_seen_deinit(&seen);
    lithops__buffer_deinit(&body);
}

/* While it drains it answers, so that a service sees why it takes nothing. */
int lithops__http_server_run(struct lithops__http_server *server, int stop_fd, lithops_error *err)
{
    int rc = 0;
    prepare_worker(server);
    warm_up(server);
    while (rc == 0 && !is_drained(server))
        rc = turn(server, stop_fd, err);
    return rc;
}

/* ---- opening --------------------------------------------------------------------------------- */

static int listen_at(const union address *wanted, socklen_t size, int *ret_fd, uint32_t *ret_port)
{
    const int off = 0, on = 1;
    union address address = *wanted;
    int fd = lithops__high_fd(
        socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (fd < 0)
        return errno;
    if (address.any.sa_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, &address.any, size) != 0 || listen(fd, 128) != 0 ||
        getsockname(fd, &address.any, &size) != 0) {
        int failed = errno;
        close(fd);
        return failed;
    }
    *ret_fd = fd;
    *ret_port =
        ntohs(address.any.sa_family == AF_INET ? address.v4.sin_port : address.v6.sin6_port);
    return 0;
}

/* At both families where the machine has both. */
static int listen_anywhere(uint32_t port, int *ret_fd, uint32_t *ret_port)
{
    const union address v6 = {.v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)}};
    const union address v4 = {.v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)}};
    int failed = listen_at(&v6, sizeof v6.v6, ret_fd, ret_port);
    return failed == EAFNOSUPPORT || failed == EADDRNOTAVAIL
               ? listen_at(&v4, sizeof v4.v4, ret_fd, ret_port)
               : failed;
}

int lithops__http_server_open(const struct lithops__http_server_options *options,
                              struct lithops__http_server **ret, lithops_error *err)
{
    if (!options->is_whisk && strlen(options->secret) < LITHOPS__ACTIVATION_SECRET_MIN)
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "the secret of the workers has less than %d characters",
                             LITHOPS__ACTIVATION_SECRET_MIN);
    const struct lithops__crypto_api *crypto =
        lithops__module_symbol("crypto", "lithops__crypto", err);
    if (!crypto)
        return err->code;
    struct lithops__http_server *server = calloc(1, sizeof *server);
    if (!server)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    server->options = *options;
    server->standby = (struct lithops__standby)LITHOPS__STANDBY_NONE;
    server->crypto = crypto;
    server->fd = -1;
    server->drained_ns = UINT64_MAX;
    server->fds = calloc(2 + 2 * (size_t)most_connections(server), sizeof *server->fds);
    int failed = !server->fds       ? ENOMEM
                 : options->fn_path ? lithops__fn_listen(options->fn_path, &server->fd)
                                    : listen_anywhere(options->port, &server->fd, &server->port);
    if (!failed) {
        *ret = server;
        return 0;
    }
    lithops__http_server_close(server);
    if (options->fn_path)
        lithops__fail_errno(err, failed, "cannot listen on %s", options->fn_path);
    else
        lithops__fail_errno(err, failed, "cannot listen on port %u", options->port);
    return err->code = failed == ENOMEM ? LITHOPS_ENOMEM : LITHOPS_EBACKEND;
}

uint32_t lithops__http_server_port(const struct lithops__http_server *server)
{
    return server->port;
}

void lithops__http_server_close(struct lithops__http_server *server)
{
    if (server->fd >= 0)
        close(server->fd);
    if (server->fd >= 0 && server->options.fn_path)
        (void)unlink(server->options.fn_path);
    for (struct connection *c = server->connections, *next; c; c = next) {
        char how[HOW_BYTES];
        next = c->next;
        if (c->state == RUNNING) {
            lithops__watch_signal(&c->child.watch, SIGKILL);
            lithops__through_end(&c->child, how, sizeof how);
        }
        free_connection(c);
    }
    lithops__through_drop(&server->standby);
    lithops__activation_seen_deinit(&server->seen);
    explicit_bzero(server->whisk_secret, sizeof server->whisk_secret);
    free(server->fds);
    free(server);
}
