/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of src/base. */
#include "base/buffer.h"
#include "base/log.h"
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

static int records;
static void count_record(lithops_log_level level, const char *where, const char *text, void *user)
{
    (void)level;
    assert_string_equal(where, "here");
    assert_string_equal(text, "n=7");
    assert_ptr_equal(user, &records);
    records++;
}

static void log_records_reach_the_sink(void **state)
{
    (void)state;
    lithops_log_to(LITHOPS_LOG_WARNING, count_record, &records);
    lithops__log(LITHOPS_LOG_INFO, "here", "n=%d", 7);
    lithops__log(LITHOPS_LOG_ERROR, "here", "n=%d", 7);
    lithops_log_to(LITHOPS_LOG_NONE, NULL, NULL);
    assert_int_equal(records, 1);
    lithops_log_level level;
    assert_int_equal(lithops__log_level_parse("Warn", &level), 0);
    assert_int_equal(level, LITHOPS_LOG_WARNING);
    assert_int_equal(lithops__log_level_parse("loud", &level), -1);
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
        cmocka_unit_test(log_records_reach_the_sink),
        cmocka_unit_test(a_missing_module_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
