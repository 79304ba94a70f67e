/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of scalar.c. What PyYAML 6 reads was taken from PyYAML; where it is not followed, the row
 * says so. */
#include "config/scalar.h"

#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static lithops_value *read(const char *text)
{
    lithops_value *value = lithops__scalar_value(text, strlen(text));
    assert_non_null(value);
    return value;
}

static void reads_int(const char *text, int64_t wanted)
{
    lithops_value *value = read(text);
    if (lithops_value_type(value) != LITHOPS_INT || lithops_value_get_int(value) != wanted)
        fail_msg("'%s' is read as %s %lld", text, lithops_type_name(lithops_value_type(value)),
                 (long long)lithops_value_get_int(value));
    lithops_value_free(value);
}

static void reads_double(const char *text, double wanted)
{
    lithops_value *value = read(text);
    double given = lithops_value_get_double(value);
    if (lithops_value_type(value) != LITHOPS_DOUBLE ||
        (given != wanted && !(isnan(given) && isnan(wanted))))
        fail_msg("'%s' is read as %s %g", text, lithops_type_name(lithops_value_type(value)),
                 given);
    lithops_value_free(value);
}

static void reads_string(const char *text)
{
    lithops_value *value = read(text);
    if (lithops_value_type(value) != LITHOPS_STRING)
        fail_msg("'%s' is read as %s", text, lithops_type_name(lithops_value_type(value)));
    assert_string_equal(lithops_value_get_string(value), text);
    lithops_value_free(value);
}

static void words_are_bools_and_nulls(void **state)
{
    (void)state;
    static const char *const words[] = {"yes",   "Yes",   "YES",   "true", "True", "TRUE",
                                        "on",    "On",    "ON",    "no",   "No",   "NO",
                                        "false", "False", "FALSE", "off",  "Off",  "OFF"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        lithops_value *value = read(words[i]);
        assert_int_equal(lithops_value_type(value), LITHOPS_BOOL);
        assert_int_equal(lithops_value_get_bool(value), i < 9);
        lithops_value_free(value);
    }
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
    for (size_t i = 0; i < sizeof nulls / sizeof nulls[0]; i++) {
        lithops_value *value = read(nulls[i]);
        assert_int_equal(lithops_value_type(value), LITHOPS_NULL);
        lithops_value_free(value);
    }
    static const char *const strings[] = {"y",
                                          "n",
                                          "yEs",
                                          "tRUE",
                                          "nULL",
                                          "None",
                                          "~~",
                                          "nulls",
                                          "yes ",
                                          "2001-01-01",
                                          "=",
                                          "a: b",
                                          "\xc3\xa9t\xc3\xa9"};
    for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++)
        reads_string(strings[i]);
}

static void ints_have_four_bases_and_sixty(void **state)
{
    (void)state;
    reads_int("0", 0);
    reads_int("-0", 0);
    reads_int("+12", 12);
    reads_int("-12", -12);
    reads_int("1_000", 1000);
    reads_int("1__0_", 10);
    reads_int("010", 8);
    reads_int("-010", -8);
    reads_int("0_", 0);
    reads_int("0x_f", 15);
    reads_int("+0x1F", 31);
    reads_int("0b1_1", 3);
    reads_int("0o17", 15); /* YAML 1.2; a string to PyYAML */
    reads_int("1:30", 90);
    reads_int("-1:30", -90);
    reads_int("190:20:30", 685230);
    reads_int("9223372036854775807", INT64_MAX);
    reads_int("-9223372036854775808", INT64_MIN);
    reads_int("0x7fffffffffffffff", INT64_MAX);
    static const char *const strings[] = {"_1",    "08",  "09",   "0x",   "0b",   "0o",   "0x_",
                                          "0xg",   "+",   "-",    "1-",   "1:60", "1:",   "1:x",
                                          "1:123", "1 2", "0:30", "1::2", "--1",  "1,000"};
    for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++)
        reads_string(strings[i]);
}

static void longer_ints_become_doubles(void **state)
{
    (void)state;
    reads_double("9223372036854775808", 9223372036854775808.0);
    reads_double("-9223372036854775809", -9223372036854775808.0);
    reads_double("18446744073709551616", 18446744073709551616.0);
    reads_double("0x10000000000000000", 18446744073709551616.0);
    char digits[102];
    memset(digits, '9', 100);
    digits[100] = '\0';
    lithops_value *value = read(digits);
    assert_int_equal(lithops_value_type(value), LITHOPS_DOUBLE);
    assert_true(fabs(lithops_value_get_double(value) / 1e100 - 1) < 1e-12);
    lithops_value_free(value);
    digits[100] = '9';
    digits[101] = '\0';
    reads_string(digits); /* too long for a number */
}

static void doubles_need_a_point_or_an_exponent(void **state)
{
    (void)state;
    reads_double("1.5", 1.5);
    reads_double("-1.5", -1.5);
    reads_double("1.", 1);
    reads_double(".5", 0.5);
    reads_double("08.5", 8.5);
    reads_double("1_0.2_5", 10.25);
    reads_double("1.e+3", 1000);
    reads_double("1.5E-3", 0.0015);
    reads_double(".inf", INFINITY);
    reads_double("+.INF", INFINITY);
    reads_double("-.Inf", -INFINITY);
    reads_double(".nan", NAN);
    reads_double("0.000016667", 0.000016667);
    /* YAML 1.2 and JSON; strings to PyYAML */
    reads_double("1e-05", 1e-05);
    reads_double("1e3", 1000);
    reads_double("1.0e3", 1000);
    reads_double("-.5", -0.5);
    static const char *const strings[] = {".",    "..5",    "._5",   "1.5.2", "1e",  "1e+",
                                          "e5",   "1.5x",   "-.",    "inf",   "nan", "-.nan",
                                          "_1.5", "1:30.5", "0x1p3", "1.5 "};
    for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++)
        reads_string(strings[i]);
}

static void the_locale_does_not_matter(void **state)
{
    (void)state;
    /* de_DE writes 1,5; where no such locale is installed this tests the C locale again */
    const char *german = setlocale(LC_ALL, "de_DE.UTF-8");
    reads_double("1.5", 1.5);
    reads_string("1,5");
    if (german)
        setlocale(LC_ALL, "C");
}

static void nul_bytes_and_bad_utf8_are_not_numbers(void **state)
{
    (void)state;
    lithops_value *value = lithops__scalar_value("12\0", 3);
    assert_int_equal(lithops_value_type(value), LITHOPS_STRING);
    assert_int_equal(lithops_value_get_bytes(value).len, 3);
    lithops_value_free(value);
    assert_null(lithops__scalar_value("\xff\xfe", 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_bools_and_nulls),
        cmocka_unit_test(ints_have_four_bases_and_sixty),
        cmocka_unit_test(longer_ints_become_doubles),
        cmocka_unit_test(doubles_need_a_point_or_an_exponent),
        cmocka_unit_test(the_locale_does_not_matter),
        cmocka_unit_test(nul_bytes_and_bad_utf8_are_not_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
