/* SPDX-License-Identifier: Apache-2.0 */
/* The path without copies: bytes in, bytes written in place, at sizes around every boundary. */
#include "api.h"

#include "../sanitizers.h"

#include <stdint.h>
#include <stdio.h>

static unsigned char pattern(size_t i, size_t len)
{
    return (unsigned char)(i * 31 + len + i / 251);
}

NOT_WATCHED static void fill(unsigned char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = pattern(i, len);
}

/* @return len: none is wrong; else the first */
NOT_WATCHED static size_t find_wrong(const unsigned char *bytes, size_t len, unsigned char flip)
{
    size_t i = 0;
    while (i < len && bytes[i] == (pattern(i, len) ^ flip))
        i++;
    return i;
}

static int misaligned(lithops_call *call, const void *ptr, size_t unit)
{
    return (uintptr_t)ptr % unit ? lithops_fail(call, "%p is not %zu-byte aligned", ptr, unit) : 0;
}

NOT_WATCHED static void flip(const unsigned char *from, unsigned char *to, size_t len)
{
    for (size_t i = 0; i < len; i++)
        to[i] = (unsigned char)~from[i];
}

/* The input with each byte inverted, in place. */
LITHOPS_FUNCTION(invert)
{
    lithops_bytes in = lithops_call_bytes(call);
    unsigned char *out = lithops_call_alloc(call, in.len);
    if (!out)
        return LITHOPS_ENOSPACE;
    if (misaligned(call, in.ptr, 16) || misaligned(call, out, in.len > 16384 ? 64 : 16))
        return LITHOPS_ECALL;
    flip(in.ptr, out, in.len);
    return lithops_return_bytes(call, out, in.len);
}

/* Return that many bytes from the function's own memory. */
LITHOPS_FUNCTION(make)
{
    size_t len = (size_t)lithops_call_int(call);
    unsigned char *own = malloc(len ? len : 1);
    if (!own)
        return lithops_fail(call, "no memory");
    fill(own, len);
    int rc = lithops_return_bytes(call, own, len);
    memset(own, 0, len);
    free(own);
    return rc;
}

/* Return the byte that fills the whole input. */
LITHOPS_FUNCTION(only_byte)
{
    lithops_bytes in = lithops_call_bytes(call);
    const unsigned char *from = in.ptr;
    for (size_t i = 1; i < in.len; i++)
        if (from[i] != from[0])
            return lithops_fail(call, "byte %zu of %zu is different", i, in.len);
    return lithops_return(call, "i", from[0]);
}

/* Unusual ways to use lithops_call_alloc(). */
LITHOPS_FUNCTION(odd_alloc)
{
    int64_t way, len;
    if (lithops_args(call, "II", "way", &way, "len", &len) != 0)
        return LITHOPS_EARG;
    size_t size = (size_t)len;
    char *first = lithops_call_alloc(call, size), *second;
    memset(first, 'a', size);
    switch (way) {
    case 0: /* a second allocation frees the first */
        second = lithops_call_alloc(call, size + 3);
        memset(second, 'b', size + 3);
        return lithops_return_bytes(call, second, size + 3);
    case 1: /* less than requested */
        return lithops_return_bytes(call, first, size / 2);
    case 2: /* more than requested */
        return lithops_return_bytes(call, first, size + 1);
    case 3: /* a part out of the middle */
        for (size_t i = 0; i < size; i++)
            first[i] = (char)('a' + i % 26);
        return lithops_return_bytes(call, first + 1, size - 1);
    case 4: /* the last result counts */
        (void)lithops_return_bytes(call, first, size);
        return lithops_return(call, "s", "instead");
    case 5:
        (void)lithops_return(call, "[i]", 1);
        first = lithops_call_alloc(call, size);
        memset(first, 'c', size);
        return lithops_return_bytes(call, first, size);
    case 6: /* allocated, and nothing returned */
        return 0;
    case 7: /* failed after all */
        (void)lithops_return_bytes(call, first, size);
        return lithops_fail(call, "changed my mind");
    default:
        return lithops_return_bytes(call, NULL, 5);
    }
}

