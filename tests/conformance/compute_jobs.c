/* SPDX-License-Identifier: Apache-2.0 */
/* Conformance of compute backends: results of calls, maps, map_reduces and chains. */
#include "compute_parts.h"

#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { BIG = UNDER_SANITIZER ? 10000000 : 100000000, BIG_LIMIT_MS = 5 * LIMIT_MS };

/* ---- values ---------------------------------------------------------------------------------- */

static void test_values_come_back(void **state)
{
    (void)state;
    static const char *const values[] = {
        "null", "true", "-9223372036854775808",
        "0.1",  "\"\"", "\"caf\\u00e9\"",
        "[]",   "{}",   "{\"a\":[1,null,{\"b\":\"a string that fits into no slot of a table\"}]}",
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        lithops_value *list = lithops_pack("[o]", api_json(values[i])); /* by position */
        char expected[200];
        snprintf(expected, sizeof expected, "[%s]", values[i]);
        result_is(suite_call(suite_echo, list), expected);
    }
}

static void test_bytes_come_back(void **state)
{
    (void)state;
    static char text[300000];
    static const size_t sizes[] = {0, 1, 16, 4095, 65535, 65536, sizeof text};
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 31 >> 3);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        lithops_future *future = suite_call(suite_echo, lithops_value_bytes(text, sizes[i]));
        lithops_bytes bytes;
        succeeds(lithops_future_bytes(future, LIMIT_MS, &bytes, &err));
        assert_int_equal(bytes.len, sizes[i]);
        assert_memory_equal(bytes.ptr, text, sizes[i]);
        lithops_future_unref(future);
    }
}

static uint64_t sum_of(const unsigned char *bytes, size_t len)
{
    uint64_t sum = 14695981039346656037u;
    for (size_t i = 0; i < len; i += 61)
        sum = (sum ^ bytes[i]) * 1099511628211u;
    return sum;
}

static void fill(unsigned char *bytes, size_t len, unsigned seed)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = (unsigned char)((i + seed) * 2654435761u >> 13);
}

LITHOPS_FUNCTION(sum_bytes)
{
    lithops_bytes bytes = lithops_call_bytes(call);
    return lithops_return_int(call, (int64_t)sum_of(bytes.ptr, bytes.len));
}

LITHOPS_FUNCTION(make_bytes)
{
    int64_t len = lithops_call_int(call);
    unsigned char *room = lithops_call_alloc(call, (size_t)len);
    if (!room)
        return LITHOPS_ENOSPACE;
    fill(room, (size_t)len, (unsigned)lithops_call_id(call));
    return lithops_return_bytes(call, room, (size_t)len);
}

static void test_a_big_input(void **state)
{
    (void)state;
    unsigned char *bytes = not_null(malloc(BIG));
    fill(bytes, BIG, 5);
    char expected[32];
    snprintf(expected, sizeof expected, "%lld", (long long)sum_of(bytes, BIG));
    lithops_future *future = suite_call(sum_bytes, lithops_value_bytes(bytes, BIG));
    free(bytes);
    succeeds(lithops_future_wait(future, BIG_LIMIT_MS, &err));
    result_is(future, expected);
}

static void test_a_big_result(void **state)
{
    (void)state;
    unsigned char *bytes = not_null(malloc(BIG));
    lithops_future *future = suite_call(make_bytes, lithops_value_int(BIG));
    lithops_bytes result;
    fill(bytes, BIG, 0);
    succeeds(lithops_future_bytes(future, BIG_LIMIT_MS, &result, &err));
    assert_int_equal(result.len, BIG);
    assert_int_equal(memcmp(result.ptr, bytes, BIG), 0);
    free(bytes);
    lithops_future_release(future);
}

static void test_many_results_of_a_mebibyte(void **state)
{
    (void)state;
    enum { LEN = 1 << 20, COUNT = 40 };
    static unsigned char expected[LEN];
    lithops_value *list = lithops_value_list();
    for (int i = 0; i < COUNT; i++)
        (void)lithops_value_append(list, lithops_value_int(LEN));
    lithops_futures *futures = suite_map(make_bytes, list);
    suite_settle(futures);
    for (size_t i = 0; i < COUNT; i++) {
        lithops_bytes bytes;
        fill(expected, LEN, (unsigned)i);
        succeeds(lithops_futures_bytes(futures, i, &bytes, &err));
        assert_int_equal(bytes.len, LEN);
        assert_memory_equal(bytes.ptr, expected, LEN);
    }
    lithops_futures_release(futures);
}

/* ---- maps ------------------------------------------------------------------------------------ */

