/* SPDX-License-Identifier: Apache-2.0 */
/* The limit of one call: a word sent to another process and back.
 *
 *     pingpong spin  ROUNDS         both sides spin: no hot call can beat this
 *     pingpong futex ROUNDS GAP_MS  both sides sleep until woken; GAP_MS apart, as in ours/ping.c
 *
 * It moves 4 bytes; a call also has a function, an argument, a result and a state. Without a gap
 * 100 round trips are timed together, as reading the clock takes a tenth of one. */
#include "bench.h"

#include <sys/wait.h>

struct table {
    BENCH_LINE _Atomic uint32_t ping;
    BENCH_LINE _Atomic uint32_t pong;
};

static void post(_Atomic uint32_t *word, uint32_t value, bool wake)
{
    atomic_store(word, value);
    if (wake)
        bench_futex_wake(word, 1);
}

static void await(_Atomic uint32_t *word, uint32_t value, bool sleep)
{
    uint32_t seen;
    while ((seen = atomic_load_explicit(word, memory_order_acquire)) != value) {
        if (sleep)
            bench_futex_wait(word, seen);
        else
            bench_pause();
    }
}

int main(int argc, char **argv)
{
    bool futex = argc > 1 && strcmp(argv[1], "futex") == 0;
    uint32_t rounds = (uint32_t)bench_argument(argc, argv, 2, 100000), warm = rounds / 10;
    long gap_ms = bench_argument(argc, argv, 3, 0);
    struct table *table = bench_share(sizeof *table);
    double *times = calloc(rounds, sizeof *times);
    pid_t other = fork();
    if (other == 0) {
        bench_pin(1);
        for (uint32_t i = 1; i <= warm + rounds; i++) {
            await(&table->ping, i, futex);
            post(&table->pong, i, futex);
        }
        _exit(0);
    }
    bench_pin(0);
    double start = 0;
    int count = 0, batch = gap_ms ? 1 : BENCH_BATCH;
    for (uint32_t i = 1; i <= warm + rounds; i++) {
        if (gap_ms)
            bench_sleep_ms((double)gap_ms);
        if (i > warm && (i - warm - 1) % (uint32_t)batch == 0)
            start = bench_now();
        post(&table->ping, i, futex);
        await(&table->pong, i, futex);
        if (i > warm && (i - warm) % (uint32_t)batch == 0)
            times[count++] = (bench_now() - start) / batch;
    }
    waitpid(other, NULL, 0);
    bench_report("seconds", bench_median(times, count));
    free(times);
    return 0;
}
