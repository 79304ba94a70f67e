/* SPDX-License-Identifier: Apache-2.0 */
#include "net/plain.h"

#include "base/clock.h"
#include "base/error.h"
#include "net/tcp.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

enum {
    HEAD = 16 << 10,
    AUTHORITY = 272,
    LOOK_MS = 100,
    IDLE_MAX_S = 100,    /* what was idle for longer may be gone without a word */
    CONNECT_QUICK_S = 1, /* a failure that takes no longer is libcurl's to tell */
};

struct lithops__plain {
    long connect_timeout_ms, stall_timeout_ms;
    struct lithops__tcp *tcp; /* NULL: there is no connection */
    int fd;
    bool is_used;                          /* it has had an answer before */
    char host[AUTHORITY], used[AUTHORITY]; /* with its port: to ask, and of the connection */
    uint64_t idle_since_ns;
    char *text; /* the request */
    size_t text_len, text_room;
    struct lithops__bounds bounds;
    bool closes;                     /* the server will, after this answer */
    bool is_open;                    /* there is a request, and perhaps an answer to it */
    size_t head_len, body_start, at; /* what has come; the body's beginning in it; what is read */
    long status;
    uint64_t length, done; /* of the body */
    CURLcode failed;
    char why[80];
    char head[HEAD + 1]; /* in which each line becomes a string */
};

/* ---- requests -------------------------------------------------------------------------------- */

static const char *const unreserved = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                      "0123456789-._";

static bool has_proxy(void)
{
    static const char *const names[] = {"http_proxy", "all_proxy", "ALL_PROXY"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);
        if (value && *value)
            return true;
    }
    return false;
}

/* What libcurl would change in a URL, or look at more closely, is left to it. */
static bool is_simple(const char *url)
{
    if (strncmp(url, "http://", 7) != 0)
        return false;
    const char *host = url + 7, *port = host + strspn(host, unreserved), *path = port;
    if (*port == ':')
        path = port + 1 + strspn(port + 1, "0123456789");
    if (port == host || path - host >= AUTHORITY || path - port == 1 || path - port > 6 ||
        *path != '/' || strstr(path, "/.") || strchr(path, '#'))
        return false;
    for (const char *p = path; *p; p++)
        if (*p <= ' ' || *p > '~')
            return false;
    return true;
}

bool lithops__plain_fits(const struct lithops__http_request *request)
{
    return strcmp(request->method, "GET") == 0 && !request->has_body &&
           !request->follow_redirects && !request->as_it_comes && is_simple(request->url) &&
           !has_proxy();
}

struct lithops__plain *lithops__plain_new(long connect_timeout_ms, long stall_timeout_ms)
{
    struct lithops__plain *plain = malloc(sizeof *plain);
    if (plain)
        *plain = (struct lithops__plain){.connect_timeout_ms = connect_timeout_ms,
                                         .stall_timeout_ms = stall_timeout_ms};
    return plain;
}

static void disconnect(struct lithops__plain *plain)
{
    lithops__tcp_close(plain->tcp);
    plain->tcp = NULL;
    plain->is_used = false;
}

/* The request may have a signature in it. */
static void forget_text(struct lithops__plain *plain)
{
    if (plain->text)
        explicit_bzero(plain->text, plain->text_len);
    plain->text_len = 0;
}

void lithops__plain_free(struct lithops__plain *plain)
{
    if (!plain)
        return;
    disconnect(plain);
    forget_text(plain);
    free(plain->text);
    free(plain);
}

static bool is_named(const char *header, const char *name)
{
    size_t len = strlen(name);
    return strncasecmp(header, name, len) == 0 && (header[len] == ':' || header[len] == ';');
}

/* As libcurl has it: "Name:" takes a header away, "Name;" has no value. */
static char *put_header(char *to, const char *header)
{
    const char *colon = strchr(header, ':');
    if (colon && colon[1 + strspn(colon + 1, " \t")] == '\0')
        return to;
    const char *end = colon ? NULL : strchr(header, ';');
    if (!colon && !end)
        return to;
    to = colon ? stpcpy(to, header) : stpcpy(mempcpy(to, header, (size_t)(end - header)), ":");
    return stpcpy(to, "\r\n");
}

