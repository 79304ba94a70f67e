/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of lithops_pack and lithops_unpack. */
#include "value/value.h"

#include <limits.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void every_letter_packs_and_unpacks(void **state)
{
    (void)state;
    lithops_value *inner = lithops_pack("[ii]", 1, 2);
    lithops_value *v = lithops_pack(
        "[n, b, i, I, f, s, s%, s?, s?, y, o, O, [], {}]", 1, -5, INT64_MAX, 0.5, "text", "a\0b",
        (size_t)3, "there", (const char *)NULL, "\xff", (size_t)1, lithops_value_int(7), inner);
    assert_non_null(v);
    bool b;
    int i;
    int64_t big;
    double d;
    const char *s, *counted, *there;
    size_t len;
    lithops_bytes y;
    const lithops_value *o, *copy;
    lithops_error err = LITHOPS_ERROR_INIT;
    assert_int_equal(lithops_unpack(v, &err, "[n b i I f s s% s n y o o [] {} !]", &b, &i, &big, &d,
                                    &s, &counted, &len, &there, &y, &o, &copy),
                     0);
    assert_true(b);
    assert_int_equal(i, -5);
    assert_true(big == INT64_MAX);
    assert_true(d == 0.5);
    assert_string_equal(s, "text");
    assert_int_equal(len, 3);
    assert_memory_equal(counted, "a\0b", 4);
    assert_string_equal(there, "there");
    assert_int_equal(y.len, 1);
    assert_memory_equal(y.ptr, "\xff", 1);
    assert_int_equal(lithops_value_get_int(o), 7);
    assert_true(lithops_value_equal(copy, inner));
    assert_ptr_not_equal(copy, inner);
    assert_int_equal(err.code, 0);
    lithops_value_free(v);
    lithops_value_free(inner);
}

static void maps_go_by_name(void **state)
{
    (void)state;
    lithops_value *v = lithops_pack("{s:i, s%:s, s:{s:[iii]}}", "x", 2, "yes", (size_t)1, "why",
                                    "m", "list", 1, 2, 3);
    int x = 0, first = 0, second = 0, third = 0, kept = 99;
    const char *y = NULL;
    assert_int_equal(lithops_unpack(v, NULL, "{s:{s:[iii]}, s:s, s?:i, s?:i, s?:[i{s:s}], s:i *}",
                                    "m", "list", &first, &second, &third, "y", &y, "x", &x, "none",
                                    &kept, "nothing", &kept, "nested", &y, "x", &x),
                     0);
    assert_int_equal(x, 2);
    assert_int_equal(first * 100 + second * 10 + third, 123);
    assert_int_equal(kept, 99);
    assert_string_equal(y, "why");
    lithops_value_free(v);
}

