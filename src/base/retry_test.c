/* SPDX-License-Identifier: Apache-2.0 */
#include "base/retry.h"

#include "base/clock.h"
#include "base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static lithops_error failure(bool retryable)
{
    lithops_error error = LITHOPS_ERROR_INIT;
    lithops__fail(&error, LITHOPS_ETHROTTLED, "slow down");
    error.retryable = retryable;
    return error;
}

static void attempts_are_counted(void **state)
{
    (void)state;
    struct lithops__retry retry = {
        .attempts = 3, .first_delay_ms = 1, .bounds = LITHOPS__UNBOUNDED};
    lithops_error error = failure(true);
    assert_true(lithops__retry_again(&retry, &error, 0));
    assert_true(lithops__retry_again(&retry, &error, 0));
    assert_false(lithops__retry_again(&retry, &error, 0));
    assert_int_equal(error.code, LITHOPS_ETHROTTLED);
    retry.failed = 0; /* there was progress */
    assert_true(lithops__retry_again(&retry, &error, 0));
}

static void what_will_not_pass_is_not_repeated(void **state)
{
    (void)state;
    struct lithops__retry retry = {
        .attempts = 3, .first_delay_ms = 1, .bounds = LITHOPS__UNBOUNDED};
    lithops_error error = failure(false);
    assert_false(lithops__retry_again(&retry, &error, 0));
    assert_int_equal(retry.failed, 0);
}

static void pauses_double(void **state)
{
    (void)state;
    struct lithops__retry retry = {
        .attempts = 10, .first_delay_ms = 8, .bounds = LITHOPS__UNBOUNDED};
    uint64_t least_ns = 4000000; /* half of the pause, at least */
    for (int i = 0; i < 4; i++, least_ns *= 2) {
        lithops_error error = failure(true);
        uint64_t start = lithops__now_ns();
        assert_true(lithops__retry_again(&retry, &error, 0));
        assert_true(lithops__now_ns() - start >= least_ns);
    }
    lithops_error error = failure(true);
    uint64_t start = lithops__now_ns();
    assert_true(lithops__retry_again(&retry, &error, 1)); /* the server's word counts: 1 ms */
    assert_true(lithops__now_ns() - start >= 1000000);
}

static void no_pause_outlasts_the_deadline(void **state)
{
    (void)state;
    struct lithops__retry retry = {.attempts = 5, .first_delay_ms = 3600 * 1000};
    retry.bounds.deadline_ns = lithops__now_ns() + 1000000000u;
    lithops_error error = failure(true);
    assert_false(
        lithops__retry_again(&retry, &error, 0)); /* at once, or the test's limit ends it */
    assert_int_equal(error.code, LITHOPS_ETHROTTLED);
}

static bool at_once(void *user)
{
    (void)user;
    return true;
}

/* Interrupted, not given up: the pause would have ended before the deadline. */
static void pauses_do_not_grow_for_ever(void **state)
{
    (void)state;
    struct lithops__retry retry = {.attempts = 100, .first_delay_ms = 100};
    retry.bounds = (struct lithops__bounds){lithops__now_ns() + 60000000000u, at_once, NULL};
    for (retry.failed = 5; retry.failed < 40;) {
        lithops_error error = failure(true);
        assert_false(lithops__retry_again(&retry, &error, 0));
        assert_int_equal(error.code, LITHOPS_ECANCELED);
    }
}

static bool on_third_look(void *user)
{
    return ++*(int *)user >= 3;
}

static void a_pause_can_be_interrupted(void **state)
{
    (void)state;
    int looks = 0;
    struct lithops__retry retry = {.attempts = 5, .first_delay_ms = 3600 * 1000};
    retry.bounds = (struct lithops__bounds){UINT64_MAX, on_third_look, &looks};
    lithops_error error = failure(true);
    assert_false(lithops__retry_again(&retry, &error, 0));
    assert_int_equal(error.code, LITHOPS_ECANCELED);
    assert_false(error.retryable);
    assert_int_equal(looks, 3);
}

static void bounds_are_told_apart(void **state)
{
    (void)state;
    int looks = 2;
    lithops_error error = LITHOPS_ERROR_INIT;
    struct lithops__bounds bounds = LITHOPS__UNBOUNDED;
    assert_int_equal(lithops__bounds_check(&bounds, &error), 0);
    bounds.deadline_ns = lithops__now_ns();
    assert_int_equal(lithops__bounds_check(&bounds, &error), LITHOPS_ETIMEDOUT);
    bounds.interrupted = on_third_look;
    bounds.user = &looks;
    assert_int_equal(lithops__bounds_check(&bounds, &error), LITHOPS_ECANCELED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attempts_are_counted),
        cmocka_unit_test(what_will_not_pass_is_not_repeated),
        cmocka_unit_test(pauses_double),
        cmocka_unit_test(pauses_do_not_grow_for_ever),
        cmocka_unit_test(no_pause_outlasts_the_deadline),
        cmocka_unit_test(a_pause_can_be_interrupted),
        cmocka_unit_test(bounds_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
