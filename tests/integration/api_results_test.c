/* SPDX-License-Identifier: Apache-2.0 */
/* get_result, sequences of futures, as_completed, released results, and what can still be read
 * after clean and close. */
#include "api.h"

#include <stdio.h>
#include <unistd.h>

LITHOPS_FUNCTION(echo)
{
    return lithops_return_value(call, lithops_value_copy(lithops_call_input(call)));
}

LITHOPS_FUNCTION(sleep_ms)
{
    int64_t ms = lithops_call_int(call);
    usleep((useconds_t)ms * 1000);
    return lithops_return_int(call, ms);
}

LITHOPS_FUNCTION(sum)
{
    int64_t total = 0, x;
    while (lithops_call_next_result(call, "I", &x) > 0)
        total += x;
    return lithops_return_int(call, total);
}

LITHOPS_FUNCTION(fails_always)
{
    return lithops_fail(call, "as always");
}

/* `size` bytes, in a list if asked for. */
LITHOPS_FUNCTION(make_bytes)
{
    int64_t size;
    const char *kind;
    if (lithops_args(call, "Is", "size", &size, "kind", &kind) != 0)
        return LITHOPS_EARG;
    char *data = lithops_call_alloc(call, (size_t)size);
    memset(data, 'x', (size_t)size);
    if (kind[0] == 'y')
        return lithops_return_bytes(call, data, (size_t)size);
    if (kind[0] == 's')
        return lithops_return(call, "s%", data, (size_t)size);
    return lithops_return(call, "[y]", data, (size_t)size);
}

static lithops_future *call_json(const lithops_function *function, const char *json)
{
    return not_null(lithops_call_async(fexec, function, api_json(json), NULL, &err));
}

static void unread_are(const char *json)
{
    lithops_value *value = NULL;
    succeeds(lithops_get_result_value(fexec, NULL, &within_limit, &value, &err));
    char *text = api_to_json(value);
    assert_string_equal(text, json);
    free(text);
    lithops_value_free(value);
}

static int open_own(void **state)
{
    (void)state;
    fexec = api_open("{\"worker_processes\":2}");
    return 0;
}

/* ---- get_result ------------------------------------------------------------------------------ */

static void test_formats(void **state)
{
    (void)state;
    lithops_future *future = call_json(echo, "{\"a\":[1,\"two\"],\"b\":true}");
    lithops_futures *futures = lithops_futures_new(&future, 1);
    int a;
    bool b;
    const char *two;
    succeeds(lithops_get_result(NULL, futures, &within_limit, &err, "{s:[is],s:b}", "a", &a, &two,
                                "b", &b));
    assert_true(a == 1 && b);
    assert_string_equal(two, "two");
    fails(lithops_get_result(NULL, futures, &within_limit, &err, "I", &a), LITHOPS_ETYPE, "map");
    fails(lithops_get_result(NULL, futures, &within_limit, &err, NULL), LITHOPS_EUSAGE, "format");
    fails(lithops_get_result_value(NULL, futures, &within_limit, NULL, &err), LITHOPS_EUSAGE,
          "NULL");
    lithops_futures_unref(futures);
    futures = lithops_map(fexec, echo, api_json("[1,2.5,\"s\"]"), NULL, &err);
    double f;
    succeeds(lithops_get_result(NULL, futures, &within_limit, &err, "[ifs!]", &a, &f, &two));
    assert_true(a == 1 && f == 2.5);
    assert_string_equal(two, "s");
    lithops_futures_unref(futures);
    lithops_future_unref(future);
}

/* One call yields its value; a map of one call, or several calls, a list. */
static void test_shapes(void **state)
{
    (void)state;
    lithops_future *one = call_json(echo, "5"), *two = call_json(echo, "[6]");
    lithops_future *both[] = {one, two, NULL, one};
    results_are(lithops_futures_new(both, 1), "5");
    results_are(lithops_futures_new(both, 2), "[5,[6]]");
    results_are(lithops_futures_new(both, 4),
                "[5,[6],5]"); /* NULL is skipped; a duplicate counts twice */
    results_are(lithops_futures_new(NULL, 0), "[]");
    results_are(lithops_map(fexec, echo, api_json("[7]"), NULL, &err), "[7]");
    lithops_futures *map = lithops_map(fexec, echo, api_json("[7,8]"), NULL, &err);
    lithops_futures *single = lithops_futures_new(&one, 1);
    lithops_futures *joined = lithops_futures_concat(map, single);
    assert_int_equal(lithops_futures_size(joined), 3);
    results_are(joined, "[7,8,5]");
    results_are(lithops_futures_concat(single, map), "[5,7,8]");
    results_are(lithops_futures_concat(map, map), "[7,8,7,8]");
    results_are(lithops_futures_concat(NULL, map), "[7,8]");
    results_are(lithops_futures_concat(NULL, NULL), "[]");
    lithops_futures_unref(map);
    lithops_futures_unref(single);
    lithops_future_unref(one);
    lithops_future_unref(two);
}