static void unpack_errors_name_the_path(void **state)
{
    (void)state;
    lithops_value *v = lithops_pack("{s:i,s:[iis],s:{s:I},s:n}", "n", 1, "list", 1, 2, "three",
                                    "deep", "er", (int64_t)5000000000, "null");
    const void *a, *b, *c, *d; /* room for whatever is stored */
    (void)d;
    lithops_error err = LITHOPS_ERROR_INIT;
#define CHECK(expected, text, ...)                                                                 \
    do {                                                                                           \
        assert_int_equal(lithops_unpack(v, &err, __VA_ARGS__), expected);                          \
        assert_int_equal(err.code, expected);                                                      \
        assert_string_equal(err.message, text);                                                    \
        assert_int_equal(lithops_unpack(v, NULL, __VA_ARGS__), expected);                          \
    } while (0)
    CHECK(LITHOPS_ETYPE, "int expected, map given", "i", &a);
    CHECK(LITHOPS_ETYPE, "list expected, map given", "[]");
    CHECK(LITHOPS_ETYPE, "key 'n': string expected, int given", "{s:s}", "n", &a);
    CHECK(LITHOPS_ETYPE, "key 'n': bytes expected, int given", "{s:y}", "n", &a);
    CHECK(LITHOPS_ETYPE, "key 'n': null expected, int given", "{s:n}", "n");
    CHECK(LITHOPS_ETYPE, "key 'n': bool expected, int given", "{s:b}", "n", &a);
    CHECK(LITHOPS_ETYPE, "key 'n': map expected, int given", "{s:{}}", "n");
    CHECK(LITHOPS_ETYPE, "key 'null': double expected, null given", "{s:f}", "null", &a);
    CHECK(LITHOPS_ENOTFOUND, "key 'none': missing", "{s:s}", "none", &a);
    CHECK(LITHOPS_ENOTFOUND, "key 'deep': key 'none': missing", "{s:{s:i}}", "deep", "none", &a);
    CHECK(LITHOPS_ETYPE, "key 'list': item 2: int expected, string given", "{s:[iii]}", "list", &a,
          &b, &c);
    CHECK(LITHOPS_ENOTFOUND, "key 'list': item 3: missing, the list has 3 items", "{s:[iiss]}",
          "list", &a, &b, &c, &d);
    CHECK(LITHOPS_ETYPE, "key 'list': a list of 2 items expected, 3 given", "{s:[ii!]}", "list", &a,
          &b);
    CHECK(LITHOPS_ETYPE, "key 'list': not expected", "{s:i, s:n, s?:i!}", "n", &a, "null", "none",
          &b);
    CHECK(LITHOPS_ETYPE, "key 'deep': key 'er': 5000000000 is too big for an int; use 'I'",
          "{s:{s:i}}", "deep", "er", &a);
    CHECK(LITHOPS_EUSAGE, "a key is NULL", "{s:i}", (const char *)NULL, &a);
    lithops_value_free(v);
    v = NULL;
    CHECK(LITHOPS_EUSAGE, "there is no value to unpack (NULL)", "i", &a);
#undef CHECK
}

static void ints_are_checked_at_both_ends(void **state)
{
    (void)state;
    const int64_t good[] = {INT_MIN, INT_MAX, 0},
                  bad[] = {(int64_t)INT_MIN - 1, (int64_t)INT_MAX + 1, INT64_MIN};
    for (int k = 0; k < 3; k++) {
        int i = 42;
        int64_t big = 0;
        double d = 0;
        lithops_value *v = lithops_pack("I", good[k]);
        assert_int_equal(lithops_unpack(v, NULL, "i", &i), 0);
        assert_true(i == good[k]);
        assert_int_equal(lithops_unpack(v, NULL, "f", &d), 0);
        assert_true(d == (double)good[k]);
        lithops_value_free(v);
        v = lithops_pack("I", bad[k]);
        i = 42;
        assert_int_equal(lithops_unpack(v, NULL, "i", &i), LITHOPS_ETYPE);
        assert_int_equal(i, 42);
        assert_int_equal(lithops_unpack(v, NULL, "I", &big), 0);
        assert_true(big == bad[k]);
        lithops_value_free(v);
    }
}

static void wrong_formats_are_refused_everywhere(void **state)
{
    (void)state;
    static const char *const formats[] = {
        "",   " ",   ",:",   "x",    "]",    "}",  "[",   "{",  "[[",   "[}",   "{]", "{x",
        "{o", "{}}", "[]]",  "[]n",  "nn",   "[n", "{n}", "%",  "?",    "[%]",  "n?", "n%",
        "#",  "[!n", "[*n]", "[!*]", "[!!]", "!",  "[]!", "{!", "[[n]", "n\x80"};
    lithops_error err;
    lithops_value *list = lithops_pack("[n]"), *map = lithops_value_map();
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        assert_null(lithops_pack(formats[i]));
        const lithops_value *v = formats[i][0] == '{'   ? map
                                 : formats[i][0] == '[' ? list
                                                        : lithops_value_null();
        err = (lithops_error)LITHOPS_ERROR_INIT;
        int code = lithops_unpack(v, &err, formats[i]);
        /* "[[" and "[]" are found out by type before by format */
        assert_true(code == LITHOPS_EUSAGE || code == LITHOPS_ETYPE);
        assert_int_equal(err.code, code);
        assert_true(err.message[0]);
    }
    assert_null(lithops_pack(NULL));
    assert_int_equal(lithops_unpack(list, &err, NULL), LITHOPS_EUSAGE);
    assert_null(lithops_pack("{s?:i}", "x", 1));
    assert_int_equal(lithops_unpack(map, &err, "{s?:[n}", "x"), LITHOPS_EUSAGE);
    assert_string_equal(err.message, "unknown letter at offset 6 of the format '{s?:[n}'");
    lithops_value_free(list);
    lithops_value_free(map);
}

