/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of the MessagePack codec: the exact bytes, what is refused, and that everything comes
 * back. The expected bytes are from the specification of the format. */
#include "value/value.h"

#include "value/random_value.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

#define BYTES(literal) ((lithops_bytes){literal, sizeof literal - 1})

/* Consumes `value`. */
static void expect_encoding(lithops_value *value, lithops_bytes wanted)
{
    struct lithops__buffer out = LITHOPS__BUFFER_INIT;
    lithops__buffer_append(&out, "before", 6);
    assert_int_equal(lithops__value_encode(value, &out, NULL), 0);
    assert_int_equal(out.len - 6, wanted.len);
    assert_memory_equal(out.data + 6, wanted.ptr, wanted.len);
    lithops_value *back = lithops__value_decode(wanted.ptr, wanted.len, NULL);
    assert_true(lithops_value_equal(back, value));
    lithops_value_free(back);
    lithops_value_free(value);
    lithops__buffer_deinit(&out);
}

static void numbers_take_the_shortest_form(void **state)
{
    (void)state;
    expect_encoding(lithops_value_null(), BYTES("\xc0"));
    expect_encoding(lithops_value_bool(false), BYTES("\xc2"));
    expect_encoding(lithops_value_bool(true), BYTES("\xc3"));
    expect_encoding(lithops_value_int(0), BYTES("\x00"));
    expect_encoding(lithops_value_int(127), BYTES("\x7f"));
    expect_encoding(lithops_value_int(128), BYTES("\xcc\x80"));
    expect_encoding(lithops_value_int(255), BYTES("\xcc\xff"));
    expect_encoding(lithops_value_int(256), BYTES("\xcd\x01\x00"));
    expect_encoding(lithops_value_int(65535), BYTES("\xcd\xff\xff"));
    expect_encoding(lithops_value_int(65536), BYTES("\xce\x00\x01\x00\x00"));
    expect_encoding(lithops_value_int(UINT32_MAX), BYTES("\xce\xff\xff\xff\xff"));
    expect_encoding(lithops_value_int((int64_t)UINT32_MAX + 1),
                    BYTES("\xcf\x00\x00\x00\x01\x00\x00\x00\x00"));
    expect_encoding(lithops_value_int(INT64_MAX), BYTES("\xcf\x7f\xff\xff\xff\xff\xff\xff\xff"));
    expect_encoding(lithops_value_int(-1), BYTES("\xff"));
    expect_encoding(lithops_value_int(-32), BYTES("\xe0"));
    expect_encoding(lithops_value_int(-33), BYTES("\xd0\xdf"));
    expect_encoding(lithops_value_int(-128), BYTES("\xd0\x80"));
    expect_encoding(lithops_value_int(-129), BYTES("\xd1\xff\x7f"));
    expect_encoding(lithops_value_int(-32768), BYTES("\xd1\x80\x00"));
    expect_encoding(lithops_value_int(-32769), BYTES("\xd2\xff\xff\x7f\xff"));
    expect_encoding(lithops_value_int(INT32_MIN), BYTES("\xd2\x80\x00\x00\x00"));
    expect_encoding(lithops_value_int((int64_t)INT32_MIN - 1),
                    BYTES("\xd3\xff\xff\xff\xff\x7f\xff\xff\xff"));
    expect_encoding(lithops_value_int(INT64_MIN), BYTES("\xd3\x80\x00\x00\x00\x00\x00\x00\x00"));
    expect_encoding(lithops_value_double(1.0), BYTES("\xca\x3f\x80\x00\x00"));
    expect_encoding(lithops_value_double(-0.0), BYTES("\xca\x80\x00\x00\x00"));
    expect_encoding(lithops_value_double(INFINITY), BYTES("\xca\x7f\x80\x00\x00"));
    expect_encoding(lithops_value_double(0.1), BYTES("\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a"));
    expect_encoding(lithops_value_double(1e300), BYTES("\xcb\x7e\x37\xe4\x3c\x88\x00\x75\x9c"));
}

static void special_doubles_keep_their_bits(void **state)
{
    (void)state;
    const double special[] = {NAN,      -NAN,      nan("0x123456789"), -0.0,   0.0,
                              INFINITY, -INFINITY, 4.9e-324,           1.5e-45};
    for (size_t i = 0; i < sizeof special / sizeof *special; i++) {
        struct lithops__buffer out = LITHOPS__BUFFER_INIT;
        lithops_value *v = lithops_value_double(special[i]);
        assert_int_equal(lithops__value_encode(v, &out, NULL), 0);
        lithops_value *back = lithops__value_decode(out.data, out.len, NULL);
        double d = lithops_value_get_double(back);
        assert_memory_equal(&d, &special[i], sizeof d);
        lithops_value_free(v);
        lithops_value_free(back);
        lithops__buffer_deinit(&out);
    }
}

