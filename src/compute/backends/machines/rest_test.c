/* SPDX-License-Identifier: Apache-2.0 */
/* Machines that are ended side by side, of which some cannot be. */
#include "base/error.h"
#include "compute/backends/machines/machines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static int end_one(void *state, const char *id, const struct lithops__bounds *bounds,
                   lithops_error *err)
{
    (void)state;
    (void)bounds;
    int code = strncmp(id, "denied", 6) == 0      ? LITHOPS_EDENIED
               : strncmp(id, "cancelled", 9) == 0 ? LITHOPS_ECANCELED
               : strncmp(id, "gone", 4) == 0      ? LITHOPS_ENOTFOUND
                                                  : 0;
    return code ? lithops__fail(err, code, "no %s", id) : 0;
}

static int end_all(const char *const *ids, size_t count, lithops_error *err)
{
    const struct lithops__bounds bounds = {.deadline_ns = UINT64_MAX};
    *err = (lithops_error)LITHOPS_ERROR_INIT;
    return lithops__cloud_each(NULL, ids, count, &bounds, end_one, err);
}

/* What was cancelled is to be tried again, whatever else has failed before it. */
static void cancelled_wins(void **state)
{
    (void)state;
    static const char *const ids[] = {"denied-1", "a", "cancelled-1", "denied-2", "gone"};
    lithops_error err;
    assert_int_equal(end_all(ids, 5, &err), LITHOPS_ECANCELED);
    assert_int_equal(err.code, LITHOPS_ECANCELED);
    assert_string_equal(err.message, "cancelled-1 and 2 others: no cancelled-1");
}

static void those_that_fail_are_counted(void **state)
{
    (void)state;
    static const char *const ids[] = {"a", "denied-1", "gone", "b"};
    lithops_error err;
    assert_int_equal(end_all(ids, 4, &err), LITHOPS_EDENIED);
    assert_string_equal(err.message, "denied-1: no denied-1");
    assert_int_equal(end_all(ids + 1, 1, &err), LITHOPS_EDENIED);
    assert_string_equal(err.message, "no denied-1");
    assert_int_equal(end_all(ids + 2, 2, &err), 0);
    assert_int_equal(err.code, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cancelled_wins),
        cmocka_unit_test(those_that_fail_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