static void test_unread_only(void **state)
{
    (void)state;
    unread_are("[]");
    lithops_future *first = call_json(echo, "1");
    unread_are("1");
    unread_are("[]");
    lithops_future *second = call_json(echo, "2"), *third = call_json(echo, "3");
    lithops_futures *map = lithops_map(fexec, echo, api_json("[4,5]"), NULL, &err);
    unread_are("[2, 3, 4, 5]");
    lithops_futures_unref(map);
    succeeds(lithops_map_reduce(fexec, echo, api_json("[1,2,3]"), sum, NULL, NULL, &err));
    unread_are("6"); /* of a map_reduce, the reducer's result */
    unread_are("[]");
    result_is(second, "2"); /* reading again is always possible */
    lithops_future_unref(first);
    lithops_future_unref(third);
}

/* Results read one by one count as read, in any order. */
static void test_unread_after_single_reads(void **state)
{
    (void)state;
    lithops_future *calls[4];
    for (int i = 0; i < 4; i++)
        calls[i] = call_json(echo, (const char *const[]){"10", "11", "12", "13"}[i]);
    result_is(calls[2], "12");
    result_is(calls[0], "10");
    unread_are("[11, 13]");
    unread_are("[]");
    lithops_futures *map = lithops_map(fexec, echo, lithops_range(0, 6), NULL, &err);
    for (size_t i = 1; i < 6; i += 2) {
        lithops_future *future = lithops_futures_get(map, i);
        int64_t x;
        succeeds(lithops_future_result(future, LIMIT_MS, &err, "I", &x));
        lithops_future_unref(future);
    }
    unread_are("[0, 2, 4]");
    lithops_futures_unref(map);
    lithops_future_unref(calls[1]);
    lithops_future_unref(calls[3]);
}

static void test_unread_failures(void **state)
{
    (void)state;
    lithops_future *held = call_json(fails_always, "1");
    lithops_value *value = NULL;
    fails(lithops_get_result_value(fexec, NULL, &within_limit, &value, &err), LITHOPS_ECALL,
          "as always");
    lithops_wait_options options = within_limit;
    options.throw_except = false;
    succeeds(lithops_get_result_value(fexec, NULL, &options, &value, &err));
    assert_int_equal(lithops_value_type(value), LITHOPS_NULL);
    lithops_value_free(value);
    unread_are("[]");
    lithops_future_unref(held);
}

/* Strings that get_result stored live as long as the futures. */
static void test_borrowed_strings(void **state)
{
    (void)state;
    const char *strings[50];
    lithops_future *held[50];
    for (int i = 0; i < 50; i++) {
        held[i] = call_json(echo, "\"some text that is borrowed\"");
        succeeds(lithops_get_result(fexec, NULL, &within_limit, &err, "s", &strings[i]));
    }
    for (int i = 0; i < 50; i++)
        assert_string_equal(strings[i], "some text that is borrowed");
    for (int i = 0; i < 50; i++)
        lithops_future_unref(held[i]);
}

/* Dropping the last future of a call gives up its result. */
static void test_dropped_are_not_asked_for(void **state)
{
    (void)state;
    lithops_future *one = call_json(echo, "1"), *two = call_json(echo, "\"two\"");
    lithops_future_unref(call_json(echo, "3"));
    lithops_futures_unref(lithops_map(fexec, echo, api_json("[4,5]"), NULL, &err));
    lithops_future_unref(one);
    succeeds(lithops_wait(fexec, NULL, &within_limit, NULL, NULL, &err));
    unread_are("\"two\"");
    unread_are("[]");
    result_is(two, "\"two\"");
}

/* ---- results that the caller owns
 * -------------------------------------------------------------------- */