bool lithops__plain_begin(struct lithops__plain *plain, const struct lithops__http_request *request)
{
    static const char agent[] = "User-Agent: lithops/" LITHOPS_VERSION, accept[] = "Accept: */*";
    const char *host = request->url + 7, *path = strchr(host, '/');
    const char *const *headers = request->headers;
    bool named_host = false, named_agent = false, named_accept = false;
    size_t most = strlen(request->url) + AUTHORITY + sizeof agent + sizeof accept + 100;
    for (size_t i = 0; headers && headers[i]; i++) {
        named_host = named_host || is_named(headers[i], "host");
        named_agent = named_agent || is_named(headers[i], "user-agent");
        named_accept = named_accept || is_named(headers[i], "accept");
        most += strlen(headers[i]) + 3;
    }
    most += request->range ? strlen(request->range) + 20 : 0;
    if (most > plain->text_room) {
        forget_text(plain);
        free(plain->text);
        plain->text = malloc(most);
        plain->text_room = plain->text ? most : 0;
    }
    if (!plain->text)
        return false;
    snprintf(plain->host, sizeof plain->host, "%.*s", (int)(path - host), host);
    char *to = stpcpy(stpcpy(stpcpy(plain->text, "GET "), path), " HTTP/1.1\r\n");
    if (!named_host)
        to = stpcpy(stpcpy(stpcpy(to, "Host: "), plain->host), "\r\n");
    if (!named_agent)
        to = put_header(to, agent);
    if (!named_accept)
        to = put_header(to, accept);
    if (request->range)
        to = stpcpy(stpcpy(stpcpy(to, "Range: bytes="), request->range), "\r\n");
    for (size_t i = 0; headers && headers[i]; i++)
        to = put_header(to, headers[i]);
    to = stpcpy(to, "\r\n");
    plain->text_len = (size_t)(to - plain->text);
    plain->bounds = request->bounds;
    plain->failed = CURLE_OK;
    plain->is_open = true;
    plain->closes = false;
    plain->head_len = plain->body_start = plain->at = 0;
    plain->length = plain->done = 0;
    return true;
}

/* ---- the socket ------------------------------------------------------------------------------ */

static int fail(struct lithops__plain *plain, CURLcode code, const char *why)
{
    plain->failed = code;
    snprintf(plain->why, sizeof plain->why, "%s", why);
    return LITHOPS_EBACKEND;
}

/* No longer than until the server counts as stalled: nothing has passed since then. */
static int wait_for(struct lithops__plain *plain, short events, uint64_t since_ns,
                    lithops_error *err)
{
    int rc = lithops__bounds_check(&plain->bounds, err);
    if (rc)
        return rc;
    uint64_t now = lithops__now_ns(), silent_ms = (now - since_ns) / 1000000, look_ms = LOOK_MS;
    if (silent_ms >= (uint64_t)plain->stall_timeout_ms) {
        char text[80];
        snprintf(text, sizeof text, "nothing came for %ld ms", plain->stall_timeout_ms);
        return fail(plain, CURLE_OPERATION_TIMEDOUT, text);
    }
    uint64_t left_ms = (uint64_t)plain->stall_timeout_ms - silent_ms;
    if (left_ms < look_ms)
        look_ms = left_ms;
    if ((plain->bounds.deadline_ns - now) / 1000000 < look_ms)
        look_ms = (plain->bounds.deadline_ns - now) / 1000000;
    struct pollfd ready = {.fd = plain->fd, .events = events};
    (void)poll(&ready, 1, (int)look_ms + 1);
    return 0;
}

