/* SPDX-License-Identifier: Apache-2.0 */
/* The limit of a link: a bare socket pair to another process.
 *
 *     echo ROUNDS        8 bytes there and back, both sides sleep until they arrive
 *     echo cat RESULTS   RESULTS times 1 MiB from the other side */
#include "bench.h"

#include <sys/socket.h>
#include <sys/wait.h>

enum { SIZE = 1 << 20 };

static void read_all(int fd, void *to, size_t len)
{
    for (char *at = to; len > 0;) {
        ssize_t n = read(fd, at, len);
        if (n <= 0)
            bench_die("the socket broke");
        at += n;
        len -= (size_t)n;
    }
}

static void write_all(int fd, const void *from, size_t len)
{
    for (const char *at = from; len > 0;) {
        ssize_t n = write(fd, at, len);
        if (n <= 0)
            bench_die("the socket broke");
        at += n;
        len -= (size_t)n;
    }
}

static void echo_back(int fd, long rounds)
{
    uint64_t word;
    for (long i = 0; i < rounds; i++) {
        read_all(fd, &word, sizeof word);
        write_all(fd, &word, sizeof word);
    }
}

static void echo(int fd, long rounds)
{
    double *times = calloc((size_t)rounds + 1, sizeof *times);
    int count = 0;
    for (long i = 0; i < rounds; i += BENCH_BATCH) {
        double start = bench_now();
        for (long k = i; k < i + BENCH_BATCH; k++) {
            uint64_t word = (uint64_t)k, back;
            write_all(fd, &word, sizeof word);
            read_all(fd, &back, sizeof back);
            if (back != word)
                bench_die("a wrong result");
        }
        times[count++] = (bench_now() - start) / BENCH_BATCH;
    }
    bench_report("seconds", bench_median(times, count));
    free(times);
}

static void give_results(int fd, long count)
{
    char *source = malloc(SIZE);
    memset(source, 1, SIZE);
    for (long i = 0; i < count; i++) {
        source[0] = (char)i;
        write_all(fd, source, SIZE);
    }
    free(source);
}

static void take_results(int fd, long count)
{
    char *result = malloc(SIZE);
    double begin = bench_now();
    for (long i = 0; i < count; i++) {
        read_all(fd, result, SIZE);
        if (result[0] != (char)i)
            bench_die("a wrong result");
    }
    bench_report("bytes_per_s", (double)count * SIZE / (bench_now() - begin));
    free(result);
}

int main(int argc, char **argv)
{
    bool cat = argc > 1 && strcmp(argv[1], "cat") == 0;
    long count = bench_argument(argc, argv, cat ? 2 : 1, 100000);
    int ends[2];
    count = (count + BENCH_BATCH - 1) / BENCH_BATCH * BENCH_BATCH;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        bench_die("no socket pair");
    pid_t other = fork();
    if (other == 0) {
        close(ends[0]);
        if (cat)
            give_results(ends[1], count);
        else
            echo_back(ends[1], count);
        _exit(0);
    }
    close(ends[1]);
    if (cat)
        take_results(ends[0], count);
    else
        echo(ends[0], count);
    waitpid(other, NULL, 0);
    return 0;
}
