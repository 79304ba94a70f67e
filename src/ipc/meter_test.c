/* SPDX-License-Identifier: Apache-2.0 */
#include "ipc/meter.h"

#include "base/clock.h"
#include "base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const uint64_t s_ns = 1000000000;

static void time_is_rounded_for_each_worker(void **state)
{
    (void)state;
    struct lithops__meter meter;
    struct lithops__used used;
    lithops__meter_init(&meter);
    lithops__meter_set(&meter, 0, 3600000, 0);
    uint64_t now = lithops__now_ns();
    for (int i = 0; i < 3; i++)
        lithops__meter_began(&meter, now - 10 * s_ns);
    lithops__meter_ended(&meter, now - 10 * s_ns);
    lithops__meter_ended(&meter, now - 10 * s_ns);
    lithops__meter_read(&meter, &used); /* two hours, and what passes for the third */
    assert_true(used.seconds >= 7210 && used.seconds < 7210 + 600);
    lithops__meter_ended(&meter, now - 10 * s_ns);
    lithops__meter_read(&meter, &used);
    assert_true(used.seconds == 3 * 3600);
    lithops__meter_deinit(&meter);
}

static void a_worker_costs_at_least_the_minimum(void **state)
{
    (void)state;
    struct lithops__meter meter;
    struct lithops__used used;
    lithops__meter_init(&meter);
    lithops__meter_set(&meter, 0, 100, 3600000);
    uint64_t now = lithops__now_ns();
    lithops__meter_began(&meter, now);
    lithops__meter_ended(&meter, now);
    lithops__meter_read(&meter, &used);
    assert_true(used.seconds == 3600);
    lithops__meter_deinit(&meter);
}

static void no_more_are_started_than_may_be(void **state)
{
    (void)state;
    struct lithops__meter meter;
    struct lithops__used used;
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops__meter_init(&meter);
    lithops__meter_set(&meter, 2, 0, 0);
    assert_int_equal(lithops__meter_start(&meter, &err), 0);
    assert_int_equal(lithops__meter_start(&meter, &err), 0);
    assert_int_equal(lithops__meter_start(&meter, &err), LITHOPS_EDENIED);
    assert_non_null(strstr(err.message, "max_activations of the configuration is reached: 2 "));
    assert_false(err.retryable);
    lithops__meter_read(&meter, &used);
    assert_int_equal(used.starts, 2);
    lithops__meter_unstart(&meter); /* of which no worker was made */
    lithops__meter_read(&meter, &used);
    assert_int_equal(used.starts, 1);
    assert_int_equal(lithops__meter_start(&meter, &err), 0);
    assert_int_equal(lithops__meter_start(&meter, &err), LITHOPS_EDENIED);
    lithops__meter_deinit(&meter);
}

static void requests_of_both_sides_are_added(void **state)
{
    (void)state;
    struct lithops__meter meter;
    struct lithops__used used;
    lithops__meter_init(&meter);
    lithops__meter_has(&meter, 4);
    lithops__meter_has(&meter, 2);
    lithops__meter_requests(&meter, 10, 5);
    lithops__meter_requests(&meter, 20, 6);
    lithops__meter_worker_requests(&meter, 3, 1);
    lithops__meter_worker_requests(&meter, 3, 1);
    lithops__meter_read(&meter, &used);
    assert_int_equal(used.processes, 4);
    assert_int_equal(used.reads, 26);
    assert_int_equal(used.writes, 8);
    lithops__meter_deinit(&meter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_is_rounded_for_each_worker),
        cmocka_unit_test(a_worker_costs_at_least_the_minimum),
        cmocka_unit_test(no_more_are_started_than_may_be),
        cmocka_unit_test(requests_of_both_sides_are_added),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