static void test_values_outlive_everything(void **state)
{
    (void)state;
    lithops_executor *other = api_open("{\"worker_processes\":1}");
    static const char *const kinds[] = {"y", "s", "l"};
    lithops_value *values[3][2];
    for (size_t k = 0; k < 3; k++)
        for (size_t large = 0; large < 2; large++) {
            lithops_future *future = not_null(lithops_call_async(
                other, make_bytes, lithops_pack("[is]", large ? 1 << 20 : 100, kinds[k]), NULL,
                &err));
            lithops_futures *futures = lithops_futures_new(&future, 1);
            succeeds(
                lithops_get_result_value(NULL, futures, &within_limit, &values[k][large], &err));
            lithops_futures_unref(futures);
            lithops_future_release(future);
        }
    succeeds(lithops_clean(other, NULL, NULL, &err));
    lithops_executor_close(other);
    for (size_t k = 0; k < 3; k++)
        for (size_t large = 0; large < 2; large++) {
            const lithops_value *value = values[k][large];
            lithops_bytes bytes =
                lithops_value_get_bytes(k == 2 ? lithops_value_at(value, 0) : value);
            assert_int_equal(bytes.len, large ? 1 << 20 : 100);
            assert_int_equal(((const char *)bytes.ptr)[bytes.len - 1], 'x');
            lithops_value_free(values[k][large]);
        }
}

/* Futures that are still held stay readable after clean and close. */
static void test_futures_outlive_the_executor(void **state)
{
    (void)state;
    lithops_executor *other = api_open("{\"worker_processes\":2}");
    lithops_future *single = not_null(
        lithops_call_async(other, make_bytes, lithops_pack("[is]", 1000, "s"), NULL, &err));
    lithops_future *never =
        not_null(lithops_call_async(other, sleep_ms, lithops_value_int(100000), NULL, &err));
    lithops_futures *map =
        not_null(lithops_map(other, echo, api_json("[1,\"two\",[3]]"), NULL, &err));
    succeeds(lithops_wait(NULL, map, &within_limit, NULL, NULL, &err));
    succeeds(lithops_future_wait(single, LIMIT_MS, &err));
    lithops_future *second = lithops_futures_get(map, 1);
    succeeds(lithops_clean(other, map, NULL, &err));
    lithops_executor_close(other);
    results_are(lithops_futures_ref(map), "[1,\"two\",[3]]");
    result_is(second, "\"two\"");
    lithops_bytes bytes;
    succeeds(lithops_future_bytes(single, LIMIT_MS, &bytes, &err));
    assert_int_equal(bytes.len, 1000);
    lithops_value *stats = not_null(lithops_future_stats(single));
    assert_string_equal(lithops_value_get_string(lithops_value_get(stats, "func_name")),
                        "make_bytes");
    lithops_value_free(stats);
    free(lithops_future_logs(single));
    free(lithops_future_traceback(never));
    char key[64];
    assert_in_range(strlen(lithops_future_key(never, key, sizeof key)), 19, 20);
    assert_false(lithops_future_cancel(never));
    call_fails(never, LITHOPS_ECANCELED, "");
    fails(lithops_future_on_done(single, (void (*)(lithops_future *, void *))abort, NULL, &err),
          LITHOPS_ECLOSED, "closed");
    lithops_future_unref(single);
    lithops_futures_unref(map);
}

static void test_release(void **state)
{
    (void)state;
    lithops_future *future = not_null(
        lithops_call_async(fexec, make_bytes, lithops_pack("[is]", 100000, "y"), NULL, &err));
    lithops_future *again = lithops_future_ref(future);
    lithops_bytes bytes;
    const lithops_value *value;
    int64_t i;
    succeeds(lithops_future_bytes(future, LIMIT_MS, &bytes, &err));
    assert_null(lithops_future_release(future));
    fails(lithops_future_bytes(again, LIMIT_MS, &bytes, &err), LITHOPS_ECLOSED, "released");
    fails(lithops_future_value(again, LIMIT_MS, &value, &err), LITHOPS_ECLOSED, "released");
    assert_int_equal(lithops_future_state(again), LITHOPS_SUCCESS);
    lithops_value *stats = not_null(lithops_future_stats(again));
    not_null((void *)(uintptr_t)lithops_value_get(stats, "worker_end_tstamp"));
    lithops_value_free(stats);
    lithops_future_ref(again);
    assert_null(lithops_future_release(again)); /* twice */
    lithops_future_unref(again);
    /* small results, and results that have not come yet */
    future = call_json(echo, "7");
    again = lithops_future_ref(future);
    succeeds(lithops_future_wait(future, LIMIT_MS, &err));
    lithops_future_release(future);
    succeeds(lithops_future_result(again, LIMIT_MS, &err, "I", &i)); /* took no memory */
    lithops_future_unref(again);
    future = call_json(sleep_ms, "50");
    again = lithops_future_ref(future);
    lithops_future_release(future);
    result_is(again, "50");
    assert_null(lithops_future_release(NULL));
}