/* `len` bytes of head, then `count` times `fill`. Freed with free(). */
static lithops_bytes repeated(const char *head, size_t head_len, char fill, size_t count)
{
    char *bytes = malloc(head_len + count);
    memcpy(bytes, head, head_len);
    memset(bytes + head_len, fill, count);
    return (lithops_bytes){bytes, head_len + count};
}

static void sizes_change_form_at_the_right_place(void **state)
{
    (void)state;
    static const struct {
        size_t size;
        const char *string, *bytes, *list;
        size_t string_len, bytes_len, list_len;
    } rows[] = {
        {0, "\xa0", "\xc4\x00", "\x90", 1, 2, 1},
        {15, "\xaf", "\xc4\x0f", "\x9f", 1, 2, 1},
        {16, "\xb0", "\xc4\x10", "\xdc\x00\x10", 1, 2, 3},
        {31, "\xbf", "\xc4\x1f", "\xdc\x00\x1f", 1, 2, 3},
        {32, "\xd9\x20", "\xc4\x20", "\xdc\x00\x20", 2, 2, 3},
        {255, "\xd9\xff", "\xc4\xff", "\xdc\x00\xff", 2, 2, 3},
        {256, "\xda\x01\x00", "\xc5\x01\x00", "\xdc\x01\x00", 3, 3, 3},
        {65535, "\xda\xff\xff", "\xc5\xff\xff", "\xdc\xff\xff", 3, 3, 3},
        {65536, "\xdb\x00\x01\x00\x00", "\xc6\x00\x01\x00\x00", "\xdd\x00\x01\x00\x00", 5, 5, 5},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t size = rows[i].size;
        char *text = malloc(size + 1);
        memset(text, 'x', size);
        lithops_bytes wanted = repeated(rows[i].string, rows[i].string_len, 'x', size);
        expect_encoding(lithops_value_string_n(text, size), wanted);
        free((void *)wanted.ptr);
        wanted = repeated(rows[i].bytes, rows[i].bytes_len, 'x', size);
        expect_encoding(lithops_value_bytes(text, size), wanted);
        free((void *)wanted.ptr);
        wanted = repeated(rows[i].list, rows[i].list_len, 0, size);
        int64_t *zeros = calloc(size + 1, sizeof *zeros);
        expect_encoding(lithops_ints(zeros, size), wanted);
        free(zeros);
        free((void *)wanted.ptr);
        free(text);
    }
}

static void maps_and_arrays(void **state)
{
    (void)state;
    expect_encoding(lithops_value_map(), BYTES("\x80"));
    expect_encoding(lithops_pack("{s:i,s:[b]}", "b", 1, "a", 1), BYTES("\x82\xa1"
                                                                       "b\x01\xa1"
                                                                       "a\x91\xc3"));
    expect_encoding(lithops_range(-2, 1), BYTES("\x93\xfe\xff\x00"));
    expect_encoding(lithops_doubles((double[]){2}, 1), BYTES("\x91\xca\x40\x00\x00\x00"));
    expect_encoding(lithops_items("abcd", 2, 2), BYTES("\x92\xc4\x02"
                                                       "ab\xc4\x02"
                                                       "cd"));
    lithops_value *map = lithops_value_map();
    struct lithops__buffer wanted = LITHOPS__BUFFER_INIT;
    lithops__buffer_append(&wanted, "\xde\x00\x10", 3);
    for (int i = 0; i < 16; i++) {
        char c = (char)('a' + i);
        lithops_value_set(map, (char[]){c, '\0'}, lithops_value_null());
        lithops__buffer_append(&wanted, (char[]){(char)0xa1, c, (char)0xc0}, 3);
    }
    expect_encoding(map, (lithops_bytes){wanted.data, wanted.len});
    lithops__buffer_deinit(&wanted);
}

