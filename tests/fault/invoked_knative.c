/* SPDX-License-Identifier: Apache-2.0 */
/* Knative, and what is like it: a request is a worker's as long as it works. */
#include "invoked.h"

#include "../conformance/worker_server.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SERVERS = 3, /* one is in use, the others take its place */ GONE_MS = 20000 * FAULT_SLOWER };

static const char *const answers[FAULTS] = {
    [THROTTLE] = "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n",
    [FAIL] = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 5\r\n\r\noops!",
    [DRAIN] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\n<html",
    [GARBAGE] = "\x16\x03\x01\r\n\r\n",
    [HALF] = "HTTP/1.1 200 OK\r\nX-Lithops-Wor",
    [DENY] = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 7\r\n\r\nexpired",
    [MISSING] = "HTTP/1.1 404 Not Found\r\nContent-Length: 8\r\n\r\nno image",
    [STRANGE] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
};

static struct {
    struct worker_server servers[SERVERS];
    pthread_mutex_t lock;
    unsigned current; /* [lock] the container in use */
} knative;

static lithops_value *section(const char *url, int start_s, enum kind kind)
{
    (void)kind;
    return lithops_pack("{s:s,s:s,s:i,s:i,s:i}", "endpoint", url, "secret", WORKER_SERVER_SECRET,
                        "max_workers", 2, "worker_processes", 1, "start_timeout", start_s);
}

static void start(unsigned seed)
{
    (void)seed;
    pthread_mutex_init(&knative.lock, NULL);
    for (int i = 0; i < SERVERS; i++)
        worker_server_start(&knative.servers[i], 16);
}

/* Containers that were not killed have nothing that runs, and end well. */
static void stop(void)
{
    for (unsigned i = 0; i < SERVERS; i++) {
        struct worker_server *server = &knative.servers[i];
        double limit = fault_now() + GONE_MS / 1e3;
        while (i >= knative.current && worker_server_count(server) > 0) {
            CHECK(fault_now() < limit);
            poll(NULL, 0, INVOKED_STEP_MS);
        }
        CHECK_INT(worker_server_stop(server), i < knative.current ? -SIGKILL : 0);
    }
}

/* @return a connection to a container that has got the request; -1: it is not there */
static int ask(unsigned number, const struct request *request)
{
    return invoked_ask(knative.servers[number].port, request->data, request->len);
}

/* What was sent last. */
struct block {
    char data[4096];
    size_t len;
};

/* Blocks pass until one of both ends, all is over, or `ms` are; -1: they never are. */
static void pump(int client, int server, int ms, struct block *last)
{
    double end = ms < 0 ? 1e18 : fault_now() + ms / 1e3;
    while (invoked_stay(0) && fault_now() < end) {
        struct pollfd fds[] = {{client, POLLIN, 0}, {server, POLLIN, 0}};
        if (poll(fds, 2, INVOKED_STEP_MS) <= 0)
            continue;
        for (int i = 0; i < 2; i++) {
            ssize_t n = fds[i].revents ? read(fds[i].fd, last->data, sizeof last->data) : -1;
            if (fds[i].revents &&
                (n <= 0 || send(fds[1 - i].fd, last->data, (size_t)n, MSG_NOSIGNAL) != n))
                return;
            if (n > 0)
                last->len = (size_t)n;
        }
    }
}

/* It is gone, and another one takes its place. The last one stays. */
static void kill_container(unsigned number)
{
    pthread_mutex_lock(&knative.lock);
    if (number == knative.current && number + 1 < SERVERS) {
        (void)kill(knative.servers[number].pid, SIGKILL);
        knative.current++;
    }
    pthread_mutex_unlock(&knative.lock);
}

static void pass(const struct request *request)
{
    pthread_mutex_lock(&knative.lock);
    unsigned number = knative.current;
    pthread_mutex_unlock(&knative.lock);
    enum fault fault = request->fault;
    struct block last = {.len = 0};
    int server = ask(number, request), other = -1;
    if (server < 0)
        return; /* as where a container is gone */
    if (fault == TWICE || fault == BOTH)
        other = ask(fault == TWICE ? number : (number + 1) % SERVERS, request);
    if (fault == CUT || fault == KILL || fault == DEATH)
        pump(request->fd, server, request->delay_ms, &last);
    if (fault == KILL)
        (void)worker_server_kill_worker(&knative.servers[number]);
    else if (fault == DEATH)
        kill_container(number);
    if (fault == LOST) {
        shutdown(request->fd, SHUT_RDWR);
        while (invoked_stay(1000))
            ;
    } else if (fault != CUT) {
        pump(request->fd, server, -1, &last);
    }
    if (fault == AGAIN)
        (void)send(request->fd, last.data, last.len, MSG_NOSIGNAL);
    if (other >= 0)
        close(other);
    close(server);
}

const struct platform invoked_knative = {.backend = "knative",
                                         .storage = "redis",
                                         .quota = "status 429",
                                         .answers = answers,
                                         .section = section,
                                         .start = start,
                                         .stop = stop,
                                         .pass = pass,
                                         .most_own = 2};
