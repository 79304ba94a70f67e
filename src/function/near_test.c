/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of near names. */
#include "function/near.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char *near_of(const char *wanted, const char *const *names)
{
    static char text[512];
    struct lithops__near near;
    lithops__near_init(&near, wanted);
    for (; *names; names++)
        lithops__near_offer(&near, *names);
    return lithops__near_text(&near, text, sizeof text);
}
#define NEAR(wanted, ...) near_of(wanted, (const char *const[]){__VA_ARGS__, NULL})

static void slips_of_the_hand_are_near(void **state)
{
    (void)state;
    assert_string_equal(NEAR("cuont", "sum", "count"), "; did you mean 'count'?"); /* swapped */
    assert_string_equal(NEAR("coun", "count"), "; did you mean 'count'?");         /* missing */
    assert_string_equal(NEAR("coount", "count"), "; did you mean 'count'?");       /* surplus */
    assert_string_equal(NEAR("cpunt", "count"), "; did you mean 'count'?");        /* other */
    assert_string_equal(NEAR("COUNT", "count"), "; did you mean 'count'?");        /* case */
    assert_string_equal(NEAR("count", "count_words"), "; did you mean 'count_words'?");
}

static void the_closest_come_first_and_few(void **state)
{
    (void)state;
    assert_string_equal(NEAR("count", "cant", "coun", "county", "mount", "counts"),
                        "; did you mean 'coun', 'county' or 'mount'?");
    assert_string_equal(NEAR("count", "mt", "xount", "xxunt"),
                        "; did you mean 'xount' or 'xxunt'?");
    assert_string_equal(NEAR("pow", "pow2", "pow2", "pow2"), "; did you mean 'pow2'?");
}

static void strangers_are_not_near(void **state)
{
    (void)state;
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
    lithops__near_init(&near, longest);
    lithops__near_offer(&near, longest);
    lithops__near_offer(&near, "b");
    assert_int_equal(strlen(lithops__near_text(&near, text, sizeof text)), sizeof text - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slips_of_the_hand_are_near),
        cmocka_unit_test(the_closest_come_first_and_few),
        cmocka_unit_test(strangers_are_not_near),
        cmocka_unit_test(long_names_are_safe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