static void longer_forms_are_read_too(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
    } ones[] = {{"\x01", 1},
                {"\xcc\x01", 2},
                {"\xcd\x00\x01", 3},
                {"\xce\x00\x00\x00\x01", 5},
                {"\xcf\x00\x00\x00\x00\x00\x00\x00\x01", 9},
                {"\xd0\x01", 2},
                {"\xd1\x00\x01", 3},
                {"\xd2\x00\x00\x00\x01", 5},
                {"\xd3\x00\x00\x00\x00\x00\x00\x00\x01", 9}};
    for (size_t i = 0; i < sizeof ones / sizeof *ones; i++) {
        lithops_value *v = lithops__value_decode(ones[i].bytes, ones[i].len, NULL);
        assert_int_equal(lithops_value_type(v), LITHOPS_INT);
        assert_int_equal(lithops_value_get_int(v), 1);
        lithops_value_free(v);
    }
    /* a map with 32-bit sizes and an 8-bit key length; of equal keys the last one counts */
    lithops_value *v = lithops__value_decode("\xdf\x00\x00\x00\x02\xd9\x01k\x05\xdb\x00\x00\x00\x01"
                                             "k\x06",
                                             16, NULL);
    assert_int_equal(lithops_value_size(v), 1);
    assert_int_equal(lithops_value_get_int(lithops_value_get(v, "k")), 6);
    lithops_value_free(v);
}

