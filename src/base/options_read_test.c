/* SPDX-License-Identifier: Apache-2.0 */
#include "base/options_read.h"

#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct options {
    size_t size;
    int64_t first, second;
};
static const struct options defaults = {sizeof defaults, 1, 2};

static int read_over(struct options *own, const void *given, lithops_error *err)
{
    *own = defaults;
    *err = (lithops_error)LITHOPS_ERROR_INIT;
    return lithops__options_read(own, sizeof *own, given, "OPTIONS_INIT", err);
}

static void test_nothing_given(void **state)
{
    (void)state;
    struct options own;
    lithops_error err;
    assert_int_equal(read_over(&own, NULL, &err), 0);
    assert_memory_equal(&own, &defaults, sizeof own);
}

static void test_shorter_ones_keep_defaults(void **state)
{
    (void)state;
    struct options own, given = {offsetof(struct options, second), 10, 20};
    lithops_error err;
    assert_int_equal(read_over(&own, &given, &err), 0);
    assert_int_equal(own.size, sizeof own);
    assert_int_equal(own.first, 10);
    assert_int_equal(own.second, 2);
    given.size = sizeof given.size;
    assert_int_equal(read_over(&own, &given, &err), 0);
    assert_int_equal(own.first, 1);
}

static void test_longer_ones_are_cut(void **state)
{
    (void)state;
    struct {
        struct options known;
        int64_t later[8];
    } given = {{sizeof given, 10, 20}, {-1, -1}};
    struct options own[2] = {defaults, defaults};
    lithops_error err;
    assert_int_equal(read_over(own, &given, &err), 0);
    assert_int_equal(own[0].size, sizeof own[0]);
    assert_int_equal(own[0].second, 20);
    assert_memory_equal(&own[1], &defaults, sizeof defaults);
}

static void test_what_is_no_size(void **state)
{
    (void)state;
    struct options own, given = {0, 10, 20};
    lithops_error err;
    const size_t sizes[] = {0, 1, sizeof(size_t) - 1, 1 << 20, SIZE_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        given.size = sizes[i];
        assert_int_equal(read_over(&own, &given, &err), LITHOPS_EUSAGE);
        assert_non_null(strstr(err.message, "begin with '= OPTIONS_INIT'"));
        assert_memory_equal(&own, &defaults, sizeof own);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_given),
        cmocka_unit_test(test_shorter_ones_keep_defaults),
        cmocka_unit_test(test_longer_ones_are_cut),
        cmocka_unit_test(test_what_is_no_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
