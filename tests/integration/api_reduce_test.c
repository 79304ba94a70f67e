/* SPDX-License-Identifier: Apache-2.0 */
/* map_reduce: whatever the number of processes and whenever the reducer may start, it gets each
 * result once and in order, and never takes a process that a map call needs. */
#include "api.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

LITHOPS_FUNCTION(square)
{
    int64_t x = lithops_call_int(call);
    return lithops_return_int(call, x * x);
}

LITHOPS_FUNCTION(echo)
{
    return lithops_return_value(call, lithops_value_copy(lithops_call_input(call)));
}

/* Takes 0 to 3 ms, in no particular order. */
LITHOPS_FUNCTION(uneven)
{
    int64_t x = lithops_call_int(call);
    if (x % 7 == 0)
        usleep((useconds_t)(x * 7919 % 3000));
    return lithops_return_int(call, x);
}

LITHOPS_FUNCTION(odd_fails)
{
    int64_t x = lithops_call_int(call);
    return x % 2 ? lithops_fail(call, "%d is odd", (int)x) : lithops_return_int(call, x);
}

LITHOPS_FUNCTION(sum)
{
    int64_t total = 0, x, base = 0;
    int rc;
    while ((rc = lithops_call_next_result(call, "I", &x)) > 0)
        total += x;
    if (rc < 0)
        return rc;
    if (lithops_args(call, "|I", "base", &base) != 0)
        return LITHOPS_EARG;
    return lithops_return_int(call, base + total);
}

/* Both loops that people write; the failure of a map call must not get lost. */
LITHOPS_FUNCTION(careless_sum)
{
    int64_t total = 0, x;
    while (lithops_call_next_result(call, "I", &x) > 0)
        total += x;
    return lithops_return_int(call, total);
}

LITHOPS_FUNCTION(more_careless_sum)
{
    int64_t total = 0, x = 0;
    while (lithops_call_next_result(call, "I", &x))
        total += x;
    return lithops_return_int(call, total);
}

/* All results as one list, read in the three possible ways by turns. */
LITHOPS_FUNCTION(collect)
{
    lithops_value *list = lithops_value_list();
    int64_t count = lithops_call_result_count(call);
    const lithops_value *value = NULL;
    int rc;
    while ((rc = lithops_call_next_value(call, &value)) > 0)
        lithops_value_append(list, lithops_value_copy(value));
    if (rc == 0 && (int64_t)lithops_value_size(list) != count)
        rc = lithops_fail(call, "%zu results, not %d", lithops_value_size(list), (int)count);
    if (rc == 0 && lithops_call_next_value(call, &value) != 0)
        rc = lithops_fail(call, "something after the last one");
    return rc ? (lithops_value_free(list), rc) : lithops_return_value(call, list);
}

/* Works as a map function and as a reducer. */
LITHOPS_FUNCTION(which)
{
    return lithops_return(call, "b", lithops_call_is_reducer(call));
}

LITHOPS_FUNCTION(collect_bytes)
{
    lithops_value *list = lithops_value_list();
    lithops_bytes bytes;
    int rc;
    while ((rc = lithops_call_next_bytes(call, &bytes)) > 0)
        lithops_value_append(list, lithops_value_bytes(bytes.ptr, bytes.len));
    return rc ? (lithops_value_free(list), rc) : lithops_return_value(call, list);
}

LITHOPS_FUNCTION(order)
{
    int64_t expected = 0, x;
    int rc;
    while ((rc = lithops_call_next_result(call, "I", &x)) > 0)
        if (x != expected++)
            return lithops_fail(call, "%d comes as number %d", (int)x, (int)expected - 1);
    return rc ? rc : lithops_return_int(call, expected);
}

LITHOPS_FUNCTION(fail_early)
{
    return lithops_fail(call, "I do not reduce %d", (int)lithops_call_result_count(call));
}

LITHOPS_FUNCTION(crash_late)
{
    int64_t x;
    while (lithops_call_next_result(call, "I", &x) > 0)
        ;
    abort();
}

static lithops_futures *start(const lithops_function *map, lithops_value *list,
                              const lithops_function *reduce,
                              const lithops_map_reduce_options *options)
{
    lithops_futures *futures = NULL;
    succeeds(lithops_map_reduce(fexec, map, list, reduce, options, &futures, &err));
    return not_null(futures);
}

