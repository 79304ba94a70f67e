/* SPDX-License-Identifier: Apache-2.0 */
/* What the programs that move objects share: their clocks, and what small objects contain. */
#ifndef LITHOPS_BENCH_OBJECTS_H
#define LITHOPS_BENCH_OBJECTS_H

#include "bench.h"

#include <sys/resource.h>

enum { OBJECTS_SMALL = 4096, OBJECTS_KEYS = 64 };

struct objects_time {
    double wall_s, cpu_s;
};

static inline double objects_cpu(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static inline struct objects_time objects_start(void)
{
    return (struct objects_time){bench_now(), objects_cpu()};
}

static inline void objects_stop(struct objects_time start)
{
    bench_report("seconds", bench_now() - start.wall_s);
    bench_report("cpu", objects_cpu() - start.cpu_s);
}

/* Of one byte in each page: enough to notice a part that is missing or in the wrong place. */
static inline double objects_sum(const void *data, size_t len)
{
    const unsigned char *bytes = data;
    uint64_t sum = 0;
    for (size_t i = 0; i < len; i += 4099)
        sum += bytes[i];
    return (double)sum + (double)len;
}

static inline void objects_small_key(long number, char ret_key[32])
{
    snprintf(ret_key, 32, "small/%ld", number % OBJECTS_KEYS);
}

static inline void objects_small(long number, char ret_body[OBJECTS_SMALL])
{
    memset(ret_body, 'a' + (int)(number % OBJECTS_KEYS % 26), OBJECTS_SMALL);
}

#endif
