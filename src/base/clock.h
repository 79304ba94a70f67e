/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks. Ticks are for timing calls: about 10 ns to read, and comparable between the processes
 * of one machine; elsewhere nanoseconds of CLOCK_MONOTONIC are used, and times of day only to
 * show them. */
#ifndef LITHOPS_BASE_CLOCK_H
#define LITHOPS_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

static inline uint64_t lithops__clock_of(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
static inline uint64_t lithops__now_ns(void)
{
    return lithops__clock_of(CLOCK_MONOTONIC);
}
static inline uint64_t lithops__wall_ns(void)
{
    return lithops__clock_of(CLOCK_REALTIME);
}

/* Whether a file that was last changed then (st_ctim) has another time if it is changed from now
 * on. File systems count time in ticks, within one of which it may be changed twice. */
static inline bool lithops__is_settled(time_t changed_s)
{
    return time(NULL) - changed_s > 2;
}

/* Of two times; UINT64_MAX: never. */
static inline uint64_t lithops__earlier(uint64_t a_ns, uint64_t b_ns)
{
    return a_ns < b_ns ? a_ns : b_ns;
}

/* The time stamp counter where there is one. Every x86 server of the last ten years has one that
 * runs at one rate and is in step between the CPUs of a machine. */
static inline uint64_t lithops__ticks(void)
{
#if defined(__x86_64__)
    return __rdtsc();
#elif defined(__aarch64__)
    uint64_t t;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(t));
    return t;
#else
    return lithops__now_ns();
#endif
}

static inline void lithops__pause(void)
{
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Ticks to time of day. Two readings of ticks and of CLOCK_MONOTONIC give the rate; the further
 * apart they are, the better, so clocks are read again whenever times are shown. The time of day is
 * read once: if it is set meanwhile, differences stay right. */
struct lithops__tick_clock {
    uint64_t ticks0, mono0, wall0; /* ns; first reading, all three of one moment */
    double ns_per_tick;            /* 0 until the first update */
};
void lithops__tick_clock_init(struct lithops__tick_clock *clock);
/* A better rate, from the first reading until now. Waits until that was 40 us ago. */
void lithops__tick_clock_update(struct lithops__tick_clock *clock);
/* Seconds since 1970. */
double lithops__tick_clock_seconds(const struct lithops__tick_clock *clock, uint64_t ticks);

#endif