static bool may_wait(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

static int send_text(struct lithops__plain *plain, lithops_error *err)
{
    uint64_t since_ns = lithops__now_ns();
    for (size_t sent = 0; sent < plain->text_len;) {
        ssize_t put = send(plain->fd, plain->text + sent, plain->text_len - sent, MSG_NOSIGNAL);
        if (put < 0 && !may_wait(errno))
            return fail(plain, CURLE_SEND_ERROR, "the connection was lost");
        if (put > 0) {
            sent += (size_t)put;
            since_ns = lithops__now_ns();
            continue;
        }
        int rc = wait_for(plain, POLLOUT, since_ns, err);
        if (rc)
            return rc;
    }
    return 0;
}

/* One byte at least; *ret_len is 0 at the connection's end. */
static int receive(struct lithops__plain *plain, void *buf, size_t len, size_t *ret_len,
                   lithops_error *err)
{
    uint64_t since_ns = lithops__now_ns();
    for (;;) {
        ssize_t got = recv(plain->fd, buf, len, 0);
        if (got >= 0) {
            *ret_len = (size_t)got;
            return 0;
        }
        if (!may_wait(errno))
            return fail(plain, CURLE_RECV_ERROR, "the connection was lost");
        int rc = wait_for(plain, POLLIN, since_ns, err);
        if (rc)
            return rc;
    }
}

/* *ret_done: there is a connection; else libcurl is to find out why. */
static int ensure_connection(struct lithops__plain *plain, bool *ret_done, lithops_error *err)
{
    uint64_t now = lithops__now_ns();
    *ret_done = true;
    if (plain->tcp && (strcmp(plain->used, plain->host) != 0 ||
                       now - plain->idle_since_ns > IDLE_MAX_S * (uint64_t)1000000000))
        disconnect(plain);
    if (plain->tcp)
        return 0;
    char host[AUTHORITY];
    memcpy(host, plain->host, sizeof host);
    char *colon = strchr(host, ':');
    struct lithops__tcp_target target = {.host = host,
                                         .port = 80,
                                         .connect_timeout_ms = plain->connect_timeout_ms,
                                         .stall_timeout_ms = plain->stall_timeout_ms};
    if (colon) {
        *colon = '\0';
        target.port = (unsigned)strtoul(colon + 1, NULL, 10);
    }
    int rc = lithops__tcp_open(&target, &plain->bounds, &plain->tcp, err);
    if (rc == LITHOPS_EBACKEND && err && err->retryable &&
        lithops__now_ns() - now > CONNECT_QUICK_S * (uint64_t)1000000000)
        return fail(plain, CURLE_COULDNT_CONNECT, "no connection in time");
    *ret_done = rc == 0;
    if (rc == LITHOPS_ETIMEDOUT || rc == LITHOPS_ECANCELED)
        return rc;
    if (rc) {
        if (err)
            *err = (lithops_error)LITHOPS_ERROR_INIT;
        return 0;
    }
    plain->fd = lithops__tcp_fd(plain->tcp);
    memcpy(plain->used, plain->host, sizeof plain->used);
    return 0;
}

/* ---- answers --------------------------------------------------------------------------------- */

static char *skip_blanks(char *text)
{
    return text + strspn(text, " \t");
}

/* Make strings of the lines, without the blanks at their ends. False: not as they should be. */
static bool cut_lines(char *line, char *end)
{
    while (line < end) {
        char *next = memchr(line, '\n', (size_t)(end - line));
        if (!next)
            return false;
        char *last = next;
        while (last > line && (last[-1] == '\r' || last[-1] == ' ' || last[-1] == '\t'))
            last--;
        if (memchr(line, '\0', (size_t)(last - line)) || *line == ' ' || *line == '\t')
            return false;
        memset(last, '\0', (size_t)(next + 1 - last));
        line = next + 1;
    }
    return true;
}

const char *lithops__plain_header(const struct lithops__plain *plain, const char *name, size_t i)
{
    const char *line = plain->head, *end = plain->head + plain->body_start;
    size_t len = strlen(name);
    while (line < end) {
        if (strncasecmp(line, name, len) == 0 && line[len] == ':' && i-- == 0)
            return skip_blanks((char *)line + len + 1);
        line += strlen(line);
        while (line < end && !*line)
            line++;
    }
    return NULL;
}

/* A part, or an error: asked for again, a server that has too much to do would have more. */
static bool has_known_status(struct lithops__plain *plain)
{
    static const char version[] = "HTTP/1.1 ";
    const char *status = plain->head + sizeof version - 1;
    if (strncmp(plain->head, version, sizeof version - 1) != 0 ||
        strspn(status, "0123456789") != 3 || (status[3] != ' ' && status[3] != '\r'))
        return false;
    plain->status = strtol(status, NULL, 10);
    return plain->status == 206 || (plain->status >= 400 && plain->status < 600);
}

/* Its length is said once; nothing encodes it for the way. */
static bool is_known(struct lithops__plain *plain)
{
    if (!has_known_status(plain) || !cut_lines(plain->head, plain->head + plain->body_start))
        return false;
    const char *length = lithops__plain_header(plain, "Content-Length", 0),
               *connection = lithops__plain_header(plain, "Connection", 0);
    if (!length || strlen(length) > 18 || !*length || length[strspn(length, "0123456789")] ||
        lithops__plain_header(plain, "Content-Length", 1) ||
        lithops__plain_header(plain, "Transfer-Encoding", 0) ||
        lithops__plain_header(plain, "Connection", 1) || lithops__plain_header(plain, "Upgrade", 0))
        return false;
    plain->length = strtoull(length, NULL, 10);
    plain->closes = connection && strcasecmp(connection, "keep-alive") != 0;
    return true;
}

/* The empty line after the head; *ret_bare: a line has no CR, which libcurl knows what to do with.
 */
static const char *find_body(const struct lithops__plain *plain, bool *ret_bare)
{
    const char *end = memmem(plain->head, plain->head_len, "\n\r\n", 3),
               *bare = memmem(plain->head, plain->head_len, "\n\n", 2);
    *ret_bare = (bare && (!end || bare < end)) || (end && (end == plain->head || end[-1] != '\r'));
    return end && !*ret_bare ? end + 3 : NULL;
}

/* *ret_whole: the head has come to its end, which is in plain->body_start. */
static int receive_head(struct lithops__plain *plain, bool *ret_whole, lithops_error *err)
{
    bool is_bare = false;
    *ret_whole = false;
    while (!*ret_whole && !is_bare && plain->head_len < HEAD) {
        size_t got;
        int rc = receive(plain, plain->head + plain->head_len, HEAD - plain->head_len, &got, err);
        if (rc)
            return rc;
        if (!got)
            return plain->head_len
                       ? fail(plain, CURLE_PARTIAL_FILE, "the head of the answer was cut off")
                       : fail(plain, CURLE_GOT_NOTHING, "Empty reply from server");
        plain->head_len += got;
        plain->head[plain->head_len] = '\0';
        const char *body = find_body(plain, &is_bare);
        *ret_whole = body != NULL;
        if (body)
            plain->body_start = plain->at = (size_t)(body - plain->head);
    }
    return 0;
}

/* A connection that was idle may have ended: then it is asked over another one. */
static bool had_ended(const struct lithops__plain *plain)
{
    return plain->is_used && plain->head_len == 0 && plain->failed != CURLE_OPERATION_TIMEDOUT;
}

int lithops__plain_ask(struct lithops__plain *plain, bool *ret_known, lithops_error *err)
{
    bool whole = false, again = true;
    int rc = 0;
    *ret_known = false;
    while (again) {
        bool connected;
        plain->failed = CURLE_OK;
        rc = ensure_connection(plain, &connected, err);
        if (rc || !connected)
            break;
        rc = send_text(plain, err);
        if (rc == 0)
            rc = receive_head(plain, &whole, err);
        again = rc == LITHOPS_EBACKEND && had_ended(plain);
        if (again)
            disconnect(plain);
    }
    forget_text(plain);
    *ret_known = rc == 0 && whole && is_known(plain);
    plain->is_used = *ret_known;
    if (rc && rc != LITHOPS_EBACKEND)
        (void)fail(plain, CURLE_OPERATION_TIMEDOUT, "the request was given up");
    if (!*ret_known)
        lithops__plain_end(plain);
    return rc;
}

int lithops__plain_read(struct lithops__plain *plain, void *buf, size_t len, size_t *ret_len,
                        lithops_error *err)
{
    uint64_t left = plain->length - plain->done;
    size_t done = 0, came = plain->head_len - plain->at;
    int rc = 0;
    len = left < len ? (size_t)left : len;
    if (came) {
        done = came < len ? came : len;
        memcpy(buf, plain->head + plain->at, done);
        plain->at += done;
    }
    while (rc == 0 && done < len) {
        size_t got = 0;
        rc = lithops__bounds_check(&plain->bounds, err); /* where it never has to wait, too */
        if (rc == 0)
            rc = receive(plain, (char *)buf + done, len - done, &got, err);
        if (rc == 0 && !got)
            rc = fail(plain, CURLE_PARTIAL_FILE, "the answer was cut off");
        done += got;
    }
    plain->done += done;
    *ret_len = done;
    return rc;
}

CURLcode lithops__plain_failure(const struct lithops__plain *plain, const char **ret_text)
{
    *ret_text = plain->why;
    return plain->failed;
}

long lithops__plain_status(const struct lithops__plain *plain)
{
    return plain->status;
}

uint64_t lithops__plain_length(const struct lithops__plain *plain)
{
    return plain->length;
}

uint64_t lithops__plain_left(const struct lithops__plain *plain)
{
    return plain->length - plain->done;
}

void lithops__plain_end(struct lithops__plain *plain)
{
    if (!plain->is_open)
        return;
    plain->is_open = false;
    bool is_over = plain->is_used && !plain->failed && !plain->closes &&
                   plain->done == plain->length && plain->at == plain->head_len;
    if (!is_over)
        disconnect(plain);
    plain->idle_since_ns = lithops__now_ns();
}
