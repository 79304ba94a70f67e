/* SPDX-License-Identifier: Apache-2.0 */
/* The least work for reading a large object over HTTP: ranges of it over connections that stay
 * open, straight into memory that is there already. No signature, no status, no checksum.
 *
 *     ranges PATH SIZE_MIB PART_MIB CONNECTIONS THREADS
 *
 * The server is that of LITHOPS_TEST_S3_ENDPOINT, an address and a port. */
#include "objects.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { HEAD = 8192, MAX_THREADS = 16 };

static const char *path, *host;
static struct sockaddr_in server;
static uint64_t size, part;
static long per_thread;
static unsigned char *memory;
static _Atomic uint64_t next_part;

struct connection {
    int fd;
    uint64_t at, end; /* of the range; what has come of it */
    bool in_head;
    size_t head_len;
    char head[HEAD];
};

/* False: there are no more ranges. */
static bool ask(struct connection *c)
{
    char request[1024];
    c->at = atomic_fetch_add(&next_part, part);
    if (c->at >= size)
        return false;
    c->end = c->at + part < size ? c->at + part : size;
    c->in_head = true;
    c->head_len = 0;
    int len = snprintf(request, sizeof request,
                       "GET %s HTTP/1.1\r\nHost: %s\r\nRange: bytes=%llu-%llu\r\n\r\n", path, host,
                       (unsigned long long)c->at, (unsigned long long)c->end - 1);
    if (write(c->fd, request, (size_t)len) != len)
        bench_die("a request cannot be sent");
    return true;
}

/* False: nothing is there at the moment. */
static bool receive(struct connection *c)
{
    char *to = c->in_head ? c->head + c->head_len : (char *)memory + c->at;
    size_t room = c->in_head ? HEAD - 1 - c->head_len : c->end - c->at;
    ssize_t got = recv(c->fd, to, room, 0);
    if (got < 0 && errno == EAGAIN)
        return false;
    if (got <= 0)
        bench_die("the connection has ended");
    if (!c->in_head) {
        c->at += (uint64_t)got;
        return true;
    }
    c->head_len += (size_t)got;
    c->head[c->head_len] = '\0';
    char *end = strstr(c->head, "\r\n\r\n");
    if (!end && c->head_len == HEAD - 1)
        bench_die("an answer has no end of its head");
    if (!end)
        return true;
    if (!strstr(c->head, " 206 "))
        bench_die("an answer is no part");
    size_t body = c->head_len - (size_t)(end + 4 - c->head);
    memcpy(memory + c->at, end + 4, body);
    c->at += body;
    c->in_head = false;
    return true;
}

static void *run(void *user)
{
    int poll = epoll_create1(EPOLL_CLOEXEC), on = 1;
    long live = 0;
    struct connection *all = calloc((size_t)per_thread, sizeof *all);
    (void)user;
    for (long i = 0; i < per_thread; i++) {
        struct connection *c = &all[i];
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(c->fd, (struct sockaddr *)&server, sizeof server) != 0)
            bench_die("the server does not listen");
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        fcntl(c->fd, F_SETFL, O_NONBLOCK);
        if (!ask(c))
            continue;
        epoll_ctl(poll, EPOLL_CTL_ADD, c->fd, &event);
        live++;
    }
    while (live) {
        struct epoll_event events[64];
        int count = epoll_wait(poll, events, 64, -1);
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            bool more = true;
            while (more && receive(c))
                if (!c->in_head && c->at == c->end && !(more = ask(c))) {
                    close(c->fd); /* leaves the poll as well */
                    live--;
                }
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    const char *endpoint = getenv("LITHOPS_TEST_S3_ENDPOINT");
    char address[64];
    int port = 0;
    if (argc < 6 || !endpoint || sscanf(endpoint, "http://%63[0-9.]:%d", address, &port) != 2)
        bench_die("usage: ranges PATH SIZE_MIB PART_MIB CONNECTIONS THREADS, and the endpoint");
    host = endpoint + 7;
    path = argv[1];
    size = (uint64_t)bench_argument(argc, argv, 2, 1) << 20;
    part = (uint64_t)bench_argument(argc, argv, 3, 8) << 20;
    long threads = bench_argument(argc, argv, 5, 1);
    if (threads < 1 || threads > MAX_THREADS)
        bench_die("1 to 16 threads");
    per_thread = bench_argument(argc, argv, 4, 8) / threads;
    server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, address, &server.sin_addr);
    memory = bench_share(size); /* there already */
    pthread_t ids[MAX_THREADS];
    struct objects_time start = objects_start();
    for (long i = 0; i < threads; i++)
        pthread_create(&ids[i], NULL, run, NULL);
    for (long i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
    objects_stop(start);
    bench_report("sum", objects_sum(memory, size));
    return 0;
}
