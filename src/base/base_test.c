/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of src/base. */
#include "base/buffer.h"
#include "base/module.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void a_buffer_grows(void **state)
{
    (void)state;
    struct lithops__buffer b = LITHOPS__BUFFER_INIT;
    for (int i = 0; i < 1000; i++)
        lithops__buffer_printf(&b, "%d,", i);
    lithops__buffer_append(&b, NULL, 0);
    char *text = lithops__buffer_steal(&b);
    assert_int_equal(strlen(text), 10 * 2 + 90 * 3 + 900 * 4);
    assert_non_null(strstr(text, ",999,"));
    free(text);
    assert_null(lithops__buffer_reserve(&b, SIZE_MAX - 10));
    assert_true(b.failed);
    assert_null(lithops__buffer_steal(&b));
}

static void a_missing_module_is_named(void **state)
{
    (void)state;
    lithops_error err = LITHOPS_ERROR_INIT;
    assert_null(lithops__module_symbol("no-such-part", "x", &err));
    assert_int_equal(err.code, LITHOPS_EUNSUPPORTED);
    assert_non_null(strstr(err.message, "no-such-part"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_buffer_grows),
        cmocka_unit_test(a_missing_module_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
