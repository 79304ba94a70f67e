/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of near names. */
#include "base/near.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char *near_of(size_t keep, const char *wanted, const char *const *names)
{
    static char text[512];
    struct lithops__near near;
    lithops__near_init(&near, wanted, keep);
    for (; *names; names++)
        lithops__near_offer(&near, *names);
    return lithops__near_text(&near, text, sizeof text);
}
#define NEAR(wanted, ...) NEAREST(LITHOPS__NEAR_MAX, wanted, __VA_ARGS__)
#define NEAREST(keep, wanted, ...) near_of(keep, wanted, (const char *const[]){__VA_ARGS__, NULL})

static void slips_of_the_hand_are_near(void **state)
{
    (void)state;
    assert_string_equal(NEAR("cuont", "sum", "count"), "; did you mean 'count'?"); /* swapped */
    assert_string_equal(NEAR("coun", "count"), "; did you mean 'count'?");         /* missing */
    assert_string_equal(NEAR("coount", "count"), "; did you mean 'count'?");       /* surplus */
    assert_string_equal(NEAR("cpunt", "count"), "; did you mean 'count'?");        /* other */
    assert_string_equal(NEAR("COUNT", "count"), "; did you mean 'count'?");        /* case */
    assert_string_equal(NEAR("Worker-Processes", "worker_processes"),
                        "; did you mean 'worker_processes'?");
    assert_string_equal(NEAR("count", "count_words"), "; did you mean 'count_words'?");
    assert_string_equal(NEAR("COUNT_words", "count"), "; did you mean 'count'?");
}

static void the_closest_come_first_and_few(void **state)
{
    (void)state;
    assert_string_equal(NEAR("count", "cant", "coun", "county", "mount", "counts"),
                        "; did you mean 'coun', 'county' or 'mount'?");
    assert_string_equal(NEAR("counts", "mt", "xounts", "xxunts"),
                        "; did you mean 'xounts' or 'xxunts'?");
    assert_string_equal(NEAR("count", "count_words", "mount"),
                        "; did you mean 'mount' or 'count_words'?"); /* slips before beginnings */
    assert_string_equal(NEAR("pow", "pow2", "pow2", "pow2"), "; did you mean 'pow2'?");
}

static void as_many_as_are_wanted_are_kept(void **state)
{
    (void)state;
    assert_string_equal(NEAREST(1, "count", "county", "count", "mount"), "; did you mean 'count'?");
    assert_string_equal(NEAREST(1, "count", "mount", "county"), "; did you mean 'mount'?");
    assert_string_equal(NEAREST(2, "count", "mount", "county", "counts"),
                        "; did you mean 'mount' or 'county'?");
    assert_string_equal(NEAREST(0, "count", "mount"), "");
    assert_string_equal(NEAREST(SIZE_MAX, "count", "mount", "county", "counts", "coun"),
                        "; did you mean 'mount', 'county' or 'counts'?");
}

static void strangers_are_not_near(void **state)
{
    (void)state;
    assert_string_equal(NEAR("moon", "mode"), "");
    assert_string_equal(NEAR("count", "xxunt"), "");
    assert_string_equal(NEAR("count", "square", "x", "", "words"), "");
    assert_string_equal(NEAR("f", "g", "h"), "");
    assert_string_equal(NEAR("", "g", ""), "");
}

static void long_names_are_safe(void **state)
{
    (void)state;
    char longest[65], longer[66], text[64];
    memset(longest, 'a', 64);
    longest[64] = '\0';
    memset(longer, 'a', 65);
    longer[65] = '\0';
    assert_string_equal(NEAR(longer, longest, longer), "");
    assert_non_null(strstr(NEAR(longest, longest), longest));
    struct lithops__near near; /* the text is cut, not overrun */
    lithops__near_init(&near, longest, LITHOPS__NEAR_MAX);
    lithops__near_offer(&near, longest);
    lithops__near_offer(&near, "b");
    assert_int_equal(strlen(lithops__near_text(&near, text, sizeof text)), sizeof text - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slips_of_the_hand_are_near),
        cmocka_unit_test(the_closest_come_first_and_few),
        cmocka_unit_test(as_many_as_are_wanted_are_kept),
        cmocka_unit_test(strangers_are_not_near),
        cmocka_unit_test(long_names_are_safe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