LITHOPS_FUNCTION(scaled)
{
    int64_t x, factor = 1, more = 0;
    if (lithops_args(call, "I|II", "x", &x, "factor", &factor, "more", &more) != 0)
        return LITHOPS_EARG;
    return lithops_return_int(call, x * factor + more);
}

static void test_a_map(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    lithops_futures *futures = suite_map(suite_square, lithops_range(0, COUNT));
    assert_int_equal(lithops_futures_size(futures), COUNT);
    suite_settle(futures);
    assert_int_equal(lithops_futures_done(futures), COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        int64_t result;
        succeeds(lithops_futures_int(futures, i, &result, &err));
        assert_int_equal(result, i * i);
    }
    lithops_futures_unref(futures);
}

static void test_arguments(void **state)
{
    (void)state;
    lithops_map_options options = LITHOPS_MAP_OPTIONS_INIT;
    lithops_value *extra = lithops_pack("{s:i}", "factor", 10);
    options.extra_args = extra;
    options.chunksize = 3;
    results_are(not_null(lithops_map(fexec, scaled, api_json("[1,{\"x\":3,\"more\":1},4]"),
                                     &options, &err)),
                "[10,31,40]");
    lithops_value_free(extra);
}

static void test_nothing_to_do(void **state)
{
    (void)state;
    lithops_futures *futures = suite_map(suite_square, lithops_value_list());
    assert_int_equal(lithops_futures_size(futures), 0);
    results_are(futures, "[]");
    suite_works(fexec);
}

/* ---- map_reduce ------------------------------------------------------------------------------ */

LITHOPS_FUNCTION(sum_in_order)
{
    int64_t total = 0, last = -1, x;
    int rc;
    while ((rc = lithops_call_next_result(call, "I", &x)) > 0) {
        if (x < last)
            return lithops_fail(call, "%d comes after %d", (int)x, (int)last);
        total += last = x;
    }
    return rc ? rc : lithops_return_int(call, total);
}

static void check_map_reduce(int64_t spawn_reducer, int64_t chunksize)
{
    enum { COUNT = 200 };
    lithops_map_reduce_options options = LITHOPS_MAP_REDUCE_OPTIONS_INIT;
    lithops_futures *futures = NULL;
    options.spawn_reducer = spawn_reducer;
    options.chunksize = chunksize;
    succeeds(lithops_map_reduce(fexec, suite_square, lithops_range(0, COUNT), sum_in_order,
                                &options, &futures, &err));
    assert_int_equal(lithops_futures_size(futures), COUNT + 1);
    results_are(futures, "2646700");
}

static void test_map_reduce(void **state)
{
    (void)state;
    static const int64_t percents[] = {0, 20, 99, 100};
    for (size_t i = 0; i < sizeof percents / sizeof *percents; i++) {
        check_map_reduce(percents[i], LITHOPS_DEFAULT);
        check_map_reduce(percents[i], 7);
    }
}

LITHOPS_FUNCTION(join_lengths)
{
    int64_t total = 0;
    lithops_bytes bytes;
    int rc;
    while ((rc = lithops_call_next_bytes(call, &bytes)) > 0)
        total += (int64_t)bytes.len;
    return rc ? rc : lithops_return_int(call, total);
}

static void test_a_reducer_of_long_results(void **state)
{
    (void)state;
    lithops_futures *futures = NULL;
    succeeds(lithops_map_reduce(fexec, make_bytes, api_json("[0,1,70000,3000000,5]"), join_lengths,
                                NULL, &futures, &err));
    results_are(futures, "3070006");
}

LITHOPS_FUNCTION(odd_fails)
{
    int64_t x = lithops_call_int(call);
    return x % 2 ? lithops_fail(call, "%d is odd", (int)x) : lithops_return_int(call, x);
}

static void test_a_reducer_of_what_has_failed(void **state)
{
    (void)state;
    lithops_futures *futures = NULL;
    succeeds(lithops_map_reduce(fexec, odd_fails, api_json("[2,4,5,6]"), sum_in_order, NULL,
                                &futures, &err));
    suite_settle(futures);
    call_fails(lithops_futures_get(futures, 4), LITHOPS_ECALL, "5 is odd");
    lithops_futures_unref(futures);
}

LITHOPS_FUNCTION(add_up)
{
    int64_t total = 0, x;
    int rc;
    while ((rc = lithops_call_next_result(call, "I", &x)) > 0)
        total += x;
    return rc ? rc : lithops_return_int(call, total);
}

LITHOPS_FUNCTION(count_lines)
{
    lithops_stream *chunk = lithops_call_object(call);
    return chunk ? lithops_return_int(call, lithops_stream_skip_lines(chunk, INT64_MAX))
                 : LITHOPS_EARG;
}

