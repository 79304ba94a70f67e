/* SPDX-License-Identifier: Apache-2.0 */
/* What every benchmark program needs: a clock, a median, and a way to report to the runner.
 *
 * A program measures once, after warming up, and writes lines of the form "name number" to
 * standard output; bench/run reads them. It exits with 1 and a message when a result is wrong. */
#ifndef LITHOPS_BENCH_H
#define LITHOPS_BENCH_H

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define BENCH_LINE _Alignas(128) /* on a cache line that no other CPU writes to */

enum { BENCH_BATCH = 100 }; /* round trips timed together */

static inline double bench_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static inline void bench_pause(void)
{
#if defined(__x86_64__)
    _mm_pause();
#endif
}

static inline void bench_sleep_ms(double ms)
{
    struct timespec t = {(time_t)(ms / 1000), (long)(ms * 1e6) % 1000000000};
    nanosleep(&t, NULL);
}

static inline void bench_die(const char *message)
{
    fprintf(stderr, "bench: %s\n", message);
    exit(1);
}

static inline void bench_report(const char *name, double value)
{
    printf("%s %.12g\n", name, value);
}

static inline int bench_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static inline double bench_median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, bench_compare);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

/* The number in argv[index], or a default. */
static inline long bench_argument(int argc, char **argv, int index, long otherwise)
{
    return index < argc ? strtol(argv[index], NULL, 10) : otherwise;
}

/* Limits pin their two sides to two CPUs; Lithops leaves that to the scheduler. */
static inline void bench_pin(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu % (int)sysconf(_SC_NPROCESSORS_ONLN), &set);
    sched_setaffinity(0, sizeof set, &set);
}

static inline void *bench_share(size_t size)
{
    void *memory =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED)
        bench_die("no shared memory");
    return memory;
}

static inline void bench_futex_wait(_Atomic uint32_t *word, uint32_t seen)
{
    syscall(SYS_futex, word, FUTEX_WAIT, seen, NULL, NULL, 0);
}

static inline void bench_futex_wake(_Atomic uint32_t *word, int count)
{
    syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
}

#endif
