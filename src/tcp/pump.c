/* SPDX-License-Identifier: Apache-2.0 */
/* Two half pipes of one thread, neither of which waits for the other: what comes from the pair is
 * encrypted and sent, what comes from the connection is decrypted and put into the pair. Each has a
 * buffer that is emptied before it is filled again, so a side that does not read holds up the one
 * that writes, as a socket would.
 *
 * When the pair's other end is closed, what it had written is sent, and the connection is ended;
 * what still comes is thrown away until the other side ends it as well, since closing a socket with
 * unread bytes would also throw away what it has sent. */
#include "tcp/pump.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/thread.h"
#include "ipc/area.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PIECE_BYTES = 64 << 10, PAIR_BYTES = 1 << 20, END_MS = 2000 };

struct half {
    size_t at, len; /* what is in it */
    bool is_over;   /* nothing more comes in */
    bool is_told;   /* and who reads knows */
    char bytes[PIECE_BYTES];
};

struct lithops__pump {
    const struct lithops__tls_api *api;
    struct lithops__tls *tls;
    int fd, pair; /* the connection; an end of the pair */
    pthread_t thread;
    uint64_t end_ns;             /* the other end is closed: until when it tries; 0: it is not */
    bool is_ended, is_lost;      /* it was said that nothing follows; the connection is gone */
    short tls_events;            /* what the connection waits for */
    bool may_receive, may_fetch; /* the connection, the pair may have something */
    struct half out, in;
};

/* @return whether something went on */
static bool out_step(struct lithops__pump *pump)
{
    struct half *out = &pump->out;
    if (out->at == out->len && pump->may_fetch && !out->is_over) {
        ssize_t n = recv(pump->pair, out->bytes, sizeof out->bytes, MSG_DONTWAIT);
        pump->may_fetch = n == (ssize_t)sizeof out->bytes || (n > 0 && pump->end_ns);
        out->is_over = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
        out->at = 0;
        out->len = n > 0 ? (size_t)n : 0;
    }
    if (out->at == out->len)
        return false;
    ssize_t n = pump->api->write(pump->tls, out->bytes + out->at, out->len - out->at);
    if (n > 0)
        out->at += (size_t)n;
    else if (n == LITHOPS__TLS_LOST)
        pump->is_lost = true;
    else
        pump->tls_events |= n == LITHOPS__TLS_READ ? POLLIN : POLLOUT;
    return n > 0;
}

/* As much as has come and there is room for. */
static void receive(struct lithops__pump *pump)
{
    struct half *in = &pump->in;
    in->at = in->len = 0;
    while (pump->may_receive && in->len < sizeof in->bytes) {
        ssize_t n = pump->api->read(pump->tls, in->bytes + in->len, sizeof in->bytes - in->len);
        in->len += n > 0 ? (size_t)n : 0;
        in->is_over = n == 0 || n == LITHOPS__TLS_LOST;
        if (n == LITHOPS__TLS_WRITE)
            pump->tls_events |= POLLOUT;
        pump->may_receive = n > 0 && pump->api->has_more(pump->tls);
    }
}