static void test_parts(void **state)
{
    (void)state;
    lithops_futures *futures = start(square, lithops_range(0, 10), sum, NULL);
    assert_int_equal(lithops_futures_size(futures), 11);
    succeeds(lithops_wait(NULL, futures, &within_limit, NULL, NULL, &err));
    int64_t one;
    for (size_t i = 0; i < 10; i++) {
        succeeds(lithops_futures_int(futures, i, &one, &err));
        assert_int_equal(one, i * i);
    }
    lithops_future *reducer = lithops_futures_get(futures, 10);
    lithops_future *mapped = lithops_futures_get(futures, 9);
    assert_true(lithops_future_is_reducer(reducer));
    assert_false(lithops_future_is_reducer(mapped));
    lithops_future_unref(mapped);
    result_is(reducer, "285");
    succeeds(lithops_get_result(NULL, futures, &within_limit, &err, "I", &one));
    assert_int_equal(one, 285);
    lithops_futures_unref(futures);
    succeeds(lithops_map_reduce(fexec, square, lithops_range(0, 4), sum, NULL, NULL, &err));
    succeeds(lithops_get_result(fexec, NULL, &within_limit, &err, "I", &one));
    assert_int_equal(one, 14);
}

static void test_a_call_knows_what_it_is(void **state)
{
    (void)state;
    lithops_futures *futures = start(which, lithops_range(0, 2), which, NULL);
    succeeds(lithops_wait(NULL, futures, &within_limit, NULL, NULL, &err));
    for (size_t i = 0; i < 3; i++) {
        lithops_future *future = lithops_futures_get(futures, i);
        result_is(future, i == 2 ? "true" : "false");
    }
    lithops_futures_unref(futures);
}

static void test_spawn_reducer(void **state)
{
    (void)state;
    lithops_executor *shared = fexec;
    static const char *const settings[] = {"{\"worker_processes\":1}", "{\"worker_processes\":2}",
                                           "{\"worker_processes\":7}"};
    static const int64_t percents[] = {0, 1, 20, 50, 99, 100};
    for (size_t s = 0; s < 3; s++) {
        fexec = api_open(settings[s]);
        for (size_t p = 0; p < 6; p++) {
            lithops_map_reduce_options options = LITHOPS_MAP_REDUCE_OPTIONS_INIT;
            options.spawn_reducer = percents[p];
            results_are(start(uneven, lithops_range(0, 200), order, &options), "200");
            options.chunksize = 9;
            results_are(start(uneven, lithops_range(0, 50), order, &options), "50");
            results_are(start(square, lithops_range(3, 4), sum, &options), "9");
        }
        lithops_executor_close(fexec);
    }
    fexec = shared;
    lithops_map_reduce_options options = LITHOPS_MAP_REDUCE_OPTIONS_INIT;
    for (int64_t wrong = -1; wrong <= 101; wrong += 102) {
        options.spawn_reducer = wrong;
        fails(lithops_map_reduce(fexec, square, lithops_range(0, 3), sum, &options, NULL, &err),
              LITHOPS_EUSAGE, "spawn_reducer");
    }
    options.spawn_reducer = LITHOPS_DEFAULT; /* as everywhere: the default */
    results_are(start(square, lithops_range(3, 4), sum, &options), "9");
}

static void test_thousand(void **state)
{
    (void)state;
    results_are(start(uneven, lithops_range(0, 1000), order, NULL), "1000");
    results_are(start(square, lithops_range(0, 100000), sum, NULL), "333328333350000");
}

static void test_types(void **state)
{
    (void)state;
    static const char mixed[] = "[1,null,2.5,\"text\",[1,[\"b\"]],{\"k\":{}},{\"$bytes\":\"AAE=\"},"
                                "true,\"\",[]]";
    results_are(start(echo, api_json(mixed), collect, NULL), mixed);
    static const char bytes[] = "[{\"$bytes\":\"AAE=\"},{\"$bytes\":\"\"}]";
    results_are(start(echo, api_json(bytes), collect_bytes, NULL), bytes);
    lithops_futures *futures = start(echo, api_json("[\"a\",1]"), collect_bytes, NULL);
    call_fails(lithops_futures_get(futures, 2), LITHOPS_ETYPE, "map call 1");
    lithops_futures_unref(futures);
    futures = start(echo, api_json("[1,\"a\",2]"), sum, NULL);
    call_fails(lithops_futures_get(futures, 3), LITHOPS_ETYPE, "map call 1");
    lithops_futures_unref(futures);
    futures = start(echo, api_json("[1,\"a\",2]"), more_careless_sum, NULL);
    call_fails(lithops_futures_get(futures, 3), LITHOPS_ETYPE, "map call 1");
    lithops_futures_unref(futures);
}

static void test_empty(void **state)
{
    (void)state;
    lithops_futures *futures = start(square, lithops_value_list(), sum, NULL);
    assert_int_equal(lithops_futures_size(futures), 1);
    results_are(futures, "0");
    results_are(start(square, lithops_range(0, 0), collect, NULL), "[]");
}

