/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of JSON reading and writing. That others mean the same by JSON: json_oracle_test.c. */
#include "value/value.h"

#include "value/random_value.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static lithops_value *read_json(const char *text)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_value *value = lithops_value_from_json(text, strlen(text), &err);
    if (!value)
        print_error("%s: %s\n", text, err.message);
    assert_non_null(value);
    return value;
}

/* `text` reads as `value`, and `value` is written as `text`. Consumes `value`. */
static void expect_json(lithops_value *value, const char *text)
{
    lithops_value *read = read_json(text);
    assert_true(lithops_value_equal(read, value));
    char *written = NULL;
    assert_int_equal(lithops_value_to_json(value, &written, NULL), 0);
    assert_string_equal(written, text);
    free(written);
    lithops_value_free(read);
    lithops_value_free(value);
}

static void every_type_has_a_form(void **state)
{
    (void)state;
    expect_json(lithops_value_null(), "null");
    expect_json(lithops_value_bool(true), "true");
    expect_json(lithops_value_bool(false), "false");
    expect_json(lithops_value_int(0), "0");
    expect_json(lithops_value_int(INT64_MAX), "9223372036854775807");
    expect_json(lithops_value_int(INT64_MIN), "-9223372036854775808");
    expect_json(lithops_value_string(""), "\"\"");
    expect_json(lithops_value_string("é€𝄞/\x7f"), "\"é€𝄞/\x7f\"");
    expect_json(lithops_value_string_n("a\0\x1f\"\\\b\f\n\r\t", 10),
                "\"a\\u0000\\u001f\\\"\\\\\\b\\f\\n\\r\\t\"");
    expect_json(lithops_value_list(), "[]");
    expect_json(lithops_value_map(), "{}");
    expect_json(lithops_pack("[n,[i],{}]", 1), "[null, [1], {}]");
    expect_json(lithops_pack("{s:i,s:i,s:i}", "z", 1, "a", 2, "\"\n", 3),
                "{\"z\": 1, \"a\": 2, \"\\\"\\n\": 3}");
    expect_json(lithops_range(-1, 2), "[-1, 0, 1]");
    expect_json(lithops_doubles((double[]){1, 0.5}, 2), "[1.0, 0.5]");
}

static void bytes_are_base64(void **state)
{
    (void)state;
    expect_json(lithops_value_bytes("", 0), "{\"$bytes\": \"\"}");
    expect_json(lithops_value_bytes("f", 1), "{\"$bytes\": \"Zg==\"}");
    expect_json(lithops_value_bytes("fo", 2), "{\"$bytes\": \"Zm8=\"}");
    expect_json(lithops_value_bytes("foo", 3), "{\"$bytes\": \"Zm9v\"}");
    expect_json(lithops_value_bytes("\xff\xfe\xfb\xef\xbe\x00", 6), "{\"$bytes\": \"//77774A\"}");
    expect_json(lithops_items("abcd", 2, 2), "[{\"$bytes\": \"YWI=\"}, {\"$bytes\": \"Y2Q=\"}]");
    /* only just so */
    expect_json(lithops_pack("{s:i}", "$bytes", 1), "{\"$bytes\": 1}");
    expect_json(lithops_pack("{s:s,s:i}", "$bytes", "Zg==", "x", 1),
                "{\"$bytes\": \"Zg==\", \"x\": 1}");

    static const char *const bad[] = {
        "Zg",   "Zg=",   "Zg==Zg==", "Zh==",       "Zm9=", "====", "=",
        "Z===", "Zm9v ", "Zm-_",     "Z\\u0000==", "Zg=a", "é==",  "Zm==Zm9v"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[64];
        lithops_error err = LITHOPS_ERROR_INIT;
        snprintf(text, sizeof text, "[{\"$bytes\": \"%s\"}]", bad[i]);
        assert_null(lithops_value_from_json(text, strlen(text), &err));
        assert_int_equal(err.code, LITHOPS_EPARSE);
        assert_string_equal(err.message,
                            "JSON, line 1, column 2: what '$bytes' holds is not base64 (in groups "
                            "of four, padded with '=')");
    }
    lithops_error err = LITHOPS_ERROR_INIT;
    char *text = NULL;
    lithops_value *lookalike = lithops_pack("{s:{s:s}}", "x", "$bytes", "Zg==");
    assert_int_equal(lithops_value_to_json(lookalike, &text, &err), LITHOPS_ETYPE);
    assert_null(text);
    assert_memory_equal(err.message, "key 'x': a map of one string named '$bytes'", 43);
    lithops_value_free(lookalike);
}

