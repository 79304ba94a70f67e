/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of what is drawn, without drawing: axes, times, groups, load. */
#include "plot/load.h"
#include "plot/run.h"
#include "plot/scale.h"

#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define T0 1795335519.75 /* a sum of powers of two, so that differences are exact */

static void ticks_are_round(void **state)
{
    (void)state;
    static const struct {
        double range;
        int most;
        double step;
    } cases[] = {{10, 10, 1},     {10, 9, 2},        {1, 5, 0.2}, {1, 4, 0.5},
                 {0.35, 7, 0.05}, {7, 1, 10},        {61, 3, 50}, {1e6, 10, 1e5},
                 {3e-7, 3, 1e-7}, {1e300, 1, 1e300}, {99, 2, 50}, {99, 1, 100}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double step = lithops__tick_step(cases[i].range, cases[i].most);
        assert_true(fabs(step / cases[i].step - 1) < 1e-9);
    }
    for (int i = -90; i < 90; i++)
        for (int most = 1; most < 20; most++) {
            double range = pow(1.26, i);
            assert_true(range / lithops__tick_step(range, most) <= most + 1e-6);
        }
}

static void numbers_read_well(void **state)
{
    (void)state;
    char buf[32];
#define SHOWS(call, text)                                                                          \
    do {                                                                                           \
        call;                                                                                      \
        assert_string_equal(buf, text);                                                            \
    } while (0)
    SHOWS(lithops__format_count(buf, sizeof buf, 0), "0");
    SHOWS(lithops__format_count(buf, sizeof buf, 999), "999");
    SHOWS(lithops__format_count(buf, sizeof buf, 1000), "1,000");
    SHOWS(lithops__format_count(buf, sizeof buf, 123456789), "123,456,789");
    SHOWS(lithops__format_tick(buf, sizeof buf, 0.15, 0.05), "0.15");
    SHOWS(lithops__format_tick(buf, sizeof buf, 0.3, 0.1), "0.3");
    SHOWS(lithops__format_tick(buf, sizeof buf, 20, 10), "20");
    SHOWS(lithops__format_tick(buf, sizeof buf, 3, 1), "3");
    SHOWS(lithops__format_time(buf, sizeof buf, 0), "under 1 µs");
    SHOWS(lithops__format_time(buf, sizeof buf, 9e-7), "under 1 µs");
    SHOWS(lithops__format_time(buf, sizeof buf, 12.34e-6), "12.3 µs");
    SHOWS(lithops__format_time(buf, sizeof buf, 1.234e-3), "1.23 ms");
    SHOWS(lithops__format_time(buf, sizeof buf, 599), "599 s");
    SHOWS(lithops__format_time(buf, sizeof buf, 660), "11.0 min");
    SHOWS(lithops__format_time(buf, sizeof buf, 36000), "10.0 h");
#undef SHOWS
}

static struct lithops__plot_call call_at(double submit, double begin, double end)
{
    return (struct lithops__plot_call){.host_submit = T0 + submit,
                                       .worker_start = T0 + begin,
                                       .func_start = T0 + begin,
                                       .func_end = T0 + end,
                                       .worker_end = T0 + end,
                                       .status_done = T0 + end,
                                       .job = "a1b2c3-0-M000",
                                       .function = "f"};
}

static void nothing_to_draw_is_said(void **state)
{
    (void)state;
    struct lithops__run run;
    lithops_error err = LITHOPS_ERROR_INIT;
    assert_int_equal(lithops__run_init(&run, NULL, 0, &err), LITHOPS_EUSAGE);
    assert_non_null(strstr(err.message, "no calls"));
    struct lithops__plot_call strange[3] = {{.host_submit = NAN}, {.func_end = -5}, {.worker = 1}};
    assert_int_equal(lithops__run_init(&run, strange, 3, &err), LITHOPS_EUSAGE);
    assert_non_null(strstr(err.message, "none of the 3 calls"));
}

