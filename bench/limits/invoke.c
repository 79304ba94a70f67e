/* SPDX-License-Identifier: Apache-2.0 */
/* Bare HTTP requests over open connections, in one loop: what bench/endpoint.c and the kernel
 * allow. Nothing is parsed but the number in the answer: invoke IN_FLIGHT COUNT */
#include "bench.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

enum { BODY = 512, EVENTS = 512 };

struct connection {
    int fd;
    long number;
};

static int port, epoll_fd;

static void open_connection(struct connection *c)
{
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons((uint16_t)port),
                                        .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (const struct sockaddr *)&address, sizeof address) != 0)
        bench_die("cannot connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event);
}

static void begin(struct connection *c, long number)
{
    char text[1024];
    int head = snprintf(text, sizeof text,
                        "POST / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: bench\r\nAccept: */*"
                        "\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n"
                        "%016ld",
                        port, BODY, number);
    size_t len = (size_t)head - 16 + BODY;
    memset(text + head, 'x', len - (size_t)head);
    c->number = number;
    if (send(c->fd, text, len, MSG_NOSIGNAL) != (ssize_t)len)
        bench_die("cannot send");
}

static void finish(const struct connection *c)
{
    char text[1024];
    ssize_t n = recv(c->fd, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    const char *echo = strstr(text, "\"activationId\": \"");
    if (!echo || strtol(echo + 17, NULL, 10) != c->number)
        bench_die("a wrong answer");
}

static void run(struct connection *all, long in_flight, long count)
{
    struct epoll_event events[EVENTS];
    long begun = 0, done = 0;
    for (; begun < in_flight && begun < count; begun++)
        begin(&all[begun], begun);
    while (done < count) {
        int n = epoll_wait(epoll_fd, events, EVENTS, -1);
        for (int i = 0; i < n; i++, done++) {
            struct connection *c = events[i].data.ptr;
            finish(c);
            if (begun < count)
                begin(c, begun++);
        }
    }
}

static double cpu_s(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv)
{
    const char *endpoint = getenv("LITHOPS_BENCH_ENDPOINT");
    if (!endpoint)
        bench_die("usage: endpoint LATENCY_US invoke IN_FLIGHT COUNT");
    port = atoi(strrchr(endpoint, ':') + 1);
    long in_flight = bench_argument(argc, argv, 1, 64);
    struct connection *all = calloc((size_t)in_flight, sizeof *all);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    for (long i = 0; i < in_flight; i++)
        open_connection(&all[i]);
    run(all, in_flight, 2 * in_flight);
    double cpu = cpu_s(), start = bench_now();
    run(all, in_flight, bench_argument(argc, argv, 2, 10000));
    bench_report("seconds", bench_now() - start);
    bench_report("cpu", cpu_s() - cpu);
    free(all);
    return 0;
}