static void formats_are_bounded_too(void **state)
{
    (void)state;
    char format[2 * 600 + 1], skipping[sizeof format + 5];
    for (size_t levels = 511; levels <= 600; levels += levels < 513 ? 1 : 87) {
        memset(format, '[', levels);
        memset(format + levels, ']', levels);
        format[2 * levels] = '\0';
        lithops_value *v = lithops_pack(format);
        assert_true((v != NULL) == (levels <= 512));
        if (v)
            assert_int_equal(lithops_unpack(v, NULL, format), 0);
        lithops_value_free(v);
    }
    /* also where a missing key's format is only walked over */
    memset(format, '[', 600);
    memset(format + 600, ']', 600);
    snprintf(skipping, sizeof skipping, "{s?:%s}", format);
    lithops_value *map = lithops_value_map();
    lithops_error err = LITHOPS_ERROR_INIT;
    assert_int_equal(lithops_unpack(map, &err, skipping, "x"), LITHOPS_EUSAGE);
    assert_non_null(strstr(err.message, "more than 512 levels"));
    lithops_value_free(map);
    /* a value that is given goes too deep in its place */
    lithops_value *inner = lithops_value_list();
    for (int i = 0; i < 511; i++)
        inner = lithops_pack("[o]", inner);
    assert_non_null(inner);
    assert_null(lithops_pack("[o]", inner));
}

/* lithops_vpack() is the same without the error. */
static lithops_value *vpack(lithops_error *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    lithops_value *value = err ? lithops__vpack(err, format, args) : lithops_vpack(format, args);
    va_end(args);
    return value;
}

/* The leak checker is the judge of what happened to the values. */
static void failed_packs_consume_their_values(void **state)
{
    (void)state;
    lithops_error err;
    lithops_value *owned = lithops_pack("[i]", 1);
    lithops_value *item = (lithops_value *)lithops_value_at(owned, 0);
#define FAILS(text, ...)                                                                           \
    do {                                                                                           \
        err = (lithops_error)LITHOPS_ERROR_INIT;                                                   \
        assert_null(vpack(&err, __VA_ARGS__));                                                     \
        assert_int_equal(err.code, LITHOPS_EUSAGE);                                                \
        assert_string_equal(err.message, text);                                                    \
    } while (0)
    FAILS("item 0: the string is NULL; use 's?' to pass it as null", "[s o]", (const char *)NULL,
          lithops_value_int(1));
    FAILS("item 1: the string is not UTF-8; use 'y' for arbitrary bytes", "[o s o s]",
          lithops_value_int(1), "\xff", lithops_pack("[i]", 1), (const char *)NULL);
    FAILS("key 'a': item 1: the value is NULL", "{s:[so], s:o}", "a", "x", (lithops_value *)NULL,
          "b", lithops_value_int(1));
    FAILS("a key is NULL, holds a NUL, or is not UTF-8", "{s:o}", (const char *)NULL,
          lithops_value_int(1));
    FAILS("a key is NULL, holds a NUL, or is not UTF-8", "{s%:o}", "a\0b", (size_t)3,
          lithops_value_int(1));
    FAILS("item 0: the bytes are NULL", "[yo]", (const void *)NULL, (size_t)5,
          lithops_value_int(1));
    FAILS("item 0: the value belongs to another one; use 'O' to copy it", "[oo]", item,
          lithops_value_int(1));
    FAILS("the value is NULL", "O", (lithops_value *)NULL);
    assert_null(vpack(NULL, "[os]", lithops_value_int(1), (const char *)NULL));
    FAILS("more than one value at offset 1 of the format 'o}'", "o}", lithops_value_int(1));
#undef FAILS
    lithops_value_free(owned);
}