/* ---- as_completed ---------------------------------------------------------------------------- */

static double end_of(lithops_future *future)
{
    lithops_value *stats = not_null(lithops_future_stats(future));
    double end = lithops_value_get_double(lithops_value_get(stats, "worker_end_tstamp"));
    lithops_value_free(stats);
    return end;
}

static void test_as_completed_order(void **state)
{
    (void)state;
    lithops_executor *five = api_open("{\"worker_processes\":5}");
    lithops_map_options options = LITHOPS_MAP_OPTIONS_INIT;
    options.chunksize = 1;
    for (int late = 0; late < 2; late++) {
        lithops_futures *futures = not_null(
            lithops_map(five, sleep_ms, api_json("[80,40,100,20,60,1,30,90]"), &options, &err));
        if (late) /* all are done before anyone asks */
            succeeds(lithops_wait(NULL, futures, &within_limit, NULL, NULL, &err));
        else
            assert_null(lithops_futures_as_completed(futures, 0));
        double before = 0;
        for (int i = 0; i < 8; i++) {
            lithops_future *future = not_null(lithops_futures_as_completed(futures, LIMIT_MS));
            if (late || !api_backend()) /* over links, whoever waits gets them as they arrive */
                assert_true(end_of(future) >= before);
            before = end_of(future);
            lithops_future_unref(future);
        }
        assert_null(lithops_futures_as_completed(futures, LITHOPS_FOREVER));
        lithops_futures_unref(futures);
    }
    lithops_executor_close(five);
}

static void test_as_completed_all(void **state)
{
    (void)state;
    enum { N = 20000 };
    static bool seen[N];
    lithops_future *extra = call_json(echo, "-1");
    lithops_futures *map = lithops_map(fexec, echo, lithops_range(0, N), NULL, &err);
    lithops_futures *one = lithops_futures_new(&extra, 1), *all = lithops_futures_concat(one, map);
    size_t count = 0;
    lithops_future *future;
    while ((future = lithops_futures_as_completed(all, LIMIT_MS)) != NULL) {
        int64_t x;
        assert_true(lithops_future_is_done(future));
        succeeds(lithops_future_result(future, 0, &err, "I", &x));
        if (x >= 0) {
            assert_false(seen[x]);
            seen[x] = true;
        }
        count++;
        lithops_future_unref(future);
    }
    assert_int_equal(count, N + 1);
    lithops_futures_unref(all);
    lithops_futures_unref(one);
    lithops_futures_unref(map);
    lithops_future_unref(extra);
}

static void test_as_completed_timeout(void **state)
{
    (void)state;
    lithops_futures *futures = lithops_map(fexec, sleep_ms, api_json("[100000]"), NULL, &err);
    double start = api_now();
    assert_null(lithops_futures_as_completed(futures, 60));
    assert_true(api_now() - start >= 0.06);
    assert_null(lithops_futures_as_completed(futures, -1)); /* a timeout of 0 does not wait */
    assert_true(api_now() - start < 30);
    assert_int_equal(lithops_futures_cancel(futures), 1);
    lithops_future *future = lithops_futures_as_completed(futures, LIMIT_MS);
    call_fails(future, LITHOPS_ECANCELED, "");
    lithops_futures_unref(futures);
    assert_null(lithops_futures_as_completed(NULL, LIMIT_MS));
}

int main(int argc, char **argv)
{
    api_init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_formats, open_own, api_close_group),
        cmocka_unit_test_setup_teardown(test_shapes, open_own, api_close_group),
        cmocka_unit_test_setup_teardown(test_unread_only, open_own, api_close_group),
        cmocka_unit_test_setup_teardown(test_unread_after_single_reads, open_own, api_close_group),
        cmocka_unit_test_setup_teardown(test_unread_failures, open_own, api_close_group),
        cmocka_unit_test_setup_teardown(test_borrowed_strings, open_own, api_close_group),
        cmocka_unit_test_setup_teardown(test_dropped_are_not_asked_for, open_own, api_close_group),
        cmocka_unit_test_setup_teardown(test_values_outlive_everything, open_own, api_close_group),
        cmocka_unit_test_setup_teardown(test_futures_outlive_the_executor, open_own,
                                        api_close_group),
        cmocka_unit_test_setup_teardown(test_release, open_own, api_close_group),
        cmocka_unit_test_setup_teardown(test_as_completed_order, open_own, api_close_group),
        cmocka_unit_test_setup_teardown(test_as_completed_all, open_own, api_close_group),
        cmocka_unit_test_setup_teardown(test_as_completed_timeout, open_own, api_close_group),
    };
    return api_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
