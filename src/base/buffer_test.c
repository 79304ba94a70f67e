/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of buffer.c. */
#include "base/buffer.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

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
}

static void a_failed_buffer_stays_failed(void **state)
{
    (void)state;
    struct lithops__buffer b = LITHOPS__BUFFER_INIT;
    lithops__buffer_append_string(&b, "kept");
    assert_null(lithops__buffer_reserve(&b, SIZE_MAX - 10));
    assert_true(b.failed);
    lithops__buffer_append_string(&b, "not");
    lithops__buffer_printf(&b, "%d", 1);
    assert_null(lithops__buffer_reserve(&b, 0));
    assert_int_equal(b.len, 4);
    assert_null(lithops__buffer_steal(&b));
    assert_false(b.failed); /* empty, and as new */
    assert_null(b.data);
}

static void a_text_that_cannot_be_made_fails_the_buffer(void **state)
{
    (void)state;
    struct lithops__buffer b = LITHOPS__BUFFER_INIT;
    lithops__buffer_printf(&b, "%lc", (wint_t)0xD800); /* half a surrogate pair */
    assert_true(b.failed);
    assert_int_equal(b.len, 0);
    lithops__buffer_deinit(&b);
    assert_false(b.failed);
}

static void an_empty_buffer_has_room_for_nothing(void **state)
{
    (void)state;
    struct lithops__buffer b = LITHOPS__BUFFER_INIT;
    assert_non_null(lithops__buffer_reserve(&b, 0));
    assert_int_equal(b.len, 0);
    lithops__buffer_deinit(&b);
    lithops__buffer_printf(&b, "%s", "");
    char *text = lithops__buffer_steal(&b);
    assert_string_equal(text, "");
    free(text);
}

static void texts_of_all_lengths_are_appended(void **state)
{
    (void)state;
    char long_text[1000];
    for (size_t len = 0; len < sizeof long_text; len += 3) { /* just fits, and just does not */
        struct lithops__buffer b = LITHOPS__BUFFER_INIT;
        memset(long_text, 'x', len);
        long_text[len] = '\0';
        lithops__buffer_printf(&b, "%s%d", long_text, 7);
        LITHOPS__BUFFER_APPEND(&b, "a", "", long_text, "b");
        assert_int_equal(b.len, 2 * len + 3);
        assert_memory_equal(b.data, long_text, len);
        assert_memory_equal(b.data + len, "7a", 2);
        assert_memory_equal(b.data + len + 2, long_text, len);
        assert_int_equal(b.data[2 * len + 2], 'b');
        lithops__buffer_deinit(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_buffer_grows),
        cmocka_unit_test(texts_of_all_lengths_are_appended),
        cmocka_unit_test(a_failed_buffer_stays_failed),
        cmocka_unit_test(a_text_that_cannot_be_made_fails_the_buffer),
        cmocka_unit_test(an_empty_buffer_has_room_for_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
