/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CLIENT, WORKER };

struct proxy {
    int fds[2];
    bool is_open[2];
    int fault;
    size_t left; /* bytes from the worker until then */
    unsigned char header[16];
    size_t header_len, frame_left; /* of the frame that comes from the worker */
};

static void must(bool is_right, const char *what)
{
    if (is_right)
        return;
    perror(what);
    _exit(9);
}

static void write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* it is gone: the reader sees it too */
        bytes += n;
        len -= (size_t)n;
    }
}

static void show_fault(struct proxy *proxy)
{
    char noise[64];
    memset(noise, 0xff, sizeof noise);
    switch (proxy->fault) {
    case PROXY_NOISE_UP:
        write_all(proxy->fds[CLIENT], noise, sizeof noise);
        break;
    case PROXY_NOISE_DOWN:
        write_all(proxy->fds[WORKER], noise, sizeof noise);
        break;
    case PROXY_CUT:
        shutdown(proxy->fds[CLIENT], SHUT_RDWR);
        break;
    default:
        _exit(3);
    }
    proxy->fault = 0;
}

/* How many of these bytes pass before the fault. Noise goes between two frames, as within a frame
 * it could not be noticed. -1: all pass. */
static ssize_t find_place(struct proxy *proxy, const char *bytes, size_t len)
{
    bool anywhere = proxy->fault == PROXY_CUT || proxy->fault == PROXY_EXIT;
    for (size_t i = 0; i <= len; i++) {
        if (i >= proxy->left && (anywhere || (proxy->header_len == 0 && proxy->frame_left == 0)))
            return (ssize_t)i;
        if (i == len)
            break;
        if (proxy->frame_left > 0) {
            proxy->frame_left--;
            continue;
        }
        proxy->header[proxy->header_len++] = (unsigned char)bytes[i];
        if (proxy->header_len < sizeof proxy->header)
            continue;
        uint32_t length;
        memcpy(&length, proxy->header, sizeof length);
        proxy->frame_left = length;
        proxy->header_len = 0;
    }
    proxy->left -= len < proxy->left ? len : proxy->left;
    return -1;
}

static void pass_on(struct proxy *proxy, int from)
{
    static char bytes[65536];
    ssize_t n = read(proxy->fds[from], bytes, sizeof bytes);
    if (n < 0 && errno == EINTR)
        return;
    if (n <= 0) {
        shutdown(proxy->fds[!from], SHUT_WR);
        proxy->is_open[from] = false;
        return;
    }
    size_t len = (size_t)n;
    ssize_t place = from == WORKER && proxy->fault ? find_place(proxy, bytes, len) : -1;
    if (place >= 0) {
        write_all(proxy->fds[CLIENT], bytes, (size_t)place);
        show_fault(proxy);
        write_all(proxy->fds[CLIENT], bytes + place, len - (size_t)place);
        return;
    }
    write_all(proxy->fds[!from], bytes, len);
}

static void serve(struct proxy *proxy)
{
    while (proxy->is_open[CLIENT] || proxy->is_open[WORKER]) {
        struct pollfd fds[2];
        for (int i = 0; i < 2; i++)
            fds[i] = (struct pollfd){proxy->is_open[i] ? proxy->fds[i] : -1, POLLIN, 0};
        if (poll(fds, 2, -1) < 0)
            continue;
        for (int i = 0; i < 2; i++)
            if (fds[i].revents)
                pass_on(proxy, i);
    }
}

static int start_worker(void)
{
    int ends[2];
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0, "socketpair");
    pid_t pid = fork();
    must(pid >= 0, "fork");
    if (pid == 0) {
        signal(SIGPIPE, SIG_DFL);
        dup2(ends[1], 0);
        dup2(ends[1], 1);
        unsetenv("LITHOPS_TEST_PROXY");
        execl(FAULT_COMMAND, "lithops", "worker", (char *)NULL);
        must(false, FAULT_COMMAND);
    }
    close(ends[1]);
    return ends[0];
}

void proxy_main(int argc, char **argv)
{
    const char *fault = getenv("LITHOPS_TEST_PROXY"); /* "KIND BYTES MARK" */
    if (argc != 2 || strcmp(argv[1], "worker") != 0)
        return;
    if (!fault) { /* else it would run the tests, each of which starts more of them */
        execl(FAULT_COMMAND, "lithops", "worker", (char *)NULL);
        must(false, FAULT_COMMAND);
    }
    char *end;
    struct proxy proxy = {.is_open = {true, true}};
    proxy.fault = (int)strtol(fault, &end, 10);
    proxy.left = strtoul(end, &end, 10);
    int mark = open(end + 1, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (mark < 0) /* the fault was shown already */
        proxy.fault = 0;
    else
        close(mark);
    signal(SIGPIPE, SIG_IGN);
    proxy.fds[CLIENT] = 0; /* one socket, both ways */
    proxy.fds[WORKER] = start_worker();
    serve(&proxy);
    _exit(0);
}

static char mark[64];

void proxy_clear(void)
{
    (void)unlink(mark);
    unsetenv("LITHOPS_TEST_PROXY");
}

void proxy_set(enum proxy_fault fault, size_t bytes)
{
    char text[128];
    snprintf(mark, sizeof mark, "/tmp/lithops-proxy-%d", (int)getpid());
    (void)unlink(mark);
    snprintf(text, sizeof text, "%d %zu %s", (int)fault, bytes, mark);
    setenv("LITHOPS_TEST_PROXY", text, 1);
}

const char *proxy_command(void)
{
    static char path[4096];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);
    must(len > 0, "/proc/self/exe");
    path[len] = '\0';
    return path;
}