static void times_never_go_back(void **state)
{
    (void)state;
    struct lithops__plot_call calls[2] = {call_at(0, 1, 2), call_at(0, 1, 2)};
    calls[0].func_end = T0 + 0.5;                /* before its begin */
    calls[0].status_done = INFINITY;             /* unknown */
    calls[1].func_start = calls[1].func_end = 0; /* died before its function ran */
    calls[1].worker_end = 0;
    calls[1].status_done = T0 + 4;
    struct lithops__run run;
    assert_int_equal(lithops__run_init(&run, calls, 2, NULL), 0);
    assert_true(run.length_s == 4);
    struct lithops__moments m = lithops__run_call(&run, 0);
    assert_true(m.submit == 0 && m.begin == 1 && m.end == 1 && isnan(m.status) && isnan(m.result));
    m = lithops__run_call(&run, 1);
    assert_true(m.start == 1 && m.begin == 1 && m.end == 4 && m.status == 4);
}

static void one_moment_still_has_an_axis(void **state)
{
    (void)state;
    struct lithops__plot_call call = call_at(0, 0, 0);
    struct lithops__run run;
    assert_int_equal(lithops__run_init(&run, &call, 1, NULL), 0);
    assert_true(run.length_s > 0);
}

static void jobs_become_groups(void **state)
{
    (void)state;
    struct lithops__plot_call calls[100];
    char jobs[100][32], name[64];
    for (int i = 0; i < 100; i++) {
        calls[i] = call_at(0, i, i + 1);
        snprintf(jobs[i], sizeof jobs[i], "a1b2c3-0-A%03d", i / 10);
        calls[i].job = jobs[i]; /* equal text, other pointers */
        calls[i].worker = i % 3 - 1;
        calls[i].failed = i == 57;
    }
    struct lithops__run run;
    assert_int_equal(lithops__run_init(&run, calls, 100, NULL), 0);
    assert_int_equal(run.group_count, 10);
    assert_int_equal(run.jobs, 10);
    assert_int_equal(run.workers, 2); /* -1 is none */
    assert_int_equal(run.groups[5].failed, 1);
    assert_int_equal(run.groups[5].first, 50);
    lithops__group_name(&run.groups[5], name, sizeof name);
    assert_string_equal(name, "A005");

    for (int i = 0; i < 100; i++) /* too many jobs: by function */
        snprintf(jobs[i], sizeof jobs[i], "a1b2c3-0-A%03d", i);
    for (int i = 60; i < 100; i++)
        calls[i].function = "g";
    assert_int_equal(lithops__run_init(&run, calls, 100, NULL), 0);
    assert_int_equal(run.group_count, 2);
    assert_int_equal(run.groups[1].jobs, 40);
    lithops__group_name(&run.groups[1], name, sizeof name);
    assert_string_equal(name, "A060 – A099");

    for (int i = 0; i < 100; i++) /* and too many of these: one */
        calls[i].function = i % 2 ? "f" : NULL;
    assert_int_equal(lithops__run_init(&run, calls, 100, NULL), 0);
    assert_int_equal(run.group_count, 1);
    assert_int_equal(run.jobs, 100);
    assert_null(run.groups[0].function);
}

static void hosts_become_groups(void **state)
{
    (void)state;
    struct lithops__plot_call calls[60];
    char hosts[60][16], name[64];
    for (int i = 0; i < 60; i++) {
        calls[i] = call_at(0, i, i + 1);
        calls[i].job = i < 40 ? "a1b2c3-0-M000" : "a1b2c3-0-M001";
        snprintf(hosts[i], sizeof hosts[i], "host%d", i / 20);
        calls[i].host = hosts[i];
    }
    struct lithops__run run;
    assert_int_equal(lithops__run_init(&run, calls, 60, NULL), 0);
    assert_int_equal(run.group_count, 3);
    assert_int_equal(run.jobs, 2);
    lithops__group_name(&run.groups[1], name, sizeof name);
    assert_string_equal(name, "M000 host1");

    for (int i = 0; i < 60; i++) /* too many hosts: by job */
        snprintf(hosts[i], sizeof hosts[i], "host%d", i);
    assert_int_equal(lithops__run_init(&run, calls, 60, NULL), 0);
    assert_int_equal(run.group_count, 2);
    lithops__group_name(&run.groups[0], name, sizeof name);
    assert_string_equal(name, "M000");
}