static void test_extra_args(void **state)
{
    (void)state;
    lithops_map_reduce_options options = LITHOPS_MAP_REDUCE_OPTIONS_INIT;
    lithops_value *named = api_json("{\"base\":1000}"), *listed = api_json("[2000]");
    options.extra_args_reduce = named;
    results_are(start(square, lithops_range(0, 4), sum, &options), "1014");
    options.extra_args_reduce = listed;
    results_are(start(square, lithops_range(0, 4), sum, &options), "2014");
    lithops_value_free(named);
    lithops_value_free(listed);
}

static void expect_reducer_fails(const lithops_function *reduce, int64_t count, const char *text)
{
    lithops_futures *futures = start(odd_fails, lithops_range(0, count), reduce, NULL);
    call_fails(lithops_futures_get(futures, (size_t)count), LITHOPS_ECALL, text);
    lithops_wait_options options = within_limit;
    fails(lithops_wait(NULL, futures, &options, NULL, NULL, &err), LITHOPS_ECALL, "1 is odd");
    lithops_futures_unref(futures);
}

static void test_failing_map(void **state)
{
    (void)state;
    expect_reducer_fails(sum, 10, "map call 1: 1 is odd");
    expect_reducer_fails(careless_sum, 10, "map call 1: 1 is odd");
    expect_reducer_fails(more_careless_sum, 10, "map call 1: 1 is odd");
    expect_reducer_fails(collect, 1000, "map call 1: 1 is odd");
    results_are(start(odd_fails, lithops_range(0, 1), careless_sum, NULL), "0");
}

static void test_failing_reducer(void **state)
{
    (void)state;
    lithops_futures *futures = start(square, lithops_range(0, 10), fail_early, NULL);
    call_fails(lithops_futures_get(futures, 10), LITHOPS_ECALL, "I do not reduce 10");
    int64_t one;
    fails(lithops_get_result(NULL, futures, &within_limit, &err, "I", &one), LITHOPS_ECALL,
          "I do not reduce 10");
    succeeds(lithops_futures_int(futures, 3, &one, &err));
    assert_int_equal(one, 9);
    lithops_futures_unref(futures);
    futures = start(square, lithops_range(0, 10), crash_late, NULL);
    call_fails(lithops_futures_get(futures, 10), LITHOPS_ECRASH, "Abort");
    lithops_futures_unref(futures);
    results_are(start(square, lithops_range(0, 4), sum, NULL), "14");
}

static void test_cancelled(void **state)
{
    (void)state;
    lithops_futures *futures = start(uneven, lithops_range(0, 100000), sum, NULL);
    lithops_future *reducer = lithops_futures_get(futures, 100000);
    assert_true(lithops_future_cancel(reducer));
    call_fails(reducer, LITHOPS_ECANCELED, "cancel");
    lithops_futures_cancel(futures);
    lithops_wait_options options = within_limit;
    options.throw_except = false;
    succeeds(lithops_wait(NULL, futures, &options, NULL, NULL, &err));
    lithops_futures_unref(futures);
    /* one map call cancelled: the reducer says so */
    futures = start(uneven, lithops_range(0, 10000), sum, NULL);
    lithops_future *last = lithops_futures_get(futures, 9999);
    if (lithops_future_cancel(last)) {
        succeeds(lithops_future_wait(last, LIMIT_MS, &err));
        if (lithops_future_state(last) == LITHOPS_CANCELED)
            call_fails(lithops_futures_get(futures, 10000), LITHOPS_ECANCELED, "map call 9999");
    }
    lithops_future_unref(last);
    lithops_futures_unref(futures);
}

/* ---- objects --------------------------------------------------------------------------------- */

LITHOPS_FUNCTION(count_lines)
{
    lithops_stream *chunk = lithops_call_object(call);
    return chunk ? lithops_return_int(call, lithops_stream_skip_lines(chunk, INT64_MAX))
                 : LITHOPS_EARG;
}

LITHOPS_FUNCTION(id_and_sum)
{
    int64_t total = 0, x;
    while (lithops_call_next_result(call, "I", &x) > 0)
        total += x;
    return lithops_return(call, "[I,I,I]", lithops_call_id(call), lithops_call_result_count(call),
                          total);
}

