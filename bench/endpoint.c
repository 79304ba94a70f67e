/* SPDX-License-Identifier: Apache-2.0 */
/* An HTTP endpoint that takes a given time for each answer, and little of the CPU, for rows that
 * measure those who invoke functions: endpoint LATENCY_US COMMAND...
 *
 * The command gets its URL as LITHOPS_BENCH_ENDPOINT. A request needs a Content-Length; the answer
 * is 202 and {"activationId": "ECHO", "sent": NS}, where ECHO is the first 16 bytes of the
 * request's body, or what stands there behind "echo":", and NS the time by CLOCK_MONOTONIC.
 * Connections are kept. Without a latency it spins, or clients would pay for waking it, as for none
 * that is elsewhere. It ends with the command, with its status. */
#include "bench.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum { ECHO = 16, REQUEST_MAX = 16 << 10, EVENTS = 512, FDS = 1 << 17 };

struct connection {
    uint64_t number; /* descriptors are used again */
    size_t len;
    char in[REQUEST_MAX];
};
struct answer {
    uint64_t at_ns, number;
    int fd;
    char echo[ECHO + 1];
};

static struct connection *connections[FDS];
static struct answer *answers; /* a ring, in the order in which they are due */
static size_t first, last, room = 1 << 17;
static uint64_t latency_ns;

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void hang_up(int fd)
{
    free(connections[fd]);
    connections[fd] = NULL;
    close(fd);
}

static void send_answer(const struct answer *answer)
{
    char body[96], text[256];
    int len = snprintf(body, sizeof body, "{\"activationId\": \"%s\", \"sent\": %llu}",
                       answer->echo, (unsigned long long)now_ns());
    len = snprintf(text, sizeof text,
                   "HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\n"
                   "Content-Length: %d\r\n\r\n%s",
                   len, body);
    const struct connection *c = connections[answer->fd];
    if (c && c->number == answer->number &&
        send(answer->fd, text, (size_t)len, MSG_NOSIGNAL) != len)
        hang_up(answer->fd);
}

/* A whole request has come. @return its length; 0: not yet */
static size_t take_request(const struct connection *c, struct answer *ret_answer)
{
    const char *end = strstr(c->in, "\r\n\r\n"), *length = strcasestr(c->in, "\r\nContent-Length:");
    if (!end)
        return 0;
    size_t head = (size_t)(end + 4 - c->in), body = length ? strtoul(length + 17, NULL, 10) : 0;
    if (c->len < head + body)
        return 0;
    const char *echo = strstr(end, "\"echo\":");
    echo = echo ? echo + 7 + strspn(echo + 7, " \"") : end + 4;
    snprintf(ret_answer->echo, sizeof ret_answer->echo, "%.*s", ECHO, echo);
    return head + body;
}

static void take(int fd)
{
    struct connection *c = connections[fd];
    ssize_t n = recv(fd, c->in + c->len, sizeof c->in - 1 - c->len, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        hang_up(fd);
        return;
    }
    c->len += (size_t)n;
    c->in[c->len] = '\0';
    struct answer answer = {.at_ns = now_ns() + latency_ns, .number = c->number, .fd = fd};
    size_t used = take_request(c, &answer);
    if (used == 0)
        return;
    c->len -= used; /* nobody sends the next one before this one is answered */
    memmove(c->in, c->in + used, c->len + 1);
    if (latency_ns == 0)
        send_answer(&answer);
    else if (last - first < room)
        answers[last++ % room] = answer;
    else
        bench_die("too many requests at a time");
}

static void send_due(void)
{
    while (first < last && answers[first % room].at_ns <= now_ns())
        send_answer(&answers[first++ % room]);
}

static int wait_for(int epoll_fd, struct epoll_event *events)
{
    uint64_t now = now_ns(), at = first < last ? answers[first % room].at_ns : now + 1000000000;
    uint64_t left = at > now && latency_ns ? at - now : 0; /* see above */
    struct timespec time = {(time_t)(left / 1000000000), (long)(left % 1000000000)};
    return epoll_pwait2(epoll_fd, events, EVENTS, &time, NULL);
}

static void add(int epoll_fd, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static void take_connections(int epoll_fd, int listen_fd)
{
    static uint64_t count;
    for (int fd; (fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        connections[fd] = calloc(1, sizeof **connections);
        connections[fd]->number = ++count;
        add(epoll_fd, fd);
    }
}

static int serve(int listen_fd, int child_fd, pid_t child)
{
    static struct epoll_event events[EVENTS];
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC), status = 0;
    add(epoll_fd, listen_fd);
    add(epoll_fd, child_fd);
    for (;;) {
        int n = wait_for(epoll_fd, events);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == child_fd && waitpid(child, &status, WNOHANG) == child)
                return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
            if (fd == listen_fd)
                take_connections(epoll_fd, fd);
            else if (fd != child_fd)
                take(fd);
        }
        send_due();
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    struct rlimit files;
    char url[64];
    sigset_t ends;
    if (argc < 3)
        bench_die("usage: endpoint LATENCY_US COMMAND...");
    latency_ns = strtoul(argv[1], NULL, 10) * 1000;
    answers = calloc(room, sizeof *answers);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max < FDS ? files.rlim_max : FDS;
    setrlimit(RLIMIT_NOFILE, &files);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(fd, 4096) != 0 || getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        bench_die("cannot listen");
    snprintf(url, sizeof url, "http://127.0.0.1:%d", ntohs(address.sin_port));
    setenv("LITHOPS_BENCH_ENDPOINT", url, 1);
    sigemptyset(&ends);
    sigaddset(&ends, SIGCHLD);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    int child_fd = signalfd(-1, &ends, SFD_NONBLOCK | SFD_CLOEXEC);
    pid_t child = fork();
    if (child == 0) {
        sigprocmask(SIG_UNBLOCK, &ends, NULL);
        execvp(argv[2], argv + 2);
        bench_die("cannot run the command");
    }
    return serve(fd, child_fd, child);
}