static void doubles_are_short_and_exact(void **state)
{
    (void)state;
    expect_json(lithops_value_double(0.1), "0.1");
    expect_json(lithops_value_double(1), "1.0");
    expect_json(lithops_value_double(-3), "-3.0");
    expect_json(lithops_value_double(0.1 + 0.2), "0.30000000000000004");
    expect_json(lithops_value_double(1e22), "1e+22");
    expect_json(lithops_value_double(1.5e300), "1.5e+300");
    expect_json(lithops_value_double(5e-324), "5e-324");
    expect_json(lithops_value_double(DBL_MAX), "1.7976931348623157e+308");
    expect_json(lithops_value_double(DBL_MIN), "2.2250738585072014e-308");
    expect_json(lithops_value_double(1.0 / 3), "0.3333333333333333");
    expect_json(lithops_value_double(123456789012345680.0), "1.2345678901234568e+17");
    lithops_value *zero = read_json("-0.0");
    assert_true(signbit(lithops_value_get_double(zero)));
    lithops_value_free(zero);

    const double refused[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 3; i++) {
        lithops_error err = LITHOPS_ERROR_INIT;
        char *text = NULL;
        lithops_value *v = lithops_pack("{s:[if]}", "x", 1, refused[i]);
        assert_int_equal(lithops_value_to_json(v, &text, &err), LITHOPS_ETYPE);
        assert_string_equal(err.message, i ? "key 'x': item 1: JSON has no infinity"
                                           : "key 'x': item 1: JSON has no not-a-number");
        lithops_value_free(v);
    }
}

/* The program's locale is not ours to change, and must not matter. lithops_comma is made by the
 * build, where there is localedef. */
static void a_decimal_comma_does_not_matter(void **state)
{
    (void)state;
    if (!setlocale(LC_NUMERIC, "lithops_comma") && !setlocale(LC_NUMERIC, "de_DE.UTF-8"))
        skip();
    char comma[8];
    snprintf(comma, sizeof comma, "%g", 0.5);
    assert_string_equal(comma, "0,5");
    expect_json(lithops_value_double(0.1), "0.1");
    expect_json(lithops_value_double(-1234.5), "-1234.5");
    expect_json(lithops_value_double(1.5e300), "1.5e+300");
    expect_json(lithops_value_double(2), "2.0");
    setlocale(LC_NUMERIC, "C");
}

static void all_of_json_is_read(void **state)
{
    (void)state;
    lithops_value *v = read_json(" \t\r\n{ \"a\" : [ 1 , 2.5e-3 , -0 , 1E2 , true , null ] ,\n"
                                 "\"\\u00e9\\ud834\\udd1e\\/\" : \"\\u0000x\", \"a\": 7 } \n");
    const char *key;
    lithops_value_pair(v, 1, &key);
    assert_string_equal(key, "é𝄞/");
    assert_int_equal(lithops_value_get_bytes(lithops_value_get(v, key)).len, 2);
    assert_int_equal(lithops_value_get_int(lithops_value_get(v, "a")), 7); /* the last one counts */
    assert_ptr_equal(lithops_value_pair(v, 0, NULL), lithops_value_get(v, "a"));
    assert_int_equal(lithops_value_size(v), 2);
    lithops_value_free(v);

    v = read_json("[1, 1.0, 1e0, -0]");
    assert_int_equal(lithops_value_type(lithops_value_at(v, 0)), LITHOPS_INT);
    assert_int_equal(lithops_value_type(lithops_value_at(v, 1)), LITHOPS_DOUBLE);
    assert_int_equal(lithops_value_type(lithops_value_at(v, 2)), LITHOPS_DOUBLE);
    assert_int_equal(lithops_value_type(lithops_value_at(v, 3)), LITHOPS_INT);
    lithops_value_free(v);

    /* only `len` bytes belong to the text */
    v = lithops_value_from_json("123456", 3, NULL);
    assert_int_equal(lithops_value_get_int(v), 123);
    lithops_value_free(v);
}