static void bad_bytes_are_refused(void **state)
{
    (void)state;
    static const struct {
        lithops_bytes data;
        const char *message;
    } rows[] = {
        {{"", 0}, "byte 0: the data end too early"},
        {{NULL, 7}, "byte 0: the data end too early"},
        {{"\xc1", 1}, "byte 0: 0xc1 starts no value"},
        {{"\x92\x01\xd4\x00\x00", 5}, "byte 2: ext types are not supported"},
        {{"\xc7\x01\x00\x00", 4}, "byte 0: ext types are not supported"},
        {{"\xd8", 1}, "byte 0: ext types are not supported"},
        {{"\x01\x02", 2}, "byte 1: there are more bytes after the value"},
        {{"\xcf\x80\x00\x00\x00\x00\x00\x00\x00", 9}, "byte 9: an integer is more than 2^63 - 1"},
        {{"\xa1\xff", 2}, "byte 1: a string is not UTF-8"},
        {{"\xa3\xed\xa0\x80", 4}, "byte 1: a string is not UTF-8"},
        {{"\x81\xa1\xff\x01", 4}, "byte 2: a string is not UTF-8"},
        {{"\x81\x01\x01", 3}, "byte 2: a map key is not a string"},
        {{"\x81\xc4\x01k\x01", 5}, "byte 2: a map key is not a string"},
        {{"\x81\xa3k\x00k\x01", 6}, "byte 5: a map key holds a NUL"},
        {{"\x92\x01", 2}, "byte 1: the data end too early"},
        {{"\x81\xa1k", 3}, "byte 3: the data end too early"},
        {{"\xdd\xff\xff\xff\xff", 5}, "byte 5: the data end too early"},
        {{"\xdf\xff\xff\xff\xff", 5}, "byte 5: the data end too early"},
        {{"\xdb\xff\xff\xff\xff", 5}, "byte 5: the data end too early"},
        {{"\xc6\xff\xff\xff\xff", 5}, "byte 5: the data end too early"},
        {{"\xcb\x00\x00", 3}, "byte 1: the data end too early"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        lithops_error err = LITHOPS_ERROR_INIT;
        assert_null(lithops__value_decode(rows[i].data.ptr, rows[i].data.len, &err));
        assert_int_equal(err.code, LITHOPS_EPARSE);
        assert_memory_equal(err.message, "MessagePack, ", 13);
        assert_string_equal(err.message + 13, rows[i].message);
    }
    lithops_error err = LITHOPS_ERROR_INIT;
    struct lithops__buffer out = LITHOPS__BUFFER_INIT;
    assert_int_equal(lithops__value_encode(NULL, &out, &err), LITHOPS_EUSAGE);
    assert_int_equal(err.code, LITHOPS_EUSAGE);
}

static void depth_is_bounded(void **state)
{
    (void)state;
    for (size_t levels = 510; levels < 515; levels++) {
        lithops_bytes lists = repeated("", 0, (char)0x91, levels);
        ((char *)lists.ptr)[levels - 1] = (char)0x90;
        lithops_error err = LITHOPS_ERROR_INIT;
        lithops_value *v = lithops__value_decode(lists.ptr, levels, &err);
        assert_true((v != NULL) == (levels <= 512));
        if (v)
            expect_encoding(v, lists);
        else
            assert_non_null(strstr(err.message, "more than 512 levels"));
        free((void *)lists.ptr);
    }
    lithops_bytes bomb = repeated("", 0, (char)0x91, 10000000);
    assert_null(lithops__value_decode(bomb.ptr, bomb.len, NULL));
    free((void *)bomb.ptr);
}

/* Each level claims as many items as there are bytes: only the first may be believed. */
static void nested_claims_do_not_multiply(void **state)
{
    (void)state;
    size_t len = 4000000;
    lithops_bytes data = repeated("", 0, 0, len);
    unsigned char *bytes = (unsigned char *)data.ptr;
    for (size_t level = 0; level < 500; level++) {
        uint32_t claim = (uint32_t)(len - 5 * (level + 1));
        bytes[5 * level] = 0xdd;
        claim = __builtin_bswap32(claim);
        memcpy(bytes + 5 * level + 1, &claim, 4);
    }
    lithops_error err = LITHOPS_ERROR_INIT;
    assert_null(lithops__value_decode(data.ptr, data.len, &err));
    /* the second level's claim is refused where it stands, ten bytes in */
    assert_string_equal(err.message, "MessagePack, byte 10: the data end too early");
    free((void *)data.ptr);
}

static void too_much_is_refused_before_it_is_written(void **state)
{
    (void)state;
    struct lithops__buffer out = LITHOPS__BUFFER_INIT;
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_value *range = lithops_range(0, (int64_t)1 << 40);
    assert_int_equal(lithops__value_encode(range, &out, &err), LITHOPS_EUSAGE);
    assert_non_null(strstr(err.message, "1099511627776 items"));
    assert_int_equal(out.len, 0);
    lithops_value *nested = lithops_pack("[io]", 5, range);
    lithops__buffer_append(&out, "kept", 4);
    assert_int_equal(lithops__value_encode(nested, &out, NULL), LITHOPS_EUSAGE);
    assert_int_equal(out.len, 4);
    lithops_value_free(nested);
    lithops__buffer_deinit(&out);
    /* never read: its length alone is too much */
    lithops_value *view =
        lithops__value_view(LITHOPS_BYTES, (lithops_bytes){"x", (size_t)UINT32_MAX + 1});
    assert_int_equal(lithops__value_encode(view, &out, &err), LITHOPS_EUSAGE);
    lithops_value_free(view);
}

static void random_values_come_back(void **state)
{
    (void)state;
    for (int i = 0; i < 5000; i++) {
        struct lithops__buffer out = LITHOPS__BUFFER_INIT, again = LITHOPS__BUFFER_INIT;
        lithops_value *v = random_value(4);
        assert_int_equal(lithops__value_encode(v, &out, NULL), 0);
        lithops_value *back = lithops__value_decode(out.data, out.len, NULL);
        assert_non_null(back);
        assert_true(lithops_value_equal(v, back));
        assert_int_equal(lithops__value_encode(back, &again, NULL), 0);
        assert_int_equal(out.len, again.len);
        assert_memory_equal(out.data, again.data, out.len);
        /* no part of it is a whole: each value says where it ends */
        size_t part = random_below(out.len);
        assert_null(lithops__value_decode(out.data, part, NULL));
        lithops_value_free(v);
        lithops_value_free(back);
        lithops__buffer_deinit(&out);
        lithops__buffer_deinit(&again);
    }
}

static void damaged_bytes_do_no_harm(void **state)
{
    (void)state;
    size_t still_good = 0;
    for (int i = 0; i < 20000; i++) {
        struct lithops__buffer out = LITHOPS__BUFFER_INIT, again = LITHOPS__BUFFER_INIT;
        lithops_value *v = random_value(3);
        assert_int_equal(lithops__value_encode(v, &out, NULL), 0);
        for (size_t k = random_below(4) + 1; k > 0; k--)
            out.data[random_below(out.len)] = (unsigned char)random_bits();
        lithops_error err = LITHOPS_ERROR_INIT;
        lithops_value *back = lithops__value_decode(out.data, out.len, &err);
        assert_true(back || err.code == LITHOPS_EPARSE);
        if (back) {
            still_good++;
            assert_int_equal(lithops__value_encode(back, &again, NULL), 0);
        }
        lithops_value_free(v);
        lithops_value_free(back);
        lithops__buffer_deinit(&out);
        lithops__buffer_deinit(&again);
    }
    assert_in_range(still_good, 1000, 19000); /* both ways were taken */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_take_the_shortest_form),
        cmocka_unit_test(special_doubles_keep_their_bits),
        cmocka_unit_test(sizes_change_form_at_the_right_place),
        cmocka_unit_test(maps_and_arrays),
        cmocka_unit_test(longer_forms_are_read_too),
        cmocka_unit_test(bad_bytes_are_refused),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(nested_claims_do_not_multiply),
        cmocka_unit_test(too_much_is_refused_before_it_is_written),
        cmocka_unit_test(random_values_come_back),
        cmocka_unit_test(damaged_bytes_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
