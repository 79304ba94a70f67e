/* SPDX-License-Identifier: Apache-2.0 */
/* The worker's side: connect to the client, and have it prove who it is.
 *
 * The client may have told several addresses, of which some lead nowhere, or to another machine
 * that has the same one in its network. So all are tried at the same time, and the first that
 * answers is asked for its proof, then the next one. One that says nothing has a short turn while
 * others wait; when they have had theirs it gets a second, long one. */
#include "base/clock.h"
#include "base/error.h"
#include "ipc/area.h"
#include "tcp/pump.h"
#include "tcp/secret.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST_SOCKETS = 32, CONNECT_MS = 30000, TURN_MS = 2000 };

struct attempts {
    struct pollfd fds[MOST_SOCKETS];
    char names[MOST_SOCKETS][80];
    bool had_turn[MOST_SOCKETS];
    size_t count;
    lithops_error last; /* why the last one failed */
};

static int time_left_ms(uint64_t until_ns)
{
    uint64_t now = lithops__now_ns();
    return now < until_ns ? (int)((until_ns - now) / 1000000) + 1 : 0;
}

/* ---- connecting ------------------------------------------------------------------------------ */

static void note_failure(struct attempts *attempts, const char *name, int failed)
{
    lithops__fail(&attempts->last, LITHOPS_EIO,
                  "cannot connect to the client at %s: %s; is there a firewall?", name,
                  strerror(failed));
}

static void begin(struct attempts *attempts, const struct sockaddr *address, socklen_t size,
                  bool had_turn)
{
    if (attempts->count == MOST_SOCKETS)
        return;
    char *name = attempts->names[attempts->count];
    lithops__tcplink_address(address, size, name, sizeof *attempts->names);
    int fd =
        lithops__high_fd(socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (fd >= 0 && (connect(fd, address, size) == 0 || errno == EINPROGRESS)) {
        attempts->had_turn[attempts->count] = had_turn;
        attempts->fds[attempts->count++] = (struct pollfd){fd, POLLOUT, 0};
        return;
    }
    note_failure(attempts, name, errno);
    if (fd >= 0)
        close(fd);
}

/* "10.0.0.5:40123" */
static int begin_one(struct attempts *attempts, char *item, lithops_error *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    char *port = strrchr(item, ':'), *host = item;
    size_t len = port ? (size_t)(port - item) : 0;
    bool is_v6 = len > 2 && item[0] == '[' && port[-1] == ']';
    if (len == 0 || !port[1] || (!is_v6 && memchr(item, ':', len)))
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "'%s' is not where a client is: write HOST:PORT, or several with "
                             "commas between them",
                             item);
    *port++ = '\0';
    if (is_v6) {
        host++;
        port[-2] = '\0';
    }
    int failed = getaddrinfo(host, port, &hints, &found);
    if (failed) {
        lithops__fail(&attempts->last, LITHOPS_EIO, "cannot look up the client's name '%s': %s",
                      host, gai_strerror(failed));
        return 0;
    }
    for (const struct addrinfo *at = found; at; at = at->ai_next)
        begin(attempts, at->ai_addr, at->ai_addrlen, false);
    freeaddrinfo(found);
    return 0;
}

static int begin_all(struct attempts *attempts, const char *where, lithops_error *err)
{
    char text[LITHOPS__TCP_WHERE];
    int rc = 0;
    snprintf(text, sizeof text, "%s", where);
    for (char *at = text, *next; rc == 0 && at; at = next) {
        next = strchr(at, ',');
        if (next)
            *next++ = '\0';
        rc = begin_one(attempts, at, err);
    }
    return rc;
}

static void drop(struct attempts *attempts, size_t i)
{
    attempts->count--;
    attempts->fds[i] = attempts->fds[attempts->count];
    memmove(attempts->names[i], attempts->names[attempts->count], sizeof *attempts->names);
    attempts->had_turn[i] = attempts->had_turn[attempts->count];
}

/* ---- proving --------------------------------------------------------------------------------- */

