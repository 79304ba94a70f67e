/* SPDX-License-Identifier: Apache-2.0 */
#include "slow.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PIECE = 4096, PIECES = 64 };

/* One direction: pieces in order, each with the time at which it arrives. */
struct way {
    int from, to;
    uint64_t delay_ns, ns_per_byte, sent_ns; /* sent_ns: when the last one has left */
    struct {
        uint64_t due_ns;
        size_t at, len;
        char bytes[PIECE];
    } pieces[PIECES];
    size_t first, count;
    bool has_ended;
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void take(struct way *way)
{
    size_t last = (way->first + way->count) % PIECES;
    ssize_t n = read(way->from, way->pieces[last].bytes, PIECE);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        way->has_ended = true;
        return;
    }
    uint64_t now = now_ns();
    way->sent_ns = (way->sent_ns > now ? way->sent_ns : now) + (uint64_t)n * way->ns_per_byte;
    way->pieces[last].at = 0;
    way->pieces[last].len = (size_t)n;
    way->pieces[last].due_ns = way->sent_ns + way->delay_ns;
    way->count++;
}

static void give(struct way *way)
{
    while (way->count > 0 && way->pieces[way->first].due_ns <= now_ns()) {
        size_t at = way->pieces[way->first].at, len = way->pieces[way->first].len;
        ssize_t n = write(way->to, way->pieces[way->first].bytes + at, len - at);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            exit(1);
        way->pieces[way->first].at += n > 0 ? (size_t)n : 0;
        if (way->pieces[way->first].at < len)
            continue;
        way->first = (way->first + 1) % PIECES;
        way->count--;
    }
    if (way->has_ended && way->count == 0) /* either end is the end of the connection */
        exit(0);
}

static void serve(struct way *ways)
{
    while (true) {
        struct pollfd fds[2];
        int wait_ms = -1;
        for (int i = 0; i < 2; i++) {
            bool has_room = ways[i].count < PIECES && !ways[i].has_ended;
            fds[i] = (struct pollfd){has_room ? ways[i].from : -1, POLLIN, 0};
            give(&ways[i]);
            uint64_t now = now_ns(),
                     due = ways[i].count ? ways[i].pieces[ways[i].first].due_ns : UINT64_MAX;
            int left_ms = due <= now ? 0 : (int)((due - now) / 1000000 + 1);
            if (due != UINT64_MAX && (wait_ms < 0 || left_ms < wait_ms))
                wait_ms = left_ms;
        }
        if (poll(fds, 2, wait_ms) <= 0)
            continue;
        for (int i = 0; i < 2; i++)
            if (fds[i].revents)
                take(&ways[i]);
    }
}

static int reach(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    int fd = -1;
    if (getaddrinfo(host, port, &hints, &found) == 0 &&
        (fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0)) >= 0 &&
        connect(fd, found->ai_addr, found->ai_addrlen) == 0)
        return fd;
    perror(host);
    exit(1);
}

/* PROGRAM --slow DELAY-MS BYTES-PER-S FILE HOST PORT */
void slow_main(int argc, char **argv)
{
    if (argc != 7 || strcmp(argv[1], "--slow") != 0)
        return;
    static struct way ways[2];
    signal(SIGPIPE, SIG_IGN);
    FILE *file = fopen(argv[4], "we");
    if (!file || fprintf(file, "%ld\n", (long)getpid()) < 0 || fclose(file) != 0)
        exit(1);
    int fd = reach(argv[5], argv[6]);
    for (int i = 0; i < 2; i++) {
        ways[i].delay_ns = strtoul(argv[2], NULL, 10) * 1000000;
        ways[i].ns_per_byte = 1000000000 / strtoul(argv[3], NULL, 10);
    }
    ways[0].from = 0;
    ways[0].to = ways[1].from = fd;
    ways[1].to = 1;
    serve(ways);
}

void slow_option(int delay_ms, long bytes_per_s, const char *file, char *buf, size_t size)
{
    char own[4096] = "";
    if (readlink("/proc/self/exe", own, sizeof own - 1) < 0)
        abort();
    snprintf(buf, size, "ProxyCommand=%s --slow %d %ld %s %%h %%p", own, delay_ms, bytes_per_s,
             file);
}

pid_t slow_pid(const char *file)
{
    long pid = 0;
    FILE *read = fopen(file, "re");
    if (!read || fscanf(read, "%ld", &pid) != 1)
        pid = 0;
    if (read)
        fclose(read);
    return (pid_t)pid;
}
