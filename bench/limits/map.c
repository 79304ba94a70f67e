/* SPDX-License-Identifier: Apache-2.0 */
/* The limit of a map: two processes claim blocks of 8-byte arguments from one counter and write a
 * result and a state for each.
 *
 *     map CALLS BLOCK ROUNDS [owned]
 *
 * The work is ready before the clock starts, nobody sleeps, nothing can fail, no call is timed.
 * With `owned` each call is taken by a compare-and-swap, so that no process's death can lose or
 * double it, and gets a record of 16 bytes with its times, measured every 64 calls: what a call
 * needs for exactly one outcome and for statistics. */
#include "bench.h"

#include <sys/wait.h>

enum { WORKERS = 2 };

enum { PENDING, RUNNING, DONE, GROUP = 64 };

struct record {
    double start;
    uint64_t result;
};

struct table {
    BENCH_LINE _Atomic uint32_t round;
    BENCH_LINE _Atomic uint64_t next;
    BENCH_LINE _Atomic uint64_t done;
    uint64_t calls, block;
    uint64_t *arguments, *results;
    uint8_t *states;
    _Atomic uint16_t *owners; /* not NULL: `owned` */
    struct record *records;
    uint64_t (*volatile function)(uint64_t);
};

__attribute__((noinline)) static uint64_t noop(uint64_t x)
{
    __asm__ volatile("" : "+r"(x));
    return x;
}

static void run_owned(struct table *t, uint64_t begin, uint64_t end)
{
    uint64_t (*function)(uint64_t) = t->function;
    double start = bench_now();
    for (uint64_t i = begin; i < end; i++) {
        uint16_t pending = PENDING;
        if (!atomic_compare_exchange_strong(&t->owners[i], &pending, RUNNING))
            continue;
        t->records[i] = (struct record){start, function(t->arguments[i])};
        atomic_store_explicit(&t->owners[i], DONE, memory_order_release);
        if (i % GROUP == GROUP - 1)
            start = bench_now();
    }
}

static void run_plain(struct table *t, uint64_t begin, uint64_t end)
{
    uint64_t (*function)(uint64_t) = t->function;
    for (uint64_t i = begin; i < end; i++) {
        t->results[i] = function(t->arguments[i]);
        t->states[i] = 1;
    }
}

static void run_blocks(struct table *t)
{
    uint64_t ran = 0;
    for (;;) {
        uint64_t begin = atomic_fetch_add(&t->next, t->block);
        if (begin >= t->calls)
            break;
        uint64_t end = begin + t->block < t->calls ? begin + t->block : t->calls;
        if (t->owners)
            run_owned(t, begin, end);
        else
            run_plain(t, begin, end);
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

static void clear(struct table *t)
{
    if (t->owners) {
        memset(t->records, 0, t->calls * sizeof *t->records);
        memset((void *)t->owners, 0, t->calls * sizeof *t->owners);
    } else {
        memset(t->results, 0, t->calls * 8);
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
    if (argc > 4 && strcmp(argv[4], "owned") == 0) {
        t->owners = bench_share(calls * sizeof *t->owners);
        t->records = bench_share(calls * sizeof *t->records);
    }
    for (uint64_t i = 0; i < calls; i++)
        t->arguments[i] = i;
    pid_t pids[WORKERS];
    for (int w = 0; w < WORKERS; w++)
        if ((pids[w] = fork()) == 0)
            be_worker(t, w);
    double times[1000];
    uint64_t sum = 0;
    for (int r = -2; r < rounds && r < 1000; r++) {
        clear(t);
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
            sum += t->owners ? t->records[i].result * (t->owners[i] == DONE)
                             : t->results[i] * t->states[i];
    }
    atomic_store(&t->round, UINT32_MAX);
    for (int w = 0; w < WORKERS; w++)
        waitpid(pids[w], NULL, 0);
    bench_report("seconds", bench_median(times, rounds));
    bench_report("sum", (double)sum);
    return 0;
}
