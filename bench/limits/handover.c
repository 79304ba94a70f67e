/* SPDX-License-Identifier: Apache-2.0 */
/* The limit of large results: another process writes 1 MiB into shared memory and hands it over;
 * the same through a pipe is the peer, which most process pools use.
 *
 *     handover memory|pipe RESULTS */
#include "bench.h"

#include <fcntl.h>
#include <sys/wait.h>

enum { SIZE = 1 << 20, SLOTS = 64 };

struct table {
    BENCH_LINE _Atomic uint64_t written;
    BENCH_LINE _Atomic uint64_t taken;
};

static void write_memory(struct table *t, char *slots, uint64_t results)
{
    char *source = malloc(SIZE);
    memset(source, 1, SIZE);
    for (uint64_t i = 0; i < results; i++) {
        while (i - atomic_load_explicit(&t->taken, memory_order_acquire) >= SLOTS)
            bench_pause();
        source[0] = (char)i;
        memcpy(slots + i % SLOTS * SIZE, source, SIZE);
        atomic_store_explicit(&t->written, i + 1, memory_order_release);
    }
}

static void take_memory(struct table *t, const char *slots, uint64_t results)
{
    for (uint64_t i = 0; i < results; i++) {
        while (atomic_load_explicit(&t->written, memory_order_acquire) == i)
            bench_pause();
        if (slots[i % SLOTS * SIZE] != (char)i)
            bench_die("a wrong result");
        atomic_store_explicit(&t->taken, i + 1, memory_order_release);
    }
}

static void write_pipe(int fd, uint64_t results)
{
    char *source = malloc(SIZE);
    memset(source, 1, SIZE);
    for (uint64_t i = 0; i < results; i++) {
        source[0] = (char)i;
        for (size_t sent = 0; sent < SIZE;) {
            ssize_t n = write(fd, source + sent, SIZE - sent);
            if (n < 0)
                bench_die("the pipe broke");
            sent += (size_t)n;
        }
    }
}

static void take_pipe(int fd, uint64_t results)
{
    char *result = malloc(SIZE);
    for (uint64_t i = 0; i < results; i++) {
        for (size_t got = 0; got < SIZE;) {
            ssize_t n = read(fd, result + got, SIZE - got);
            if (n <= 0)
                bench_die("the pipe broke");
            got += (size_t)n;
        }
        if (result[0] != (char)i)
            bench_die("a wrong result");
    }
    free(result);
}

int main(int argc, char **argv)
{
    bool by_pipe = argc > 1 && strcmp(argv[1], "pipe") == 0;
    uint64_t results = (uint64_t)bench_argument(argc, argv, 2, 2000);
    struct table *t = bench_share(sizeof *t);
    char *slots = bench_share((size_t)SLOTS * SIZE);
    int fds[2];
    if (pipe(fds) != 0)
        bench_die("no pipe");
    fcntl(fds[1], F_SETPIPE_SZ, SIZE);
    pid_t other = fork();
    if (other == 0) {
        bench_pin(1);
        if (by_pipe)
            write_pipe(fds[1], results);
        else
            write_memory(t, slots, results);
        _exit(0);
    }
    bench_pin(0);
    double start = bench_now();
    if (by_pipe)
        take_pipe(fds[0], results);
    else
        take_memory(t, slots, results);
    double seconds = bench_now() - start;
    waitpid(other, NULL, 0);
    bench_report("bytes_per_s", (double)results * SIZE / seconds);
    return 0;
}
