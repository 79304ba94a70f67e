/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of clock.c. The linker puts __wrap_clock_gettime() in the place of clock_gettime(), so that
 * the time of day can be set without being root. */
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static time_t wall_step_s;

int __real_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
    int rc = __real_clock_gettime(clock, ret);
    if (clock == CLOCK_REALTIME)
        ret->tv_sec += wall_step_s;
    return rc;
}

static void wait_ns(uint64_t ns)
{
    uint64_t start = lithops__now_ns();
    while (lithops__now_ns() - start < ns)
        lithops__pause();
}

/* How far the clock is from the time of day, in seconds: 0 when it shows a time between two
 * readings around one tick. Preemption only widens the bracket. */
static double error_of(const struct lithops__tick_clock *clock)
{
    double before = (double)lithops__wall_ns() / 1e9;
    uint64_t ticks = lithops__ticks();
    double after = (double)lithops__wall_ns() / 1e9;
    double shown = lithops__tick_clock_seconds(clock, ticks);
    return shown < before ? before - shown : shown > after ? shown - after : 0;
}

/* A reading may be spoilt by a preemption, on a busy machine three in a row, and the machine's own
 * clock may be set: so the best of a few clocks counts. A wrong rate or offset spoils them all. */
static double best_error(time_t step_s)
{
    double best = 1e9;
    for (int i = 0; i < 10 && best > 1e-4; i++) {
        struct lithops__tick_clock clock;
        wall_step_s = 0;
        lithops__tick_clock_init(&clock);
        wait_ns(5000000);
        wall_step_s = step_s;
        lithops__tick_clock_update(&clock);
        wall_step_s = 0;
        double error = error_of(&clock);
        best = error < best ? error : best;
    }
    return best;
}

static void ticks_follow_the_time_of_day(void **state)
{
    (void)state;
    assert_true(best_error(0) < 1e-4);
}

static void setting_the_time_of_day_spoils_nothing(void **state)
{
    (void)state;
    assert_true(best_error(3600) < 1e-4);
    assert_true(best_error(-3600) < 1e-4);
}

static void an_update_waits_for_a_distance(void **state)
{
    (void)state;
    struct lithops__tick_clock clock;
    lithops__tick_clock_init(&clock);
    lithops__tick_clock_update(&clock);
    assert_true(lithops__now_ns() - clock.mono0 >= 40000);
    assert_true(clock.ns_per_tick > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ticks_follow_the_time_of_day),
        cmocka_unit_test(setting_the_time_of_day_spoils_nothing),
        cmocka_unit_test(an_update_waits_for_a_distance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