/* @return whether something went on */
static bool in_step(struct lithops__pump *pump)
{
    struct half *in = &pump->in;
    if (in->at == in->len && in->is_over && !in->is_told) { /* all of it was passed on */
        (void)shutdown(pump->pair, SHUT_WR);
        in->is_told = true;
    }
    if (in->at == in->len && pump->may_receive && !in->is_over)
        receive(pump);
    if (in->at == in->len)
        return in->is_over && !in->is_told;
    ssize_t n = pump->end_ns ? (ssize_t)(in->len - in->at)
                             : send(pump->pair, in->bytes + in->at, in->len - in->at,
                                    MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        n = (ssize_t)(in->len - in->at); /* nobody reads it any more */
    in->at += n > 0 ? (size_t)n : 0;
    return n > 0;
}

static void note_end(struct lithops__pump *pump)
{
    if (pump->end_ns == 0)
        pump->end_ns = lithops__now_ns() + END_MS * (uint64_t)1000000;
}

/* The pair's other end is closed, and all that it wrote is sent. */
static void say_end(struct lithops__pump *pump)
{
    pump->api->end(pump->tls);
    (void)shutdown(pump->fd, SHUT_WR);
    pump->is_ended = true;
}

static void await(struct lithops__pump *pump)
{
    const struct half *out = &pump->out, *in = &pump->in;
    bool has_input = in->at < in->len;
    struct pollfd fds[] = {{pump->fd, pump->tls_events, 0}, {pump->pair, 0, 0}};
    int wait_ms = -1;
    if (!has_input && !in->is_over)
        fds[0].events |= POLLIN;
    if (!fds[0].events)
        fds[0].fd = -1; /* its end would be seen again and again */
    if (out->at == out->len)
        fds[1].events |= POLLIN;
    if (has_input)
        fds[1].events |= POLLOUT;
    if (pump->end_ns) { /* nothing new comes from there */
        uint64_t now = lithops__now_ns();
        wait_ms = now < pump->end_ns ? (int)((pump->end_ns - now) / 1000000) + 1 : 0;
        fds[1].fd = -1;
    }
    if (poll(fds, 2, wait_ms) <= 0)
        return;
    pump->tls_events = 0;
    if (fds[0].revents)
        pump->may_receive = true;
    if (fds[1].revents & (POLLIN | POLLHUP | POLLERR))
        pump->may_fetch = true;
    if (fds[1].revents & (POLLHUP | POLLERR))
        note_end(pump);
}

static void *pump_all(void *user)
{
    struct lithops__pump *pump = user;
    pump->may_receive = pump->may_fetch = true;
    for (;;) {
        bool goes_on = out_step(pump);
        goes_on |= in_step(pump);
        if (pump->out.is_over)
            note_end(pump);
        if (pump->out.is_over && pump->out.at == pump->out.len && !pump->is_ended)
            say_end(pump);
        if (pump->is_lost || (pump->is_ended && pump->in.is_over) ||
            (pump->end_ns && lithops__now_ns() >= pump->end_ns))
            break;
        if (!goes_on)
            await(pump);
    }
    (void)shutdown(pump->pair, SHUT_RDWR);
    (void)shutdown(pump->fd, SHUT_RDWR);
    return NULL;
}

static void release(struct lithops__pump *pump)
{
    pump->api->free(pump->tls);
    close(pump->fd);
    if (pump->pair >= 0)
        close(pump->pair);
    free(pump);
}

static int open_pair(struct lithops__pump *pump, int *ret_fd)
{
    static const int bytes = PAIR_BYTES;
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return errno;
    *ret_fd = lithops__high_fd(ends[0]);
    pump->pair = lithops__high_fd(ends[1]);
    if (*ret_fd < 0 || pump->pair < 0)
        return errno;
    (void)setsockopt(*ret_fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    (void)setsockopt(pump->pair, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    return 0;
}

int lithops__pump_start(const struct lithops__tls_api *api, struct lithops__tls *tls, int fd,
                        struct lithops__pump **ret, int *ret_fd, lithops_error *err)
{
    struct lithops__pump *pump = calloc(1, sizeof *pump);
    *ret_fd = -1;
    if (!pump) {
        api->free(tls);
        close(fd);
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    }
    pump->api = api;
    pump->tls = tls;
    pump->fd = fd;
    pump->pair = -1;
    int rc = open_pair(pump, ret_fd);
    if (rc == 0)
        rc = lithops__thread_start(&pump->thread, pump_all, pump);
    if (rc == 0) {
        *ret = pump;
        return 0;
    }
    if (*ret_fd >= 0)
        close(*ret_fd);
    *ret_fd = -1;
    release(pump);
    return lithops__fail_errno(err, rc, "cannot make a link over TCP");
}

void lithops__pump_stop(struct lithops__pump *pump)
{
    /* a child of fork() may hold the caller's end */
    (void)shutdown(pump->pair, SHUT_RDWR);
    pthread_join(pump->thread, NULL);
    release(pump);
}

void lithops__tcplink_prepare(int fd)
{
    static const int on = 1, idle_s = 30, interval_s = 10, count = 3;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
}
