/* SPDX-License-Identifier: Apache-2.0 */
/* The client's side: a thread that lets workers in.
 *
 * Anybody may connect to the port. So what has not proven anything yet is bounded: so many
 * connections at a time, for so long each. When there are as many, those that come next stay in the
 * kernel's queue until the oldest has had its time for a proof, a second, and goes: many workers
 * that start at once do not push each other out, and idle connections do not keep workers out. All
 * are served by this one thread, which waits for none, and nothing but OpenSSL reads what they
 * send. One whose handshake is done gets a thread of its own (pump.c). */
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/thread.h"
#include "ipc/area.h"
#include "tcp/port.h"
#include "tcp/pump.h"
#include "tcp/secret.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST_STRANGERS = 64, FAIR_MS = 1000, PAUSE_MS = 100 };

/* What a worker is waited for. */
struct expected {
    struct lithops__tcplink_key key;
    unsigned life; /* how many workers there were */
    bool is_valid; /* the key, for one connection */
    int here_fd;   /* readable when it has come */
    int fd;        /* the end of its link that nobody has taken yet; -1: none */
    struct lithops__pump *pump;
    lithops_error err; /* it has come, but there is no link */
};

/* One that has connected, and proven nothing. */
struct stranger {
    int fd;
    struct lithops__tls *tls;
    short events;
    bool has_spoken;
    uint64_t since_ns;
    char peer[80];
};

struct lithops__tcplink {
    const struct lithops__tls_api *api;
    char where[LITHOPS__TCP_WHERE];
    int listen_fd, stop_fd;
    pthread_t thread;
    bool has_thread;
    struct stranger strangers[MOST_STRANGERS]; /* the thread's; the oldest first */
    size_t stranger_count;
    pthread_mutex_t lock; /* the members below */
    struct expected *expected;
    uint32_t count;
    uint64_t refused;
};

/* ---- letting in ------------------------------------------------------------------------------ */

/* [lock] The one whose key has that name. */
static struct expected *find_expected(struct lithops__tcplink *tcp, const char *name)
{
    char *end;
    unsigned long worker = strtoul(name, &end, 10);
    struct expected *expected = worker < tcp->count ? &tcp->expected[worker] : NULL;
    return expected && expected->is_valid && strcmp(expected->key.name, name) == 0 ? expected
                                                                                   : NULL;
}

static bool find_key(void *user, const char *name, unsigned char ret_key[LITHOPS__TLS_KEY_BYTES])
{
    struct lithops__tcplink *tcp = user;
    pthread_mutex_lock(&tcp->lock);
    const struct expected *expected = find_expected(tcp, name);
    if (expected)
        memcpy(ret_key, expected->key.bytes, LITHOPS__TLS_KEY_BYTES);
    pthread_mutex_unlock(&tcp->lock);
    return expected != NULL;
}

/* It may be a scan, so they get rarer. */
static void note_refusal(struct lithops__tcplink *tcp, const char *peer, const char *why)
{
    pthread_mutex_lock(&tcp->lock);
    uint64_t refused = ++tcp->refused;
    pthread_mutex_unlock(&tcp->lock);
    if ((refused & (refused - 1)) == 0)
        lithops__log(LITHOPS_LOG_WARNING, "tcp",
                     "refused a connection from %s, which %s (%llu refused so far)", peer, why,
                     (unsigned long long)refused);
}

static void forget_stranger(struct lithops__tcplink *tcp, size_t i)
{
    tcp->stranger_count--;
    memmove(&tcp->strangers[i], &tcp->strangers[i + 1],
            (tcp->stranger_count - i) * sizeof *tcp->strangers);
}

static void refuse(struct lithops__tcplink *tcp, size_t i, const char *why)
{
    struct stranger *stranger = &tcp->strangers[i];
    tcp->api->free(stranger->tls);
    close(stranger->fd);
    note_refusal(tcp, stranger->peer, why);
    forget_stranger(tcp, i);
}