static void errors_have_line_and_column(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } rows[] = {
        {"", "1, column 1: a value expected, but the text ends"},
        {"  ", "1, column 3: a value expected, but the text ends"},
        {"[1,\n 2,,]", "2, column 4: a value expected, ',' found"},
        {"[1,\n 2,]", "2, column 4: a value expected, ']' found"},
        {"[1 2]", "1, column 4: ',' or ']' expected, '2' found"},
        {"[1", "1, column 3: ',' or ']' expected, but the text ends"},
        {"{\"a\": 1\n\n\"b\": 2}", "3, column 1: ',' or '}' expected, '\"' found"},
        {"{\"é€𝄞\": 1 é", "1, column 11: ',' or '}' expected"},
        {"{\"a\" 1}", "1, column 6: ':' expected, '1' found"},
        {"{\"a\":}", "1, column 6: a value expected, '}' found"},
        {"{\"a\":1,}", "1, column 8: a key in double quotes expected, '}' found"},
        {"{1: 2}", "1, column 2: a key in double quotes expected, '1' found"},
        {"[1] x", "1, column 5: the end of the text expected, 'x' found"},
        {"[1]\x01", "1, column 4: the end of the text expected"},
        {"[1, nul]", "1, column 5: a value expected, 'n' found"},
        {"[NaN]", "1, column 2: a value expected, 'N' found"},
        {"[-Infinity]", "1, column 3: a digit expected, 'I' found"},
        {"[+1]", "1, column 2: a value expected, '+' found"},
        {"[01]", "1, column 2: a number starts with 0"},
        {"[-01]", "1, column 2: a number starts with 0"},
        {"[1.]", "1, column 4: a digit expected, ']' found"},
        {"[.5]", "1, column 2: a value expected, '.' found"},
        {"[1e]", "1, column 4: a digit expected, ']' found"},
        {"[1e+", "1, column 5: a digit expected, but the text ends"},
        {"-", "1, column 2: a digit expected, but the text ends"},
        {"[9223372036854775808]", "1, column 2: the integer has more than 64 bits; write it with a "
                                  "'.' or as a string"},
        {"[-9223372036854775809]", "1, column 2: the integer has more than 64 bits; write it with "
                                   "a '.' or as a string"},
        {"[1e999]", "1, column 2: the number is too big for a double"},
        {"[-1e999]", "1, column 2: the number is too big for a double"},
        {"'a'", "1, column 1: a value expected, ''' found"},
        {"\"abc", "1, column 1: the string does not end"},
        {"\"abc\\", "1, column 5: unknown escape"},
        {"\"abc\\n", "1, column 1: the string does not end"},
        {"[\"\xff\"]", "1, column 2: the string is not UTF-8"},
        {"[\"\\n\xed\xa0\x80\"]", "1, column 2: the string is not UTF-8"},
        {"[\"\\ud800\"]", "1, column 3: a \\u escape is not a character"},
        {"[\"\\udc00\"]", "1, column 3: a \\u escape is not a character"},
        {"[\"\\ud800\\u0041\"]", "1, column 3: a \\u escape is not a character"},
        {"[\"\\ud800\\ud800\"]", "1, column 3: a \\u escape is not a character"},
        {"[\"\\u12", "1, column 3: a \\u escape is not a character"},
        {"[\"\\u12g4\"]", "1, column 3: a \\u escape is not a character"},
        {"[\"\\x\"]", "1, column 3: unknown escape"},
        {"[\"\\U0041\"]", "1, column 3: unknown escape"},
        {"[\"a\nb\"]", "1, column 4: a control character in a string; write it as an escape"},
        {"[\"\\ta\tb\"]", "1, column 6: a control character in a string; write it as an escape"},
        {"{\"a\\u0000b\": 1}", "1, column 2: the key holds a NUL"},
        {"\xef\xbb\xbf[]", "1, column 1: a value expected"},
        {"/**/1", "1, column 1: a value expected, '/' found"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        /* at the end of its block, so that a sanitizer sees a step too far */
        size_t len = strlen(rows[i].text);
        char *text = malloc(len + (len == 0));
        memcpy(text, rows[i].text, len);
        lithops_error err = LITHOPS_ERROR_INIT;
        assert_null(lithops_value_from_json(text, len, &err));
        assert_int_equal(err.code, LITHOPS_EPARSE);
        assert_memory_equal(err.message, "JSON, line ", 11);
        assert_string_equal(err.message + 11, rows[i].message);
        assert_null(lithops_value_from_json(text, len, NULL));
        free(text);
    }
    lithops_error err = LITHOPS_ERROR_INIT;
    assert_null(lithops_value_from_json("a\0b", 3, &err));
    assert_int_equal(err.code, LITHOPS_EPARSE);
    assert_null(lithops_value_from_json(NULL, 0, &err));
    assert_int_equal(err.code, LITHOPS_EUSAGE);
    char *text;
    assert_int_equal(lithops_value_to_json(NULL, &text, &err), LITHOPS_EUSAGE);
    assert_int_equal(lithops_value_to_json(lithops_value_null(), NULL, &err), LITHOPS_EUSAGE);
}

/* `levels` lists and maps inside each other, and `core` in the middle. Freed with free(). */
static char *nested(size_t levels, const char *core)
{
    struct lithops__buffer text = LITHOPS__BUFFER_INIT;
    for (size_t i = 0; i < levels; i++)
        lithops__buffer_append_string(&text, i % 2 ? "{\"\\\"]}\": " : "[\"[{\",\n");
    lithops__buffer_append_string(&text, core);
    for (size_t i = levels; i-- > 0;)
        lithops__buffer_append_string(&text, i % 2 ? "}" : "]");
    return lithops__buffer_steal(&text);
}