LITHOPS_FUNCTION(alloc_and_fill)
{
    size_t len = (size_t)lithops_call_int(call);
    void *out = lithops_call_alloc(call, len);
    return out ? lithops_return_bytes(call, memset(out, 1, len), len) : LITHOPS_ENOSPACE;
}

LITHOPS_FUNCTION(alloc_too_much)
{
    if (lithops_call_alloc(call, (size_t)1 << 50))
        return lithops_fail(call, "a petabyte");
    return LITHOPS_ENOSPACE;
}

static const size_t sizes[] = {0,     1,       15,          16,      17,     4095,
                               4096,  16368,   16383,       16384,   16385,  65535,
                               65536, 1048575, 1048576 - 1, 1048576, 1048577};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

static void check_inverted(size_t len)
{
    unsigned char *data = not_null(malloc(len ? len : 1));
    fill(data, len);
    lithops_future *future =
        not_null(lithops_call_async(fexec, invert, lithops_value_bytes(data, len), NULL, &err));
    lithops_bytes out = {NULL, 1};
    succeeds(lithops_future_bytes(future, LIMIT_MS, &out, &err));
    assert_int_equal(out.len, len);
    assert_int_equal((uintptr_t)out.ptr % (len > 16384 ? 64 : 16), 0);
    assert_int_equal(find_wrong(out.ptr, len, 255), len);
    lithops_future_release(future);
    free(data);
}

static void check_made(lithops_future *future, size_t len)
{
    lithops_bytes out;
    succeeds(lithops_future_bytes(future, LIMIT_MS, &out, &err));
    assert_int_equal(out.len, len);
    assert_int_equal(find_wrong(out.ptr, len, 0), len);
}

static void test_sizes(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++)
        for (size_t i = 0; i < SIZES; i++)
            check_inverted(sizes[i]);
}

static void test_100_mib(void **state)
{
    (void)state;
    for (int round = 0; round < api_times(20); round += 9)
        check_inverted((size_t)100 << 20);
}

/* All sizes at once, kept, and read again after others came and went. */
static void test_results_stay(void **state)
{
    (void)state;
    lithops_future *kept[SIZES];
    for (size_t i = 0; i < SIZES; i++)
        kept[i] = not_null(
            lithops_call_async(fexec, make, lithops_value_int((int64_t)sizes[i]), NULL, &err));
    for (int round = 0; round < 3; round++)
        for (size_t i = 0; i < SIZES; i++) {
            check_made(kept[i], sizes[i]);
            check_inverted(sizes[SIZES - 1 - i]);
        }
    for (size_t i = 0; i < SIZES; i++) {
        check_made(kept[i], sizes[i]);
        lithops_future_unref(kept[i]);
    }
}

/* Memory of released results is reused: 20 GiB pass through 512 MiB. */
static void test_memory_is_used_again(void **state)
{
    (void)state;
    lithops_executor *small = api_open("{\"worker_processes\":1,\"shared_memory\":512}");
    for (int i = 0; i < api_times(200); i++) {
        lithops_future *future = not_null(
            lithops_call_async(small, alloc_and_fill, lithops_value_int(100 << 20), NULL, &err));
        lithops_bytes out;
        succeeds(lithops_future_bytes(future, LIMIT_MS, &out, &err));
        assert_int_equal(out.len, 100 << 20);
        lithops_future_release(future);
    }
    lithops_executor_close(small);
}

/* So is the memory of inputs, though their futures are held: 400 MiB pass through 64 MiB, three
 * calls at a time; that of failed calls, too. */
