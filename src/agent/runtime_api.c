/* SPDX-License-Identifier: Apache-2.0 */
/* The answer is received into one buffer, head and body. In the head the ends of lines become NULs
 * once it is whole. Chunks of a body are moved together where they are, so that the body follows
 * the head in either form. A connection is used again only after an answer whose end is known, and
 * which nothing follows. */
#include "agent/runtime_api.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    PIECE = 16 << 10,
    HEAD_MAX = 64 << 10,
    BODY_MAX = 64 << 20, /* events have up to 6 MiB */
    LINE_MAX = 4 << 10,  /* before and after chunks */
    CONNECT_MS = 10000,
    NAME_MAX_LEN = 255,
    HEAD_ROOM = 1024,
};

struct lithops__runtime_api {
    char place[NAME_MAX_LEN + 16], host[NAME_MAX_LEN + 1], port[8];
    int fd, stop_fd;
    struct lithops__buffer in;
    size_t head_len, body_len, used; /* of `in` */
    long status;
    bool keeps; /* the connection outlives the answer */
};

static int fail_lost(const struct lithops__runtime_api *api, const char *what, int number,
                     lithops_error *err)
{
    lithops__fail(err, LITHOPS_EBACKEND, "the runtime API of Lambda at %s: %s%s%s", api->place,
                  what, number ? ": " : "", number ? strerror(number) : "");
    if (err)
        err->retryable = true;
    return LITHOPS_EBACKEND;
}

static int fail_strange(const struct lithops__runtime_api *api, const char *what,
                        lithops_error *err)
{
    return lithops__fail(err, LITHOPS_EBACKEND, "the runtime API of Lambda at %s answers %s",
                         api->place, what);
}

static int fail_memory(lithops_error *err)
{
    return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for an event");
}

/* ---- the connection -------------------------------------------------------------------------- */

static void hang_up(struct lithops__runtime_api *api)
{
    if (api->fd >= 0)
        close(api->fd);
    api->fd = -1;
}

/* Until the connection is ready. `end_ns` UINT64_MAX: no limit. */
static int wait_for(const struct lithops__runtime_api *api, short events, uint64_t end_ns,
                    lithops_error *err)
{
    for (;;) {
        uint64_t now = lithops__now_ns();
        struct pollfd fds[] = {{.fd = api->fd, .events = events},
                               {.fd = api->stop_fd, .events = POLLIN}};
        int wait_ms = end_ns == UINT64_MAX ? -1
                      : end_ns > now       ? (int)((end_ns - now) / 1000000) + 1
                                           : 0;
        int n = poll(fds, 2, wait_ms);
        if (n > 0 && fds[0].revents)
            return 0;
        if (n > 0)
            return lithops__fail(err, LITHOPS_ECANCELED, "the function was told to end");
        if (n == 0 && wait_ms == 0)
            return fail_lost(api, "cannot connect", ETIMEDOUT, err);
    }
}