static void depth_is_bounded(void **state)
{
    (void)state;
    static const char *const cores[] = {
        "1", "[]", "{}", "{\"$bytes\": \"Zg==\"}", "{\"$bytes\": 1}", "{\"$bytes\": {}}"};
    static const size_t core_levels[] = {0, 1, 1, 0, 1, 2};
    for (size_t i = 0; i < sizeof cores / sizeof *cores; i++) {
        for (size_t levels = 508; levels <= 516; levels++) {
            char *text = nested(levels, cores[i]);
            lithops_error err = LITHOPS_ERROR_INIT;
            lithops_value *v = lithops_value_from_json(text, strlen(text), &err);
            assert_true((v != NULL) == (levels + core_levels[i] <= 512));
            if (v) {
                char *written = NULL;
                assert_int_equal(lithops_value_to_json(v, &written, NULL), 0);
                lithops_value *again = read_json(written);
                assert_true(lithops_value_equal(again, v));
                lithops_value_free(again);
                free(written);
            } else {
                assert_non_null(strstr(err.message, "more than 512 levels"));
            }
            lithops_value_free(v);
            free(text);
        }
    }
    for (int closed = 0; closed < 2; closed++) {
        size_t len = 20000000;
        char *bomb = malloc(len);
        memset(bomb, '[', len);
        if (closed)
            memset(bomb + len / 2, ']', len / 2);
        lithops_error err = LITHOPS_ERROR_INIT;
        assert_null(lithops_value_from_json(bomb, len, &err));
        assert_string_equal(err.message,
                            "JSON, line 1, column 513: more than 512 levels of lists and maps");
        free(bomb);
    }
}

static void long_texts(void **state)
{
    (void)state;
    size_t len = 3000000;
    char *text = malloc(len + 2);
    memset(text, 'x', len + 2);
    text[0] = text[len + 1] = '"';
    lithops_value *v = lithops_value_from_json(text, len + 2, NULL);
    assert_int_equal(lithops_value_get_bytes(v).len, len);
    lithops_value_free(v);
    for (size_t i = 1; i < len; i += 2)
        text[i] = '\\', text[i + 1] = 'n';
    v = lithops_value_from_json(text, len + 2, NULL);
    assert_int_equal(lithops_value_get_bytes(v).len, len / 2);
    assert_int_equal(lithops_value_get_string(v)[len / 2 - 1], '\n');
    lithops_value_free(v);
    memset(text, '0', len); /* a number of millions of digits */
    text[1] = '.';
    text[2] = '5';
    text[len - 1] = '1';
    v = lithops_value_from_json(text, len, NULL);
    assert_true(lithops_value_get_double(v) == 0.5);
    lithops_value_free(v);
    memset(text, '1', len);
    assert_null(lithops_value_from_json(text, len, NULL));
    free(text);
}

static void random_values_come_back(void **state)
{
    (void)state;
    for (int i = 0; i < 3000; i++) {
        lithops_value *v = random_value(4);
        char *text = NULL;
        assert_int_equal(lithops_value_to_json(v, &text, NULL), 0);
        assert_null(strchr(text, '\n'));
        lithops_value *back = read_json(text);
        assert_true(lithops_value_equal(v, back));
        lithops_value_free(back);
        lithops_value_free(v);
        free(text);
    }
}

static void random_doubles_come_back_to_the_bit(void **state)
{
    (void)state;
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = random_bits();
        double d;
        memcpy(&d, &bits, sizeof d);
        if (!isfinite(d))
            continue;
        lithops_value *v = lithops_value_double(d);
        char *text = NULL;
        assert_int_equal(lithops_value_to_json(v, &text, NULL), 0);
        lithops_value *back = read_json(text);
        double back_d = lithops_value_get_double(back);
        assert_int_equal(lithops_value_type(back), LITHOPS_DOUBLE);
        assert_memory_equal(&back_d, &d, sizeof d);
        lithops_value_free(back);
        lithops_value_free(v);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_has_a_form),
        cmocka_unit_test(bytes_are_base64),
        cmocka_unit_test(doubles_are_short_and_exact),
        cmocka_unit_test(a_decimal_comma_does_not_matter),
        cmocka_unit_test(all_of_json_is_read),
        cmocka_unit_test(errors_have_line_and_column),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(long_texts),
        cmocka_unit_test(random_values_come_back),
        cmocka_unit_test(random_doubles_come_back_to_the_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
