/* SPDX-License-Identifier: Apache-2.0 */
/* Marks against one byte per call. */
#include "core/marks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { CALLS = 100, READ = 1, OTHER = 8 };

static struct lithops__marks marks;
static unsigned char expected[CALLS];

static void change(uint64_t begin, uint64_t end, unsigned set, bool on)
{
    lithops__marks_change(&marks, begin, end, set, on);
    for (uint64_t i = begin; i < end; i++)
        expected[i] = (unsigned char)(on ? expected[i] | set : expected[i] & ~set);
}

static uint64_t find(uint64_t begin, uint64_t end, unsigned mark, bool on)
{
    while (begin < end && !!(expected[begin] & mark) != on)
        begin++;
    return begin;
}

static void check(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        assert_int_equal(lithops__marks_of(&marks, i), expected[i]);
        for (uint64_t end = i; end <= count; end++)
            for (int on = 0; on < 2; on++) {
                assert_int_equal(lithops__marks_find(&marks, i, end, READ, on),
                                 find(i, end, READ, on));
                assert_int_equal(lithops__marks_find(&marks, i, end, OTHER, on),
                                 find(i, end, OTHER, on));
            }
    }
}

static void of_so_many(uint64_t count)
{
    memset(expected, 0, sizeof expected);
    assert_true(lithops__marks_init(&marks, count));
    check(count);
    for (unsigned i = 0; i < 40; i++) {
        uint64_t begin = i * 37 % count, end = begin + i * 53 % (count - begin + 1);
        change(begin, end, i % 3 == 0 ? OTHER : i % 3 == 1 ? READ : READ | OTHER, i % 4 != 3);
        check(count);
    }
    change(0, count, READ, true);
    change(count / 2, count / 2 + 1, READ, false);
    check(count);
    lithops__marks_deinit(&marks);
}

static void a_range_of_marks_is_that_range(void **state)
{
    (void)state;
    of_so_many(1);
    of_so_many(16);
    of_so_many(17);
    of_so_many(CALLS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_range_of_marks_is_that_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