/* The object in which the reducer of this job says that it has begun. */
static int find_sign(lithops_call *call, char *key, size_t size)
{
    const char *job = lithops_call_job_key(call), *number = job ? strrchr(job, '-') : NULL;
    if (!number)
        return lithops_fail(call, "no job");
    if (!lithops_call_storage(call)) /* the call has the error */
        return LITHOPS_ECALL;
    snprintf(key, size, "suite/%.*s%s", (int)(number - job), job, number + 2); /* M000, R000 */
    return 0;
}

LITHOPS_FUNCTION(first_waits_for_the_reducer)
{
    lithops_storage *storage = lithops_call_storage(call);
    double limit = api_now() + LIMIT_MS / 2000.0;
    char key[128];
    lithops_object_info info;
    int rc = find_sign(call, key, sizeof key);
    if (rc != 0)
        return rc;
    while (lithops_call_id(call) == 0 &&
           lithops_storage_head(storage, lithops_storage_bucket(storage), key, &info, NULL) != 0) {
        if (api_now() > limit)
            return lithops_fail(call, "the reducer has not begun");
        usleep(10000); /* nothing tells of an object */
    }
    return lithops_return_int(call, lithops_call_int(call));
}

LITHOPS_FUNCTION(begin_and_add)
{
    lithops_storage *storage = lithops_call_storage(call);
    char key[128];
    int64_t total = 0, x;
    int rc = find_sign(call, key, sizeof key);
    if (rc != 0)
        return rc;
    if (lithops_storage_put(storage, lithops_storage_bucket(storage), key, (lithops_bytes){"", 0},
                            NULL) != 0)
        return lithops_fail(call, "cannot say that it has begun");
    while ((rc = lithops_call_next_result(call, "I", &x)) > 0)
        total += x;
    return rc ? rc : lithops_return_int(call, total);
}

static void test_a_reducer_that_begins_early(void **state)
{
    (void)state;
    lithops_map_reduce_options options = LITHOPS_MAP_REDUCE_OPTIONS_INIT;
    options.spawn_reducer = 50;
    options.chunksize = 1;
    for (int i = 0; i < 3; i++) {
        lithops_futures *futures = NULL;
        succeeds(lithops_map_reduce(fexec, first_waits_for_the_reducer, lithops_range(1, 5),
                                    begin_and_add, &options, &futures, &err));
        results_are(futures, "10");
    }
}

static void test_map_reduce_by_key(void **state)
{
    (void)state;
    SKIP_UNLESS(suite->sees_files, "workers do not see the client's files");
    const char *one = api_write_file("one.txt", "1\n2\n3\n4\n5\n6\n", 12);
    const char *two = api_write_file("two.txt", "1\n2", 3);
    lithops_map_reduce_options options = LITHOPS_MAP_REDUCE_OPTIONS_INIT;
    lithops_futures *futures = NULL;
    options.obj_chunk_size = 5;
    succeeds(lithops_map_reduce(fexec, count_lines, lithops_pack("[s,s]", one, two), add_up,
                                &options, &futures, &err));
    results_are(futures, "8");
    options.obj_reduce_by_key = true;
    succeeds(lithops_map_reduce(fexec, count_lines, lithops_pack("[s,s]", one, two), add_up,
                                &options, &futures, &err));
    results_are(futures, "[6,2]");
}

/* ---- long files ------------------------------------------------------------------------------ */

enum { LONG_FILE = (5 << 20) + 12345, CHANGED_FILE = 1400000 };

static const char *write_long_file(const char *name, size_t len)
{
    char *bytes = not_null(malloc(len));
    for (size_t i = 0; i < len; i++) /* no piece of it is like another one */
        bytes[i] = (char)((i * 2654435761u >> 13) ^ (i >> 12));
    const char *path = api_write_file(name, bytes, len);
    free(bytes);
    return path;
}

/* How many bytes are as written, read in parts of odd sizes. */
LITHOPS_FUNCTION(count_right_bytes)
{
    char buf[70001];
    lithops_stream *chunk = lithops_call_object(call);
    if (!chunk)
        return LITHOPS_EARG;
    uint64_t at = lithops_stream_object(chunk)->range_start;
    int64_t right = 0, n;
    for (size_t part = 1; (n = lithops_stream_read(chunk, buf, part)) > 0;
         part = part * 7 % sizeof buf)
        for (int64_t k = 0; k < n; k++, at++)
            right += buf[k] == (char)((at * 2654435761u >> 13) ^ (at >> 12));
    return n < 0 ? LITHOPS_EIO : lithops_return_int(call, right);
}