static void load_is_exact(void **state)
{
    (void)state;
    /* Two workers: 0-4 and, one after the other, 1-2, 2-2 (no length), 2-3. */
    struct lithops__plot_call calls[] = {call_at(0, 0, 4), call_at(0, 1, 2), call_at(0, 2, 2),
                                         call_at(0, 2, 3)};
    struct lithops__run run;
    struct lithops__load load;
    assert_int_equal(lithops__run_init(&run, calls, 4, NULL), 0);
    assert_int_equal(lithops__load_init(&load, &run, 8, 8.0, NULL), 0);
    static const double mean[8] = {1, 2, 2, 1, 0, 0, 0, 0}, peak[8] = {1, 2, 2, 2, 1, 0, 0, 0};
    for (int c = 0; c < 8; c++) {
        assert_true(fabs(load.mean[c] - mean[c]) < 1e-9);
        assert_true(load.peak[c] == peak[c]);
    }
    assert_true(load.peak_at_all == 2);
    assert_true(load.mean_at_all == 1.5);
    assert_true(load.durations[0] == 0 && load.durations[3] == 4);
    lithops__load_deinit(&load);
}

static void clock_steps_are_not_concurrency(void **state)
{
    (void)state;
    /* One worker process, call after call of 60 ns, in steps of a quarter of a microsecond. */
    enum { CALLS = 1000 };
    struct lithops__plot_call *calls = calloc(CALLS, sizeof *calls);
    assert_non_null(calls);
    for (int i = 0; i < CALLS; i++)
        calls[i] = call_at(0, i * 60e-9, (i + 1) * 60e-9);
    struct lithops__run run;
    struct lithops__load load;
    assert_int_equal(lithops__run_init(&run, calls, CALLS, NULL), 0);
    assert_int_equal(lithops__load_init(&load, &run, 100, run.length_s, NULL), 0);
    assert_true(load.peak_at_all == 1);
    lithops__load_deinit(&load);
    free(calls);
}

static void load_adds_up_for_any_calls(void **state)
{
    (void)state;
    enum { CALLS = 5000, COLUMNS = 97 };
    struct lithops__plot_call *calls = calloc(CALLS, sizeof *calls);
    double busy = 0;
    srand(7);
    for (int i = 0; i < CALLS; i++) {
        double begin = rand() % 65536 / 64.0, length = rand() % 4096 / 1024.0;
        calls[i] = call_at(0, begin, begin + length);
        busy += length;
    }
    struct lithops__run run;
    struct lithops__load load;
    assert_int_equal(lithops__run_init(&run, calls, CALLS, NULL), 0);
    assert_int_equal(lithops__load_init(&load, &run, COLUMNS, run.length_s, NULL), 0);
    double sum = 0;
    for (int c = 0; c < COLUMNS; c++) {
        sum += load.mean[c] * run.length_s / COLUMNS;
        assert_true(load.mean[c] <= load.peak[c] + 1e-6);
    }
    assert_true(fabs(sum / busy - 1) < 1e-6);
    lithops__load_deinit(&load);
    free(calls);
}

static void calls_that_never_ran_are_no_load(void **state)
{
    (void)state;
    struct lithops__plot_call call = {.host_submit = T0, .status_done = T0 + 1, .failed = true};
    struct lithops__run run;
    struct lithops__load load;
    assert_int_equal(lithops__run_init(&run, &call, 1, NULL), 0);
    assert_int_equal(lithops__load_init(&load, &run, 10, 1, NULL), 0);
    assert_int_equal(load.count, 0);
    assert_true(load.peak_at_all == 0);
    lithops__load_deinit(&load);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ticks_are_round),
        cmocka_unit_test(numbers_read_well),
        cmocka_unit_test(nothing_to_draw_is_said),
        cmocka_unit_test(times_never_go_back),
        cmocka_unit_test(one_moment_still_has_an_axis),
        cmocka_unit_test(jobs_become_groups),
        cmocka_unit_test(hosts_become_groups),
        cmocka_unit_test(load_is_exact),
        cmocka_unit_test(clock_steps_are_not_concurrency),
        cmocka_unit_test(load_adds_up_for_any_calls),
        cmocka_unit_test(calls_that_never_ran_are_no_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