/* It knows the secret. */
static void let_in(struct lithops__tcplink *tcp, size_t i)
{
    struct stranger stranger = tcp->strangers[i];
    pthread_mutex_lock(&tcp->lock);
    struct expected *expected = find_expected(tcp, tcp->api->name(stranger.tls));
    if (expected) {
        expected->is_valid = false;
        (void)lithops__pump_start(tcp->api, stranger.tls, stranger.fd, &expected->pump,
                                  &expected->fd, &expected->err);
        (void)eventfd_write(expected->here_fd, 1);
    }
    pthread_mutex_unlock(&tcp->lock);
    if (!expected) {
        refuse(tcp, i, "came with a secret that another one has used");
        return;
    }
    lithops__log(LITHOPS_LOG_DEBUG, "tcp", "a worker has connected from %s", stranger.peer);
    forget_stranger(tcp, i);
}

/* One that goes without a word, as a worker does that has reached the client by another of its
 * addresses, or a probe of the port. Nothing was refused. */
static bool has_left(struct stranger *stranger)
{
    char byte;
    ssize_t n = stranger->has_spoken ? 1 : recv(stranger->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    stranger->has_spoken = n > 0;
    return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

static void let_go(struct lithops__tcplink *tcp, size_t i)
{
    lithops__log(LITHOPS_LOG_DEBUG, "tcp", "a connection from %s ended without a word",
                 tcp->strangers[i].peer);
    tcp->api->free(tcp->strangers[i].tls);
    close(tcp->strangers[i].fd);
    forget_stranger(tcp, i);
}

/* @return whether it is still a stranger */
static bool go_on(struct lithops__tcplink *tcp, size_t i)
{
    struct stranger *stranger = &tcp->strangers[i];
    char reason[128];
    if (has_left(stranger)) {
        let_go(tcp, i);
        return false;
    }
    switch (tcp->api->handshake(stranger->tls)) {
    case 0:
        let_in(tcp, i);
        return false;
    case LITHOPS__TLS_READ:
        stranger->events = POLLIN;
        return true;
    case LITHOPS__TLS_WRITE:
        stranger->events = POLLOUT;
        return true;
    default:
        break;
    }
    tcp->api->reason(stranger->tls, reason, sizeof reason);
    char why[192] = "hung up before it had proven that it knows the secret";
    if (reason[0])
        snprintf(why, sizeof why, "does not know the secret of a worker (%s)", reason);
    refuse(tcp, i, why);
    return false;
}

static void meet(struct lithops__tcplink *tcp, int fd, const struct sockaddr *address,
                 socklen_t size)
{
    struct stranger *stranger = &tcp->strangers[tcp->stranger_count];
    *stranger = (struct stranger){.fd = fd, .events = POLLIN};
    stranger->since_ns = lithops__now_ns();
    lithops__tcplink_address(address, size, stranger->peer, sizeof stranger->peer);
    lithops__tcplink_prepare(fd);
    stranger->tls = tcp->api->server(fd, find_key, tcp);
    if (stranger->tls)
        tcp->stranger_count++;
    else
        close(fd);
}

/* As many as there is room for. */
static void accept_all(struct lithops__tcplink *tcp)
{
    while (tcp->stranger_count < MOST_STRANGERS) {
        struct sockaddr_storage address;
        socklen_t size = sizeof address;
        int fd = accept4(tcp->listen_fd, (struct sockaddr *)&address, &size,
                         SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0 && (errno == EMFILE || errno == ENFILE)) /* it stays readable */
            (void)poll(NULL, 0, PAUSE_MS);
        if (fd < 0)
            return;
        if ((fd = lithops__high_fd(fd)) >= 0)
            meet(tcp, fd, (const struct sockaddr *)&address, size);
    }
}

/* Until the oldest stranger has been there for `most_ms`; 0: it has. -1: there is none. */
static int time_left_ms(const struct lithops__tcplink *tcp, uint64_t most_ms)
{
    if (tcp->stranger_count == 0)
        return -1;
    uint64_t now = lithops__now_ns(), until = tcp->strangers[0].since_ns + most_ms * 1000000;
    return now < until ? (int)((until - now) / 1000000) + 1 : 0;
}

static void refuse_old(struct lithops__tcplink *tcp, bool is_awaited)
{
    while (time_left_ms(tcp, LITHOPS__TCP_HANDSHAKE_MS) == 0)
        refuse(tcp, 0, "has proven nothing for 10 s");
    if (is_awaited && tcp->stranger_count == MOST_STRANGERS && time_left_ms(tcp, FAIR_MS) == 0)
        refuse(tcp, 0, "was the oldest of too many that have proven nothing");
}

static void *let_workers_in(void *user)
{
    struct lithops__tcplink *tcp = user;
    for (;;) {
        struct pollfd fds[2 + MOST_STRANGERS] = {{tcp->stop_fd, POLLIN, 0},
                                                 {tcp->listen_fd, POLLIN, 0}};
        size_t count = tcp->stranger_count;
        /* The queue of a full house is looked at when there may be room. */
        bool may_accept = count < MOST_STRANGERS || time_left_ms(tcp, FAIR_MS) == 0;
        if (!may_accept)
            fds[1].events = 0;
        for (size_t i = 0; i < count; i++)
            fds[2 + i] = (struct pollfd){tcp->strangers[i].fd, tcp->strangers[i].events, 0};
        (void)poll(fds, 2 + count,
                   time_left_ms(tcp, may_accept ? LITHOPS__TCP_HANDSHAKE_MS : FAIR_MS));
        if (fds[0].revents)
            break;
        for (size_t i = count; i-- > 0;) /* backwards: those that go do not move the others */
            if (fds[2 + i].revents)
                (void)go_on(tcp, i);
        refuse_old(tcp, fds[1].revents != 0);
        if (fds[1].revents)
            accept_all(tcp);
    }
    while (tcp->stranger_count > 0) {
        tcp->stranger_count--;
        tcp->api->free(tcp->strangers[tcp->stranger_count].tls);
        close(tcp->strangers[tcp->stranger_count].fd);
    }
    return NULL;
}

/* ---- workers --------------------------------------------------------------------------------- */

int lithops__tcplink_expect(struct lithops__tcplink *tcp, uint32_t worker,
                            char secret[LITHOPS__TCP_SECRET], lithops_error *err)
{
    struct expected *expected = &tcp->expected[worker];
    int here_fd = lithops__high_fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (here_fd < 0)
        return lithops__fail_errno(err, errno, "cannot wait for a worker");
    pthread_mutex_lock(&tcp->lock);
    snprintf(expected->key.name, sizeof expected->key.name, "%u-%u", worker, ++expected->life);
    ssize_t n = getrandom(expected->key.bytes, sizeof expected->key.bytes, 0);
    expected->is_valid = n == sizeof expected->key.bytes;
    expected->here_fd = here_fd;
    expected->fd = -1;
    expected->err = (lithops_error)LITHOPS_ERROR_INIT;
    lithops__tcplink_key_write(&expected->key, secret);
    pthread_mutex_unlock(&tcp->lock);
    if (n == sizeof expected->key.bytes)
        return 0;
    lithops__tcplink_forget(tcp, worker);
    return lithops__fail_errno(err, errno, "no random numbers for a secret");
}

static int take(struct lithops__tcplink *tcp, struct expected *expected, int *ret_fd,
                lithops_error *err)
{
    pthread_mutex_lock(&tcp->lock);
    if (expected->err.code == 0)
        *ret_fd = expected->fd;
    expected->fd = -1;
    if (expected->err.code)
        *err = expected->err;
    int rc = expected->err.code;
    pthread_mutex_unlock(&tcp->lock);
    return rc;
}

int lithops__tcplink_await(struct lithops__tcplink *tcp, uint32_t worker, int cancel_fd,
                           int other_fd, uint32_t timeout_ms, int *ret_fd, lithops_error *err)
{
    struct expected *expected = &tcp->expected[worker];
    struct pollfd fds[] = {
        {expected->here_fd, POLLIN, 0}, {cancel_fd, POLLIN, 0}, {other_fd, POLLIN, 0}};
    uint64_t until = lithops__now_ns() + timeout_ms * (uint64_t)1000000;
    for (;;) {
        uint64_t now = lithops__now_ns();
        int left_ms = now < until ? (int)((until - now) / 1000000) + 1 : 0;
        int ready = poll(fds, 3, left_ms);
        if (ready > 0 && fds[0].revents)
            return take(tcp, expected, ret_fd, err);
        if (ready > 0 && fds[1].revents)
            return lithops__fail(err, LITHOPS_ECANCELED, "no worker is needed any more");
        if (ready > 0 && fds[2].revents)
            return lithops__fail(err, LITHOPS_EIO, "it ended before it had connected to %s",
                                 tcp->where);
        if (left_ms == 0)
            return lithops__fail(err, LITHOPS_ETIMEDOUT, "it did not connect to %s within %u s",
                                 tcp->where, timeout_ms / 1000);
    }
}

void lithops__tcplink_forget(struct lithops__tcplink *tcp, uint32_t worker)
{
    struct expected *expected = &tcp->expected[worker];
    pthread_mutex_lock(&tcp->lock);
    struct lithops__pump *pump = expected->pump;
    expected->pump = NULL;
    expected->is_valid = false;
    explicit_bzero(expected->key.bytes, sizeof expected->key.bytes);
    if (expected->fd >= 0)
        close(expected->fd);
    if (expected->here_fd >= 0)
        close(expected->here_fd);
    expected->fd = expected->here_fd = -1;
    pthread_mutex_unlock(&tcp->lock);
    if (pump)
        lithops__pump_stop(pump);
}

/* ---- all of it ------------------------------------------------------------------------------- */

const char *lithops__tcplink_where(const struct lithops__tcplink *tcp)
{
    return tcp->where;
}

uint64_t lithops__tcplink_refused(struct lithops__tcplink *tcp)
{
    pthread_mutex_lock(&tcp->lock);
    uint64_t refused = tcp->refused;
    pthread_mutex_unlock(&tcp->lock);
    return refused;
}

static int start_thread(struct lithops__tcplink *tcp, lithops_error *err)
{
    tcp->stop_fd = lithops__high_fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    int rc = tcp->stop_fd < 0 ? errno : lithops__thread_start(&tcp->thread, let_workers_in, tcp);
    tcp->has_thread = rc == 0;
    return rc ? lithops__fail_errno(err, rc, "cannot start a thread that lets workers in") : 0;
}

int lithops__tcplink_open(const lithops_value *settings, const char *section, uint32_t workers,
                          struct lithops__tcplink **ret, lithops_error *err)
{
    const struct lithops__tls_api *api = lithops__tcplink_tls(err);
    if (!api)
        return err->code;
    struct lithops__tcplink *tcp = calloc(1, sizeof *tcp);
    if (!tcp || !(tcp->expected = calloc(workers, sizeof *tcp->expected))) {
        free(tcp);
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    }
    tcp->api = api;
    tcp->count = workers;
    tcp->listen_fd = tcp->stop_fd = -1;
    pthread_mutex_init(&tcp->lock, NULL);
    for (uint32_t i = 0; i < workers; i++)
        tcp->expected[i].fd = tcp->expected[i].here_fd = -1;
    int rc = lithops__tcplink_listen(settings, section, &tcp->listen_fd, tcp->where, err);
    if (rc == 0)
        rc = start_thread(tcp, err);
    if (rc != 0) {
        lithops__tcplink_close(tcp);
        return rc;
    }
    lithops__log(LITHOPS_LOG_DEBUG, "tcp", "workers connect to %s", tcp->where);
    *ret = tcp;
    return 0;
}

void lithops__tcplink_close(struct lithops__tcplink *tcp)
{
    if (!tcp)
        return;
    if (tcp->has_thread) {
        (void)eventfd_write(tcp->stop_fd, 1);
        pthread_join(tcp->thread, NULL);
    }
    if (tcp->listen_fd >= 0)
        close(tcp->listen_fd);
    if (tcp->stop_fd >= 0)
        close(tcp->stop_fd);
    for (uint32_t i = 0; i < tcp->count; i++)
        lithops__tcplink_forget(tcp, i);
    pthread_mutex_destroy(&tcp->lock);
    free(tcp->expected);
    free(tcp);
}