static int connect_to(struct lithops__runtime_api *api, const struct addrinfo *address,
                      lithops_error *err)
{
    int failed = 0;
    socklen_t size = sizeof failed;
    api->fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (api->fd < 0)
        return fail_lost(api, "cannot connect", errno, err);
    (void)setsockopt(api->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (connect(api->fd, address->ai_addr, address->ai_addrlen) == 0)
        return 0;
    if (errno != EINPROGRESS)
        return fail_lost(api, "cannot connect", errno, err);
    int rc = wait_for(api, POLLOUT, lithops__now_ns() + CONNECT_MS * UINT64_C(1000000), err);
    if (rc == 0 && getsockopt(api->fd, SOL_SOCKET, SO_ERROR, &failed, &size) != 0)
        failed = errno;
    return rc == 0 && failed ? fail_lost(api, "cannot connect", failed, err) : rc;
}

static int connect_it(struct lithops__runtime_api *api, lithops_error *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found;
    int failed = getaddrinfo(api->host, api->port, &hints, &found);
    if (failed)
        return fail_lost(api, gai_strerror(failed), 0, err);
    int rc = LITHOPS_EBACKEND;
    for (const struct addrinfo *a = found; a && rc != 0 && rc != LITHOPS_ECANCELED;
         a = a->ai_next) {
        hang_up(api);
        rc = connect_to(api, a, err);
    }
    freeaddrinfo(found);
    return rc;
}

/* What was not asked for has come, or the end: while the function was frozen, say. */
static bool is_stale(const struct lithops__runtime_api *api)
{
    struct pollfd look = {.fd = api->fd, .events = POLLIN};
    return poll(&look, 1, 0) != 0;
}

static int send_all(struct lithops__runtime_api *api, struct iovec parts[2], lithops_error *err)
{
    while (parts[0].iov_len || parts[1].iov_len) {
        const struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
        ssize_t n = sendmsg(api->fd, &message, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            int rc = wait_for(api, POLLOUT, UINT64_MAX, err);
            if (rc != 0)
                return rc;
        } else if (n < 0 && errno != EINTR) {
            return fail_lost(api, "cannot send", errno, err);
        }
        for (size_t i = 0, left = n > 0 ? (size_t)n : 0; i < 2; i++) {
            size_t sent = left < parts[i].iov_len ? left : parts[i].iov_len;
            if (sent == 0)
                continue; /* what has no bytes may have no place */
            parts[i].iov_base = (char *)parts[i].iov_base + sent;
            parts[i].iov_len -= sent;
            left -= sent;
        }
    }
    return 0;
}

/* Receive what has come. *ret_end: nothing more will. */
static int receive(struct lithops__runtime_api *api, bool *ret_end, lithops_error *err)
{
    void *room = lithops__buffer_reserve(&api->in, PIECE + 1); /* for the NUL */
    if (!room)
        return fail_memory(err);
    for (;;) {
        ssize_t n = recv(api->fd, room, PIECE, 0);
        if (n >= 0) {
            api->in.len += (size_t)n;
            *ret_end = n == 0;
            return 0;
        }
        if (errno != EAGAIN && errno != EINTR)
            return fail_lost(api, "the connection was lost", errno, err);
        int rc = wait_for(api, POLLIN, UINT64_MAX, err);
        if (rc != 0)
            return rc;
    }
}

/* Receive more, which has to come. */
static int receive_more(struct lithops__runtime_api *api, lithops_error *err)
{
    bool end = false;
    int rc = receive(api, &end, err);
    return rc == 0 && end ? fail_lost(api, "the connection was closed", 0, err) : rc;
}

/* ---- the head of an answer ------------------------------------------------------------------- */

/* Make its lines strings; one that goes on in the next is of no use to anybody. */
static bool split_head(char *head, size_t len)
{
    for (char *line = head, *end; line < head + len; line = end + 2) {
        end = memmem(line, (size_t)(head + len - line), "\r\n", 2);
        if (memchr(line, '\0', (size_t)(end - line)) || *line == ' ' || *line == '\t' ||
            (line > head && line != end && !memchr(line, ':', (size_t)(end - line))))
            return false;
        for (char *last = end; last > line && (last[-1] == ' ' || last[-1] == '\t'); last--)
            last[-1] = '\0';
        end[0] = end[1] = '\0';
    }
    return true;
}

static bool read_status(const char *line, long *ret_status, bool *ret_is_old)
{
    if (strncmp(line, "HTTP/1.", 7) != 0 || (line[7] != '0' && line[7] != '1') || line[8] != ' ' ||
        strspn(line + 9, "0123456789") != 3 || (line[12] != ' ' && line[12] != '\0'))
        return false;
    *ret_status = strtol(line + 9, NULL, 10);
    *ret_is_old = line[7] == '0';
    return *ret_status >= 100;
}

static int receive_head(struct lithops__runtime_api *api, bool *ret_is_old, lithops_error *err)
{
    const unsigned char *end;
    while (api->in.len == api->used ||
           !(end = memmem(api->in.data + api->used, api->in.len - api->used, "\r\n\r\n", 4))) {
        if (api->in.len - api->used > HEAD_MAX)
            return fail_strange(api, "with too long a head", err);
        int rc = receive_more(api, err);
        if (rc != 0)
            return rc;
    }
    char *head = (char *)api->in.data + api->used;
    size_t len = (size_t)(end + 4 - api->in.data) - api->used;
    if (!split_head(head, len) || !read_status(head, &api->status, ret_is_old))
        return fail_strange(api, "with what is not HTTP/1.1", err);
    api->used += len;
    return 0;
}

/* The value of a header of the head that ends at `used`. */
static const char *find_header(const char *head, size_t len, const char *name)
{
    size_t name_len = strlen(name);
    for (const char *line = head; line < head + len; line += strlen(line) + 1)
        if (strncasecmp(line, name, name_len) == 0 && line[name_len] == ':') {
            line += name_len + 1;
            return line + strspn(line, " \t");
        }
    return NULL;
}

/* ---- its body -------------------------------------------------------------------------------- */

static int receive_until(struct lithops__runtime_api *api, size_t len, lithops_error *err)
{
    int rc = 0;
    while (rc == 0 && api->in.len < len)
        rc = receive_more(api, err);
    return rc;
}

static int receive_length(struct lithops__runtime_api *api, const char *text, lithops_error *err)
{
    size_t digits = strspn(text, "0123456789");
    unsigned long long len = strtoull(text, NULL, 10);
    if (digits == 0 || digits > 18 || text[digits] != '\0')
        return fail_strange(api, "with a Content-Length that is no number", err);
    if (len > BODY_MAX)
        return fail_strange(api, "with more than 64 MiB", err);
    api->body_len = (size_t)len;
    api->used += api->body_len;
    return receive_until(api, api->used, err);
}

/* @param ret_line  its place in `in`; `used` is behind it */
static int take_line(struct lithops__runtime_api *api, size_t *ret_line, lithops_error *err)
{
    unsigned char *end;
    size_t begin = api->used;
    while (!(end = memmem(api->in.data + begin, api->in.len - begin, "\r\n", 2))) {
        if (api->in.len - begin > LINE_MAX)
            return fail_strange(api, "with what are no chunks", err);
        int rc = receive_more(api, err);
        if (rc != 0)
            return rc;
    }
    *end = '\0';
    *ret_line = begin;
    api->used = (size_t)(end + 2 - api->in.data);
    return 0;
}

/* A chunk; *ret_len 0: the last one, and what may follow it, is over. */
static int take_chunk(struct lithops__runtime_api *api, size_t *ret_len, lithops_error *err)
{
    size_t line;
    int rc = take_line(api, &line, err);
    if (rc != 0)
        return rc;
    const char *text = (const char *)api->in.data + line;
    size_t digits = strspn(text, "0123456789abcdefABCDEF");
    *ret_len = digits <= 8 ? strtoul(text, NULL, 16) : SIZE_MAX;
    if (digits == 0 || !strchr("; \t", text[digits]))
        return fail_strange(api, "with what are no chunks", err);
    if (*ret_len > BODY_MAX - api->body_len)
        return fail_strange(api, "with more than 64 MiB", err);
    const size_t trailer = api->used;
    while (rc == 0 && *ret_len == 0) {
        rc = api->used - trailer > HEAD_MAX
                 ? fail_strange(api, "with too long a head behind its chunks", err)
                 : take_line(api, &line, err);
        if (rc == 0 && api->in.data[line] == '\0')
            return 0;
    }
    return rc ? rc : receive_until(api, api->used + *ret_len + 2, err);
}

static int receive_chunks(struct lithops__runtime_api *api, lithops_error *err)
{
    for (;;) {
        size_t len;
        int rc = take_chunk(api, &len, err);
        if (rc != 0 || len == 0)
            return rc;
        unsigned char *chunk = api->in.data + api->used;
        if (memcmp(chunk + len, "\r\n", 2) != 0)
            return fail_strange(api, "with what are no chunks", err);
        memmove(api->in.data + api->head_len + api->body_len, chunk, len);
        api->body_len += len;
        api->used += len + 2;
    }
}

static int receive_rest(struct lithops__runtime_api *api, lithops_error *err)
{
    bool end = false;
    int rc = 0;
    while (rc == 0 && !end) {
        rc = receive(api, &end, err);
        if (rc == 0 && api->in.len - api->used > BODY_MAX)
            rc = fail_strange(api, "with more than 64 MiB", err);
    }
    api->body_len = api->in.len - api->used;
    api->used = api->in.len;
    return rc;
}

static int receive_answer(struct lithops__runtime_api *api, lithops_error *err)
{
    bool is_old = false;
    int rc = 0;
    size_t begin;
    do {
        begin = api->used;
        rc = receive_head(api, &is_old, err);
    } while (rc == 0 && api->status < 200 && api->used <= HEAD_MAX);
    if (rc == 0 && api->status < 200)
        rc = fail_strange(api, "with too many heads", err);
    if (rc != 0)
        return rc;
    /* What came before the head that counts is gone. */
    memmove(api->in.data, api->in.data + begin, api->in.len - begin);
    api->in.len -= begin;
    api->used -= begin;
    api->head_len = api->used;
    const char *connection = lithops__runtime_api_header(api, "Connection");
    const char *coding = lithops__runtime_api_header(api, "Transfer-Encoding");
    const char *length = lithops__runtime_api_header(api, "Content-Length");
    bool keeps = connection ? strcasecmp(connection, "close") != 0 : !is_old;
    if (coding && strcasecmp(coding, "chunked") != 0)
        return fail_strange(api, "in an encoding that was not asked for", err);
    if (api->status == 204 || api->status == 304)
        rc = 0;
    else if (coding)
        rc = receive_chunks(api, err);
    else if (length)
        rc = receive_length(api, length, err);
    else
        rc = receive_rest(api, err), keeps = false;
    if (rc == 0 && !lithops__buffer_reserve(&api->in, 1))
        rc = fail_memory(err);
    if (rc == 0) {
        api->keeps = keeps && api->used == api->in.len;
        api->in.data[api->head_len + api->body_len] = '\0';
    }
    return rc;
}

/* ---- requests -------------------------------------------------------------------------------- */

static int send_request(struct lithops__runtime_api *api,
                        const struct lithops__runtime_request *request, lithops_error *err)
{
    char head[HEAD_ROOM], length[48] = "";
    if (request->has_body)
        snprintf(length, sizeof length, "Content-Length: %zu\r\n", request->body.len);
    int len = snprintf(head, sizeof head,
                       "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: lithops/" LITHOPS_VERSION
                       "\r\nAccept: */*\r\n%s%s%s\r\n",
                       request->method, request->path, api->place, length,
                       request->header ? request->header : "", request->header ? "\r\n" : "");
    if (len < 0 || (size_t)len >= sizeof head)
        return lithops__fail(err, LITHOPS_EUSAGE, "too long a request to the runtime API");
    struct iovec parts[] = {
        {.iov_base = head, .iov_len = (size_t)len},
        {.iov_base = (void *)(uintptr_t)request->body.ptr,
         .iov_len = request->has_body ? request->body.len : 0},
    };
    return send_all(api, parts, err);
}

int lithops__runtime_api_ask(struct lithops__runtime_api *api,
                             const struct lithops__runtime_request *request, lithops_error *err)
{
    api->in.len = api->used = api->head_len = api->body_len = 0;
    api->status = 0;
    if (!api->keeps || is_stale(api))
        hang_up(api);
    api->keeps = false;
    int rc = api->fd < 0 ? connect_it(api, err) : 0;
    if (rc == 0)
        rc = send_request(api, request, err);
    if (rc == 0 && request->meanwhile)
        request->meanwhile(request->user);
    if (rc == 0 && !lithops__buffer_reserve(&api->in, PIECE + 1))
        rc = fail_memory(err);
    if (rc == 0)
        rc = receive_answer(api, err);
    return rc;
}

long lithops__runtime_api_status(const struct lithops__runtime_api *api)
{
    return api->status;
}

lithops_bytes lithops__runtime_api_body(const struct lithops__runtime_api *api)
{
    return (lithops_bytes){api->in.data ? api->in.data + api->head_len : NULL, api->body_len};
}

const char *lithops__runtime_api_header(const struct lithops__runtime_api *api, const char *name)
{
    return find_header((const char *)api->in.data, api->head_len, name);
}

/* ---- handles --------------------------------------------------------------------------------- */

static bool take_place(struct lithops__runtime_api *api, const char *place)
{
    const char *colon = strrchr(place, ':');
    size_t len = colon ? (size_t)(colon - place) : 0;
    unsigned long port = colon ? strtoul(colon + 1, NULL, 10) : 0;
    if (len == 0 || len > NAME_MAX_LEN || strspn(colon + 1, "0123456789") != strlen(colon + 1) ||
        port == 0 || port > 65535 || strpbrk(place, "/@?# \t\r\n"))
        return false;
    snprintf(api->place, sizeof api->place, "%s", place);
    snprintf(api->port, sizeof api->port, "%lu", port);
    bool is_bracketed = place[0] == '[' && place[len - 1] == ']' && len > 2;
    snprintf(api->host, sizeof api->host, "%.*s", (int)(is_bracketed ? len - 2 : len),
             place + is_bracketed);
    return true;
}

int lithops__runtime_api_open(const char *place, int stop_fd, struct lithops__runtime_api **ret_api,
                              lithops_error *err)
{
    struct lithops__runtime_api *api = calloc(1, sizeof *api);
    if (!api)
        return fail_memory(err);
    api->fd = -1;
    api->stop_fd = stop_fd;
    if (!take_place(api, place)) {
        free(api);
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "AWS_LAMBDA_RUNTIME_API is '%.100s', not a HOST:PORT", place);
    }
    *ret_api = api;
    return 0;
}

void lithops__runtime_api_close(struct lithops__runtime_api *api)
{
    if (!api)
        return;
    hang_up(api);
    lithops__buffer_deinit(&api->in);
    free(api);
}
