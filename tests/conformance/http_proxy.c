/* SPDX-License-Identifier: Apache-2.0 */
/* A thread per connection relays both ways. A request begins when the client speaks after the
 * server did: nothing needs to be parsed. (A body that waits for "100 Continue" counts as another
 * one.) */
#include "http_proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BLOCK = 64 << 10,
    HEAD = 4096,
    LITTLE = 512,
    MUCH = 512 << 10,
    DELAY_MS = 60,
    REPEAT_MS = 2000
};

enum fault { NONE, DROP, CUT_REQUEST, CUT_ANSWER, DELAY, REPEAT, ANSWER, FAULTS };

static const char *const answers[] = {
    "HTTP/1.1 503 Slow Down\r\nConnection: close\r\nContent-Length: 40\r\n\r\n"
    "<Error><Code>SlowDown</Code></Error>    ",
    "HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\nContent-Length: 5\r\n\r\noops!",
    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/html\r\nContent-Length: 22\r\n\r\n"
    "<html>log in</html>   ",
    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/xml\r\n"
    "Content-Length: 66\r\n\r\n"
    "<Error><Code>InternalError</Code><Message>Again</Message></Error> ",
};

struct http_proxy {
    int listener, stop[2], server_port;
    unsigned one_of;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    /* under lock */
    unsigned random;
    size_t disturbed, connections;
    const char *mark, *refusal;
};

struct connection {
    struct http_proxy *proxy;
    int client, server;
    char request[BLOCK]; /* as far as it fits */
    size_t request_len;  /* more: it does not */
};

static unsigned draw(struct http_proxy *proxy, unsigned below)
{
    proxy->random = proxy->random * 1103515245u + 12345u;
    return (proxy->random >> 16) % below;
}

/* [lock] Behind how many bytes something is cut: in its head, or in a long body. */
static size_t draw_cut(struct http_proxy *proxy)
{
    return draw(proxy, 2) ? draw(proxy, LITTLE) : 8 * (size_t)draw(proxy, MUCH / 8);
}

/* What happens to the next request; *ret_after: behind how many bytes or milliseconds, or which
 * answer. */
static enum fault choose(struct http_proxy *proxy, size_t *ret_after)
{
    enum fault fault = NONE;
    pthread_mutex_lock(&proxy->lock);
    if (proxy->one_of && draw(proxy, proxy->one_of) == 0) {
        fault = (enum fault)(1 + draw(proxy, FAULTS - 1));
        *ret_after = fault == ANSWER  ? draw(proxy, sizeof answers / sizeof *answers)
                     : fault == DELAY ? draw(proxy, DELAY_MS)
                                      : draw_cut(proxy);
        proxy->disturbed++;
    }
    pthread_mutex_unlock(&proxy->lock);
    return fault;
}

static bool send_all(int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t sent = send(fd, data, len, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        data += sent;
        len -= (size_t)sent;
    }
    return true;
}

/* Read what there is of the request, so that closing does not reset the answer away. */
static void answer(int client, const char *text)
{
    char rest[BLOCK];
    struct pollfd more = {.fd = client, .events = POLLIN};
    send_all(client, text, strlen(text));
    shutdown(client, SHUT_WR);
    while (poll(&more, 1, 1000) > 0 && recv(client, rest, sizeof rest, 0) > 0)
        ;
}

static void keep(struct connection *c, const char *data, size_t len)
{
    if (c->request_len + len <= sizeof c->request)
        memcpy(c->request + c->request_len, data, len);
    c->request_len += len;
}

static int connect_to(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)connect(fd, (struct sockaddr *)&address, sizeof address); /* else sending fails */
    return fd;
}

/* The request once more, which the server has answered; that answer is nobody's. */
static void repeat(struct connection *c)
{
    char rest[BLOCK];
    if (c->request_len > sizeof c->request)
        return;
    int fd = connect_to(c->proxy->server_port);
    struct pollfd more[2] = {{.fd = fd, .events = POLLIN},
                             {.fd = c->proxy->stop[0], .events = POLLIN}};
    if (send_all(fd, c->request, c->request_len) && shutdown(fd, SHUT_WR) == 0)
        while (poll(more, 2, REPEAT_MS) > 0 && !more[1].revents &&
               recv(fd, rest, sizeof rest, 0) > 0)
            ;
    close(fd);
}

/* Pass on one block. False: the connection ends. */
static bool pass(struct connection *c, bool from_client, enum fault fault, size_t *after)
{
    char block[BLOCK];
    int from = from_client ? c->client : c->server, to = from_client ? c->server : c->client;
    ssize_t got = recv(from, block, sizeof block, 0);
    if (got <= 0)
        return false;
    size_t len = (size_t)got;
    if (from_client)
        keep(c, block, len);
    if (fault != (from_client ? CUT_REQUEST : CUT_ANSWER))
        return send_all(to, block, len);
    size_t passed = *after < len ? *after : len;
    *after -= passed;
    return send_all(to, block, passed) && passed == len;
}

