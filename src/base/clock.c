/* SPDX-License-Identifier: Apache-2.0 */
/* Ticks to time of day.
 *
 * CLOCK_MONOTONIC gives the rate and CLOCK_REALTIME the offset alone, so that setting the time of
 * day between two readings spoils neither. */
#include "base/clock.h"

struct reading {
    uint64_t ticks, mono_ns, wall_ns;
};

/* The clocks are read between two tick readings; the closest of three is kept, so that a
 * preemption in between does not spoil the rate. */
static struct reading read_clocks(void)
{
    struct reading best = {0};
    uint64_t best_width = UINT64_MAX;
    for (int i = 0; i < 3; i++) {
        struct reading now = {.ticks = lithops__ticks()};
        now.mono_ns = lithops__now_ns();
        now.wall_ns = lithops__wall_ns();
        uint64_t width = lithops__ticks() - now.ticks;
        if (width < best_width) {
            now.ticks += width / 2;
            best_width = width;
            best = now;
        }
    }
    return best;
}

void lithops__tick_clock_init(struct lithops__tick_clock *clock)
{
    struct reading first = read_clocks();
    *clock = (struct lithops__tick_clock){
        .ticks0 = first.ticks, .mono0 = first.mono_ns, .wall0 = first.wall_ns};
}

void lithops__tick_clock_update(struct lithops__tick_clock *clock)
{
    struct reading now;
    do {
        now = read_clocks();
    } while (now.mono_ns - clock->mono0 < 40000); /* ns; an error of 50 ns is 0.1% then */
    clock->ns_per_tick = (double)(now.mono_ns - clock->mono0) / (double)(now.ticks - clock->ticks0);
}

double lithops__tick_clock_seconds(const struct lithops__tick_clock *clock, uint64_t ticks)
{
    double elapsed = (double)(int64_t)(ticks - clock->ticks0) * clock->ns_per_tick;
    return ((double)clock->wall0 + elapsed) / 1e9;
}
