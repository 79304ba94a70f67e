/* SPDX-License-Identifier: Apache-2.0 */
/* Ticks to time of day. */
#include "base/clock.h"

static void read_both(uint64_t *ret_ticks, uint64_t *ret_wall)
{
    /* The wall clock is read between two tick readings; the closest pair of three is kept, so
     * that a preemption in between does not spoil the rate. */
    uint64_t best = UINT64_MAX;
    for (int i = 0; i < 3; i++) {
        uint64_t before = lithops__ticks();
        uint64_t wall = lithops__wall_ns();
        uint64_t after = lithops__ticks();
        if (after - before < best) {
            best = after - before;
            *ret_ticks = before + (after - before) / 2;
            *ret_wall = wall;
        }
    }
}

void lithops__tick_clock_init(struct lithops__tick_clock *clock)
{
    read_both(&clock->ticks0, &clock->wall0);
    clock->ns_per_tick = 0;
}

void lithops__tick_clock_update(struct lithops__tick_clock *clock)
{
    uint64_t ticks, wall;
    do {
        read_both(&ticks, &wall);
    } while (ticks - clock->ticks0 < 100000); /* some 40 us: an error of 50 ns is 0.1% */
    clock->ns_per_tick = (double)(wall - clock->wall0) / (double)(ticks - clock->ticks0);
}

double lithops__tick_clock_seconds(const struct lithops__tick_clock *clock, uint64_t ticks)
{
    double elapsed = (double)(int64_t)(ticks - clock->ticks0) * clock->ns_per_tick;
    return ((double)clock->wall0 + elapsed) / 1e9;
}