/* What the request that is about to be read gets instead of the server's answer, or NULL. */
static const char *refusal_of(struct connection *c)
{
    char head[HEAD];
    ssize_t len = recv(c->client, head, sizeof head, MSG_PEEK);
    pthread_mutex_lock(&c->proxy->lock);
    const char *mark = c->proxy->mark, *refusal = NULL;
    if (mark && len > 0 && memmem(head, (size_t)len, mark, strlen(mark))) {
        refusal = c->proxy->refusal;
        c->proxy->disturbed++;
    }
    pthread_mutex_unlock(&c->proxy->lock);
    return refusal;
}

void http_proxy_refuse(struct http_proxy *proxy, const char *mark, const char *refusal)
{
    pthread_mutex_lock(&proxy->lock);
    proxy->mark = mark;
    proxy->refusal = refusal;
    pthread_mutex_unlock(&proxy->lock);
}

static void relay(struct connection *c)
{
    struct pollfd polled[3] = {{.fd = c->client, .events = POLLIN},
                               {.fd = c->server, .events = POLLIN},
                               {.fd = c->proxy->stop[0], .events = POLLIN}};
    enum fault fault = NONE;
    bool server_spoke = true;
    size_t after = 0;
    while (poll(polled, 3, -1) > 0 && !polled[2].revents) {
        if (polled[0].revents) {
            const char *refusal = server_spoke ? refusal_of(c) : NULL;
            if (refusal) {
                answer(c->client, refusal);
                return;
            }
            if (server_spoke)
                fault = choose(c->proxy, &after);
            if (server_spoke && fault == ANSWER)
                answer(c->client, answers[after]);
            if (server_spoke && (fault == DROP || fault == ANSWER))
                return;
            if (server_spoke)
                c->request_len = 0;
            server_spoke = false;
            if (!pass(c, true, fault, &after))
                return;
        } else if (polled[1].revents) {
            if (fault == DELAY && !server_spoke)
                poll(&polled[2], 1, (int)after);
            if (fault == REPEAT && !server_spoke)
                repeat(c);
            server_spoke = true;
            if (!pass(c, false, fault, &after))
                return;
        }
    }
}

static void *serve_connection(void *user)
{
    struct connection *c = user;
    struct http_proxy *proxy = c->proxy;
    c->server = connect_to(proxy->server_port);
    relay(c);
    close(c->server);
    close(c->client);
    free(c);
    pthread_mutex_lock(&proxy->lock);
    proxy->connections--;
    pthread_cond_signal(&proxy->ended);
    pthread_mutex_unlock(&proxy->lock);
    return NULL;
}

static void *accept_all(void *user)
{
    struct http_proxy *proxy = user;
    struct pollfd polled[2] = {{.fd = proxy->listener, .events = POLLIN},
                               {.fd = proxy->stop[0], .events = POLLIN}};
    while (poll(polled, 2, -1) > 0 && !polled[1].revents) {
        struct connection *c = calloc(1, sizeof *c);
        pthread_t thread;
        if (!c)
            abort();
        c->proxy = proxy;
        c->client = accept4(proxy->listener, NULL, NULL, SOCK_CLOEXEC);
        pthread_mutex_lock(&proxy->lock);
        proxy->connections++;
        pthread_mutex_unlock(&proxy->lock);
        if (c->client < 0 || pthread_create(&thread, NULL, serve_connection, c) != 0)
            abort();
        pthread_detach(thread);
    }
    return NULL;
}

struct http_proxy *http_proxy_start(const char *server, unsigned seed, unsigned one_of,
                                    int *ret_port)
{
    struct http_proxy *proxy = calloc(1, sizeof *proxy);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    if (!proxy || pipe(proxy->stop) != 0)
        abort();
    proxy->server_port = atoi(strrchr(server, ':') + 1);
    proxy->random = seed;
    proxy->one_of = one_of;
    pthread_mutex_init(&proxy->lock, NULL);
    pthread_cond_init(&proxy->ended, NULL);
    proxy->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(proxy->listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(proxy->listener, 128) != 0 ||
        getsockname(proxy->listener, (struct sockaddr *)&address, &len) != 0 ||
        pthread_create(&proxy->thread, NULL, accept_all, proxy) != 0)
        abort();
    *ret_port = ntohs(address.sin_port);
    return proxy;
}

size_t http_proxy_stop(struct http_proxy *proxy)
{
    close(proxy->stop[1]); /* whoever polls the other end wakes */
    pthread_join(proxy->thread, NULL);
    pthread_mutex_lock(&proxy->lock);
    while (proxy->connections)
        pthread_cond_wait(&proxy->ended, &proxy->lock);
    pthread_mutex_unlock(&proxy->lock);
    size_t disturbed = proxy->disturbed;
    close(proxy->stop[0]);
    close(proxy->listener);
    pthread_cond_destroy(&proxy->ended);
    pthread_mutex_destroy(&proxy->lock);
    free(proxy);
    return disturbed;
}