static void test_by_key(void **state)
{
    (void)state;
    const char *one = api_write_file("one.txt", "1\n2\n3\n4\n5\n6\n", 12);
    const char *none = api_write_file("none.txt", "", 0);
    const char *two = api_write_file("two.txt", "1\n2", 3);
    lithops_map_reduce_options options = LITHOPS_MAP_REDUCE_OPTIONS_INIT;
    options.obj_chunk_size = 5;
    results_are(start(count_lines, lithops_pack("[s,s,s]", one, none, two), sum, &options), "8");
    options.obj_reduce_by_key = true;
    static const char expected[] = "[[0,3,6],[1,1,0],[2,1,2]]";
    for (int i = 0; i < 30; i++) {
        options.spawn_reducer = i % 3 * 50;
        lithops_futures *futures =
            start(count_lines, lithops_pack("[s,s,s]", one, none, two), id_and_sum, &options);
        assert_int_equal(lithops_futures_size(futures), 8);
        results_are(futures, expected);
    }
    results_are(start(count_lines, lithops_pack("[s]", two), id_and_sum, &options), "[[0,1,2]]");
    options.obj_chunk_size = LITHOPS_DEFAULT;
    fails(lithops_map_reduce(fexec, square, lithops_range(0, 3), sum, &options, NULL, &err),
          LITHOPS_EUSAGE, "lithops_objects()");
}

/* 100,000 copies of a letter; if the input names a pipe, of the letter read from it. */
LITHOPS_FUNCTION(many_of)
{
    static char text[100000];
    const char *word = lithops_value_get_string(lithops_call_input(call));
    if (!word)
        return LITHOPS_EARG;
    if (word[0] == '/') {
        FILE *pipe = fopen(word, "re");
        int letter = pipe ? fgetc(pipe) : EOF;
        if (pipe)
            fclose(pipe);
        memset(text, letter, sizeof text);
    } else {
        memset(text, word[0], sizeof text);
    }
    return lithops_return_bytes(call, text, sizeof text);
}

/* The letters, if each result consists of one letter. */
LITHOPS_FUNCTION(letters)
{
    char seen[16] = "";
    size_t count = 0;
    lithops_bytes bytes;
    int rc;
    while ((rc = lithops_call_next_bytes(call, &bytes)) > 0) {
        const char *text = bytes.ptr;
        for (size_t i = 1; i < bytes.len; i++)
            if (text[i] != text[0])
                return lithops_fail(call, "result %zu has more than one letter", count);
        seen[count++] = text[0];
    }
    return rc ? rc : lithops_return(call, "s", seen);
}

/* A map's result that the user releases stays until the reducer has read it. */
static void test_released_before_it_is_read(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s/pipe", folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    lithops_map_reduce_options options = LITHOPS_MAP_REDUCE_OPTIONS_INIT;
    options.spawn_reducer = 100;
    options.chunksize = 1;
    lithops_futures *futures =
        start(many_of, lithops_pack("[s,s,s,s]", "a", "b", "c", path), letters, &options);
    for (size_t i = 0; i < 3; i++) {
        lithops_future *future = lithops_futures_get(futures, i);
        succeeds(lithops_future_wait(future, LIMIT_MS, &err));
        lithops_future_release(future);
    }
    lithops_futures *others[8]; /* these would take its memory */
    for (size_t i = 0; i < 8; i++)
        others[i] = not_null(lithops_map(fexec, many_of, lithops_pack("[s]", "x"), NULL, &err));
    for (size_t i = 0; i < 8; i++)
        succeeds(lithops_wait(NULL, others[i], &within_limit, NULL, NULL, &err));
    int pipe = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(write(pipe, "d", 1), 1);
    close(pipe);
    result_is(lithops_futures_get(futures, 4), "\"abcd\"");
    for (size_t i = 0; i < 8; i++)
        lithops_futures_unref(others[i]);
    lithops_futures_unref(futures);
    unlink(path);
}

static void test_hot(void **state)
{
    (void)state;
    for (int64_t i = 0; i < 200; i++) {
        lithops_futures *futures = start(square, lithops_range(0, i), sum, NULL);
        int64_t result = -1;
        succeeds(lithops_get_result(NULL, futures, &within_limit, &err, "I", &result));
        assert_int_equal(result, (i - 1) * i * (2 * i - 1) / 6);
        lithops_futures_unref(futures);
        succeeds(lithops_clean(fexec, NULL, NULL, &err));
    }
}

int main(int argc, char **argv)
{
    api_init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_a_call_knows_what_it_is),
        cmocka_unit_test(test_spawn_reducer),
        cmocka_unit_test(test_thousand),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_extra_args),
        cmocka_unit_test(test_failing_map),
        cmocka_unit_test(test_failing_reducer),
        cmocka_unit_test(test_cancelled),
        cmocka_unit_test(test_by_key),
        cmocka_unit_test(test_hot),
        cmocka_unit_test(test_released_before_it_is_read),
    };
    return api_finish(cmocka_run_group_tests(tests, api_open_group, api_close_group));
}