static void test_long_files(void **state)
{
    (void)state;
    SKIP_UNLESS(suite->sees_files, "workers do not see the client's files");
    const char *path = write_long_file("long.bin", LONG_FILE);
    const uint64_t sizes[] = {LONG_FILE, 2 << 20, 1234567, 400000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        lithops_map_options options = LITHOPS_MAP_OPTIONS_INIT;
        options.obj_chunk_size = sizes[i];
        options.obj_newline = NULL;
        lithops_futures *futures = not_null(
            lithops_map(fexec, count_right_bytes, lithops_pack("[s]", path), &options, &err));
        int64_t sum = 0, part;
        suite_settle(futures);
        for (size_t k = 0; k < lithops_futures_size(futures); k++) {
            succeeds(lithops_futures_int(futures, k, &part, &err));
            sum += part;
        }
        assert_int_equal(sum, LONG_FILE);
        lithops_futures_unref(futures);
    }
}

/* Reads some, changes what is on its way, and reads on. */
LITHOPS_FUNCTION(change_while_reading)
{
    static char buf[256 << 10];
    lithops_stream *chunk = lithops_call_object(call);
    lithops_error own = LITHOPS_ERROR_INIT;
    if (!chunk || lithops_stream_read(chunk, buf, sizeof buf) <= 0 ||
        lithops_stream_read(chunk, buf, 1000) <= 0)
        return LITHOPS_EARG;
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL); /* times of files are that coarse */
    int fd = open(lithops_stream_object(chunk)->path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || pwrite(fd, "changed", 7, 700000) != 7 || close(fd) != 0)
        return LITHOPS_EIO;
    while (lithops_stream_read(chunk, buf, sizeof buf) > 0)
        continue;
    return lithops_stream_error(chunk, &own) ? lithops_fail_error(call, &own)
                                             : lithops_return_int(call, 0);
}

static void test_a_file_that_changes(void **state)
{
    (void)state;
    SKIP_UNLESS(suite->sees_files, "workers do not see the client's files");
    SKIP_UNLESS(strcmp(suite->backend, "localhost") != 0, "it reads files in place");
    const char *path = write_long_file("changed.bin", CHANGED_FILE);
    for (int i = 0; i < 5; i++) {
        lithops_futures *futures = not_null(
            lithops_map(fexec, change_while_reading, lithops_pack("[s]", path), NULL, &err));
        call_fails(lithops_futures_get(futures, 0), LITHOPS_EIO, "has changed");
        lithops_futures_unref(futures);
    }
}

/* ---- chains ---------------------------------------------------------------------------------- */

static void test_calls_over_futures(void **state)
{
    (void)state;
    lithops_futures *first = suite_map(suite_square, lithops_range(0, 50));
    lithops_futures *second = not_null(lithops_map_futures(fexec, suite_square, first, NULL, &err));
    lithops_futures *third = not_null(lithops_map_futures(fexec, suite_echo, second, NULL, &err));
    suite_settle(third);
    for (size_t i = 0; i < 50; i++) {
        int64_t result;
        succeeds(lithops_futures_int(third, i, &result, &err));
        assert_int_equal(result, i * i * i * i);
    }
    lithops_futures_unref(first);
    lithops_futures_unref(second);
    lithops_futures_unref(third);
}

static void test_a_failure_goes_down_the_chain(void **state)
{
    (void)state;
    lithops_futures *first = suite_map(odd_fails, api_json("[1,2]"));
    lithops_futures *second = not_null(lithops_map_futures(fexec, suite_square, first, NULL, &err));
    result_is(lithops_futures_get(second, 1), "4");
    call_fails(lithops_futures_get(second, 0), LITHOPS_ECALL, "1 is odd");
    lithops_futures_unref(first);
    lithops_futures_unref(second);
}

int compute_jobs_run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_come_back),
        cmocka_unit_test(test_bytes_come_back),
        cmocka_unit_test(test_a_big_input),
        cmocka_unit_test(test_a_big_result),
        cmocka_unit_test(test_many_results_of_a_mebibyte),
        cmocka_unit_test(test_a_map),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_nothing_to_do),
        cmocka_unit_test(test_map_reduce),
        cmocka_unit_test(test_a_reducer_of_long_results),
        cmocka_unit_test(test_a_reducer_of_what_has_failed),
        cmocka_unit_test(test_a_reducer_that_begins_early),
        cmocka_unit_test(test_map_reduce_by_key),
        cmocka_unit_test(test_long_files),
        cmocka_unit_test(test_a_file_that_changes),
        cmocka_unit_test(test_calls_over_futures),
        cmocka_unit_test(test_a_failure_goes_down_the_chain),
    };
    return cmocka_run_group_tests_name(suite->backend, tests, suite_open_group, api_close_group);
}