static void test_inputs_are_given_back(void **state)
{
    (void)state;
    enum { COUNT = 100, AT_A_TIME = 3, LEN = 4 << 20 };
    lithops_executor *small = api_open("{\"worker_processes\":2,\"shared_memory\":64}");
    unsigned char *input = not_null(malloc(LEN));
    lithops_future *futures[COUNT];
    for (int i = 0; i < COUNT; i++) {
        memset(input, i, LEN);
        if (i % 10 == 9)
            input[LEN - 1] = 255;
        futures[i] = not_null(
            lithops_call_async(small, only_byte, lithops_value_bytes(input, LEN), NULL, &err));
        if (i >= AT_A_TIME)
            (void)lithops_future_wait(futures[i - AT_A_TIME], LIMIT_MS, &err);
    }
    free(input);
    for (int i = 0; i < COUNT; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        if (i % 10 == 9)
            call_fails(futures[i], LITHOPS_ECALL, "is different");
        else
            result_is(futures[i], text);
    }
    lithops_executor_close(small);
}

static lithops_future *odd(int way, size_t len)
{
    return not_null(
        lithops_call_async(fexec, odd_alloc, lithops_pack("[iI]", way, (int64_t)len), NULL, &err));
}

static void expect_bytes(lithops_future *future, const char *start, size_t len)
{
    lithops_bytes out;
    succeeds(lithops_future_bytes(future, LIMIT_MS, &out, &err));
    assert_int_equal(out.len, len);
    assert_memory_equal(out.ptr, start, strlen(start) < len ? strlen(start) : len);
    lithops_future_unref(future);
}

static void test_odd_uses(void **state)
{
    (void)state;
    static const size_t lens[] = {100, 16384, 16400, 300000};
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        size_t len = lens[i];
        expect_bytes(odd(0, len), "bbbb", len + 3);
        expect_bytes(odd(1, len), "aaaa", len / 2);
        call_fails(odd(2, len), LITHOPS_EUSAGE, "longer");
        expect_bytes(odd(3, len), "bcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcd",
                     len - 1);
        result_is(odd(4, len), "\"instead\"");
        expect_bytes(odd(5, len), "cccc", len);
        result_is(odd(6, len), "null");
        call_fails(odd(7, len), LITHOPS_ECALL, "changed my mind");
        call_fails(odd(8, len), LITHOPS_EUSAGE, "NULL");
    }
}

static void test_no_room(void **state)
{
    (void)state;
    call_fails(lithops_call_async(fexec, alloc_too_much, lithops_value_null(), NULL, &err),
               LITHOPS_ENOSPACE, "shared memory");
    lithops_executor *small = api_open("{\"worker_processes\":1,\"shared_memory\":64}");
    lithops_future *future =
        lithops_call_async(small, make, lithops_value_int(100 << 20), NULL, &err);
    call_fails(future, LITHOPS_ENOSPACE, "localhost.shared_memory");
    /* the next one fits */
    future = not_null(lithops_call_async(small, make, lithops_value_int(1 << 20), NULL, &err));
    check_made(future, 1 << 20);
    lithops_future_unref(future);
    void *large = not_null(calloc(1, 100 << 20));
    is_refused(lithops_call_async(small, make, lithops_value_bytes(large, 100 << 20), NULL, &err),
               LITHOPS_ENOSPACE, "shared memory");
    free(large);
    lithops_executor_close(small);
}

static void test_other_types(void **state)
{
    (void)state;
    lithops_future *future =
        not_null(lithops_call_async(fexec, odd_alloc, lithops_pack("[ii]", 4, 8), NULL, &err));
    lithops_bytes out;
    succeeds(lithops_future_bytes(future, LIMIT_MS, &out, &err)); /* of a string */
    assert_int_equal(out.len, 7);
    lithops_future_unref(future);
    future = not_null(lithops_call_async(fexec, odd_alloc, lithops_pack("[ii]", 6, 8), NULL, &err));
    fails(lithops_future_bytes(future, LIMIT_MS, &out, &err), LITHOPS_ETYPE, "bytes");
    lithops_future_unref(future);
}

int main(int argc, char **argv)
{
    api_init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_100_mib),
        cmocka_unit_test(test_results_stay),
        cmocka_unit_test(test_memory_is_used_again),
        cmocka_unit_test(test_inputs_are_given_back),
        cmocka_unit_test(test_odd_uses),
        cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_other_types),
    };
    return api_finish(cmocka_run_group_tests(tests, api_open_group, api_close_group));
}