static int shake_hands(const struct lithops__tls_api *api, struct lithops__tls *tls, int fd,
                       const char *name, uint32_t most_ms, lithops_error *err)
{
    uint64_t until = lithops__now_ns() + most_ms * (uint64_t)1000000;
    char reason[128];
    for (int rc; (rc = api->handshake(tls)) != 0;) {
        struct pollfd ready = {fd, rc == LITHOPS__TLS_WRITE ? POLLOUT : POLLIN, 0};
        int left_ms = time_left_ms(until);
        if (rc == LITHOPS__TLS_LOST) {
            api->reason(tls, reason, sizeof reason);
            return lithops__fail(err, LITHOPS_EDENIED,
                                 "%s does not accept this worker's secret, or does not know it: it "
                                 "is good for one connection to the client that gave it (%s)",
                                 name, reason[0] ? reason : "it hung up");
        }
        if (left_ms == 0 || (poll(&ready, 1, left_ms) < 0 && errno != EINTR))
            return lithops__fail(err, LITHOPS_ETIMEDOUT,
                                 "%s accepts connections and then says nothing for %u s: is it the "
                                 "client?",
                                 name, most_ms / 1000);
    }
    return 0;
}

/* Connect to it once more: it may be the client, only slow. */
static void begin_again(struct attempts *attempts, int fd)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    if (getpeername(fd, (struct sockaddr *)&address, &size) == 0)
        begin(attempts, (const struct sockaddr *)&address, size, true);
}

/* @return 0; else `last` says why not */
static int prove(struct attempts *attempts, size_t i, const struct lithops__tls_api *api,
                 const struct lithops__tcplink_key *key, struct lithops__pump **ret, int *ret_fd)
{
    int fd = attempts->fds[i].fd, failed = 0;
    socklen_t size = sizeof failed;
    lithops_error err = LITHOPS_ERROR_INIT;
    char name[sizeof *attempts->names];
    bool is_long = attempts->had_turn[i] || attempts->count == 1;
    memcpy(name, attempts->names[i], sizeof name);
    (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &size);
    drop(attempts, i);
    if (failed) {
        close(fd);
        if (attempts->last.code != LITHOPS_EDENIED) /* which says more */
            note_failure(attempts, name, failed);
        return LITHOPS_EIO;
    }
    lithops__tcplink_prepare(fd);
    struct lithops__tls *tls = api->client(fd, key->name, key->bytes);
    int rc =
        tls ? shake_hands(api, tls, fd, name, is_long ? LITHOPS__TCP_HANDSHAKE_MS : TURN_MS, &err)
            : lithops__fail(&err, LITHOPS_ENOMEM, "OpenSSL cannot make a connection of TLS");
    if (rc == 0) {
        rc = lithops__pump_start(api, tls, fd, ret, ret_fd, &err);
    } else {
        if (rc == LITHOPS_ETIMEDOUT && !is_long)
            begin_again(attempts, fd);
        api->free(tls);
        close(fd);
    }
    if (rc != 0)
        attempts->last = err;
    return rc;
}

static int try_all(struct attempts *attempts, const struct lithops__tls_api *api,
                   const struct lithops__tcplink_key *key, struct lithops__pump **ret, int *ret_fd)
{
    uint64_t until = lithops__now_ns() + CONNECT_MS * (uint64_t)1000000;
    while (attempts->count > 0) {
        int left_ms = time_left_ms(until);
        int ready = poll(attempts->fds, attempts->count, left_ms);
        for (size_t i = 0; ready > 0 && i < attempts->count; i++)
            if (attempts->fds[i].revents) {
                if (prove(attempts, i, api, key, ret, ret_fd) == 0)
                    return 0;
                break; /* the others have moved */
            }
        if (left_ms > 0)
            continue;
        lithops__fail(&attempts->last, LITHOPS_ETIMEDOUT,
                      "the client at %s does not answer within %d s: is there a firewall?",
                      attempts->names[0], CONNECT_MS / 1000);
        break;
    }
    return attempts->last.code;
}

int lithops__tcplink_join(const char *where, const char *secret, struct lithops__pump **ret,
                          int *ret_fd, lithops_error *err)
{
    struct attempts attempts = {.last = LITHOPS_ERROR_INIT};
    struct lithops__tcplink_key key;
    if (!lithops__tcplink_key_read(secret, &key))
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "what is given as this worker's secret is none: it must be what the "
                             "client gave");
    const struct lithops__tls_api *api = lithops__tcplink_tls(err);
    if (!api)
        return err->code;
    int rc = begin_all(&attempts, where, err);
    if (rc == 0 && (rc = try_all(&attempts, api, &key, ret, ret_fd)) != 0)
        *err = attempts.last;
    for (size_t i = 0; i < attempts.count; i++)
        close(attempts.fds[i].fd);
    explicit_bzero(&key, sizeof key);
    return rc;
}

void lithops__tcplink_leave(struct lithops__pump *pump)
{
    lithops__pump_stop(pump);
}