static void unpack_reads_arrays_and_views(void **state)
{
    (void)state;
    lithops_value *range = lithops_range(10, 13);
    int a, c;
    const lithops_value *b;
    assert_int_equal(lithops_unpack(range, NULL, "[ioi!]", &a, &b, &c), 0);
    assert_int_equal(a + lithops_value_get_int(b) + c, 33);
    lithops_value_free(range);

    lithops_value *view = lithops__value_view(LITHOPS_STRING, (lithops_bytes){"abcdef", 3});
    const char *s;
    size_t len;
    lithops_bytes y;
    assert_int_equal(lithops_unpack(view, NULL, "s%", &s, &len), 0);
    assert_string_equal(s, "abc");
    assert_int_equal(len, 3);
    assert_int_equal(lithops_unpack(view, NULL, "y", &y), 0);
    assert_int_equal(y.len, 3);
    lithops_value_free(view);
}

static void strict_maps_of_any_size(void **state)
{
    (void)state;
    for (int pairs = 1; pairs <= 200; pairs += 63) { /* 1, 64, 127, 190 */
        lithops_value *map = lithops_value_map();
        for (int i = 0; i < pairs; i++) {
            char key[16];
            snprintf(key, sizeof key, "k%d", i);
            lithops_value_set(map, key, lithops_value_int(i));
        }
        int i;
        lithops_error err = LITHOPS_ERROR_INIT;
        int code = lithops_unpack(map, &err, "{s:i!}", "k0", &i);
        assert_int_equal(code, pairs == 1 ? 0 : LITHOPS_ETYPE);
        if (pairs > 1)
            assert_string_equal(err.message, "key 'k1': not expected");
        /* a key that is named twice does not make up for another one */
        assert_int_equal(lithops_unpack(map, NULL, "{s:i,s:i!}", "k0", &i, "k0", &i),
                         pairs == 1 ? 0 : LITHOPS_ETYPE);
        lithops_value_free(map);
    }
}

/* As lithops_args() uses it: one item at a time, the caller keeps format and arguments. */
static int bind(const lithops_value *list, lithops_error *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int code = 0;
    for (size_t i = 0; *format && code == 0; i++)
        code = lithops__unpack_one(lithops_value_at(list, i), err, &format, &args);
    va_end(args);
    return code;
}

static void one_item_at_a_time(void **state)
{
    (void)state;
    lithops_value *v = lithops_pack("[i s [ii] f]", 1, "two", 3, 4, 5.0);
    int a, b, c;
    const char *s;
    size_t len;
    double d;
    lithops_error err = LITHOPS_ERROR_INIT;
    assert_int_equal(bind(v, &err, "is%[ii]f", &a, &s, &len, &b, &c, &d), 0);
    assert_int_equal(a + b + c + (int)d + (int)len, 16);
    assert_int_equal(bind(v, &err, "ii", &a, &b), LITHOPS_ETYPE);
    assert_string_equal(err.message, "int expected, string given");
    assert_int_equal(bind(v, &err, "x", &a), LITHOPS_EUSAGE);
    assert_int_equal(bind(v, &err, " ", &a), LITHOPS_EUSAGE);
    assert_int_equal(bind(NULL, &err, "i", &a), LITHOPS_EUSAGE);
    lithops_value_free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_letter_packs_and_unpacks),
        cmocka_unit_test(maps_go_by_name),
        cmocka_unit_test(unpack_errors_name_the_path),
        cmocka_unit_test(ints_are_checked_at_both_ends),
        cmocka_unit_test(wrong_formats_are_refused_everywhere),
        cmocka_unit_test(formats_are_bounded_too),
        cmocka_unit_test(failed_packs_consume_their_values),
        cmocka_unit_test(unpack_reads_arrays_and_views),
        cmocka_unit_test(strict_maps_of_any_size),
        cmocka_unit_test(one_item_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
