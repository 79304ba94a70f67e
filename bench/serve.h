/* SPDX-License-Identifier: Apache-2.0 */
/* What the servers of this folder share: HTTP connections, which are kept, in one thread, and a
 * command that they end with. */
#ifndef LITHOPS_BENCH_SERVE_H
#define LITHOPS_BENCH_SERVE_H

#include "bench.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum { SERVE_REQUEST = 16 << 10, SERVE_EVENTS = 512, SERVE_FDS = 1 << 17 };

struct serve_connection {
    uint64_t number; /* descriptors are used again */
    bool has_continued;
    size_t len;
    char in[SERVE_REQUEST]; /* with a NUL */
};
static struct serve_connection *serve_connections[SERVE_FDS];

struct serve_request {
    size_t len;
    const char *body;
    size_t body_len;
};

struct server {
    /* A whole request has come: its bytes begin with connection->in. */
    void (*take)(int fd, const struct serve_request *request);
    void (*look)(void);                    /* after all that has come; may be NULL */
    struct timespec (*time_to_wait)(void); /* NULL: for ever */
};

static inline void serve_hang_up(int fd)
{
    free(serve_connections[fd]);
    serve_connections[fd] = NULL;
    close(fd);
}

static inline void serve_send(int fd, const void *bytes, size_t len)
{
    if (send(fd, bytes, len, MSG_NOSIGNAL) != (ssize_t)len)
        serve_hang_up(fd);
}

/* False: not all of it has come. Who waits before the body is told to go on. */
static inline bool serve_is_whole(int fd, struct serve_request *ret_request)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct serve_connection *c = serve_connections[fd];
    const char *end = strstr(c->in, "\r\n\r\n"), *length = strcasestr(c->in, "\r\nContent-Length:");
    if (!end)
        return false;
    ret_request->body = end + 4;
    ret_request->body_len = length && length < end ? strtoul(length + 17, NULL, 10) : 0;
    ret_request->len = (size_t)(end + 4 - c->in) + ret_request->body_len;
    if (c->len >= ret_request->len)
        return true;
    const char *expect = c->has_continued ? NULL : strcasestr(c->in, "\r\nExpect: 100");
    if (expect && expect < end) {
        c->has_continued = true;
        serve_send(fd, go_on, sizeof go_on - 1);
    }
    return false;
}

static inline void serve_receive(const struct server *server, int fd)
{
    struct serve_connection *c = serve_connections[fd];
    struct serve_request request;
    ssize_t n = recv(fd, c->in + c->len, sizeof c->in - 1 - c->len, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        serve_hang_up(fd);
        return;
    }
    c->len += (size_t)n;
    c->in[c->len] = '\0';
    if (!serve_is_whole(fd, &request))
        return;
    server->take(fd, &request);
    if (!serve_connections[fd])
        return;
    c->has_continued = false;
    c->len -= request.len; /* nobody sends the next one before this one is answered */
    memmove(c->in, c->in + request.len, c->len + 1);
}

static inline void serve_add(int epoll_fd, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static inline void serve_accept(int epoll_fd, int listen_fd)
{
    static uint64_t count;
    for (int fd; (fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        serve_connections[fd] = calloc(1, sizeof **serve_connections);
        serve_connections[fd]->number = ++count;
        serve_add(epoll_fd, fd);
    }
}

static inline int serve_until(const struct server *server, int listen_fd, int child_fd, pid_t child)
{
    static struct epoll_event events[SERVE_EVENTS];
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC), status = 0;
    serve_add(epoll_fd, listen_fd);
    serve_add(epoll_fd, child_fd);
    for (;;) {
        struct timespec time;
        if (server->time_to_wait)
            time = server->time_to_wait();
        int n =
            epoll_pwait2(epoll_fd, events, SERVE_EVENTS, server->time_to_wait ? &time : NULL, NULL);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == child_fd && waitpid(child, &status, WNOHANG) == child)
                return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
            if (fd == listen_fd)
                serve_accept(epoll_fd, fd);
            else if (fd != child_fd && serve_connections[fd])
                serve_receive(server, fd);
        }
        if (server->look)
            server->look();
    }
}

/* Serve while a command runs, which gets the URL as `variable`. @return its status */
static inline int serve(const struct server *server, const char *variable, char **command)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    struct rlimit files;
    char url[64];
    sigset_t ends;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max < SERVE_FDS ? files.rlim_max : SERVE_FDS;
    setrlimit(RLIMIT_NOFILE, &files);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(fd, 4096) != 0 || getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        bench_die("cannot listen");
    snprintf(url, sizeof url, "http://127.0.0.1:%d", ntohs(address.sin_port));
    setenv(variable, url, 1);
    sigemptyset(&ends);
    sigaddset(&ends, SIGCHLD);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    int child_fd = signalfd(-1, &ends, SFD_NONBLOCK | SFD_CLOEXEC);
    pid_t child = fork();
    if (child == 0) {
        sigprocmask(SIG_UNBLOCK, &ends, NULL);
        execvp(command[0], command);
        bench_die("cannot run the command");
    }
    return serve_until(server, fd, child_fd, child);
}

#endif
