/* SPDX-License-Identifier: Apache-2.0 */
/* The limit of a map: two processes claim blocks of 8-byte arguments from one counter and write a
 * result and a state for each.
 *
 *     map CALLS BLOCK ROUNDS
 *
 * The work is there before the clock starts, nobody sleeps, nothing can fail, no times are taken.
 */
#include "bench.h"

#include <sys/wait.h>

enum { WORKERS = 2 };

struct table {
    BENCH_LINE _Atomic uint32_t round;
    BENCH_LINE _Atomic uint64_t next;
    BENCH_LINE _Atomic uint64_t done;
    uint64_t calls, block;
    uint64_t *arguments, *results;
    uint8_t *states;
    uint64_t (*volatile function)(uint64_t);
};

__attribute__((noinline)) static uint64_t noop(uint64_t x)
{
    __asm__ volatile("" : "+r"(x));
    return x;
}

static void run_blocks(struct table *t)
{
    uint64_t (*function)(uint64_t) = t->function;
    uint64_t ran = 0;
    for (;;) {
        uint64_t begin = atomic_fetch_add(&t->next, t->block);
        if (begin >= t->calls)
            break;
        uint64_t end = begin + t->block < t->calls ? begin + t->block : t->calls;
        for (uint64_t i = begin; i < end; i++) {
            t->results[i] = function(t->arguments[i]);
            t->states[i] = 1;
        }
        ran += end - begin;
    }
    if (ran)
        atomic_fetch_add(&t->done, ran);
}

static void be_worker(struct table *t, int cpu)
{
    bench_pin(cpu);
    for (uint32_t seen = 0;;) {
        uint32_t round;
        while ((round = atomic_load_explicit(&t->round, memory_order_acquire)) == seen)
            bench_pause();
        seen = round;
        if (round == UINT32_MAX)
            _exit(0);
        run_blocks(t);
    }
}

int main(int argc, char **argv)
{
    uint64_t calls = (uint64_t)bench_argument(argc, argv, 1, 1000000);
    uint64_t block = (uint64_t)bench_argument(argc, argv, 2, 4096);
    int rounds = (int)bench_argument(argc, argv, 3, 15);
    struct table *t = bench_share(sizeof *t);
    *t = (struct table){.calls = calls,
                        .block = block,
                        .arguments = bench_share(calls * 8),
                        .results = bench_share(calls * 8),
                        .states = bench_share(calls),
                        .function = noop};
    for (uint64_t i = 0; i < calls; i++)
        t->arguments[i] = i;
    pid_t pids[WORKERS];
    for (int w = 0; w < WORKERS; w++)
        if ((pids[w] = fork()) == 0)
            be_worker(t, w);
    double times[1000];
    uint64_t sum = 0;
    for (int r = -2; r < rounds && r < 1000; r++) {
        memset(t->results, 0, calls * 8);
        double start = bench_now();
        atomic_store(&t->done, 0);
        atomic_store(&t->next, 0);
        atomic_fetch_add(&t->round, 1);
        while (atomic_load_explicit(&t->done, memory_order_acquire) < calls)
            bench_pause();
        if (r >= 0)
            times[r] = bench_now() - start;
        sum = 0;
        for (uint64_t i = 0; i < calls; i++)
            sum += t->results[i] * t->states[i];
    }
    atomic_store(&t->round, UINT32_MAX);
    for (int w = 0; w < WORKERS; w++)
        waitpid(pids[w], NULL, 0);
    bench_report("seconds", bench_median(times, rounds));
    bench_report("sum", (double)sum);
    return 0;
}
