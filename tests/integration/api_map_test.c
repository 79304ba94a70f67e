/* SPDX-License-Identifier: Apache-2.0 */
/* map over every kind of list, with every chunk size, and over futures. */
#include "api.h"

#include <stdio.h>
#include <unistd.h>

LITHOPS_FUNCTION(echo)
{
    return lithops_return_value(call, lithops_value_copy(lithops_call_input(call)));
}

LITHOPS_FUNCTION(increment)
{
    int64_t x;
    if (lithops_args(call, "I", "x", &x) != 0)
        return LITHOPS_EARG;
    return lithops_return_int(call, x + 1);
}

LITHOPS_FUNCTION(scaled)
{
    int64_t x, factor = 1, offset = 0;
    if (lithops_args(call, "I|II", "x", &x, "factor", &factor, "offset", &offset) != 0)
        return LITHOPS_EARG;
    return lithops_return_int(call, x * factor + offset);
}

LITHOPS_FUNCTION(odd_fails)
{
    int64_t x = lithops_call_int(call);
    return x % 2 ? lithops_fail(call, "%d is odd", (int)x) : lithops_return_int(call, x);
}

LITHOPS_FUNCTION(id_and_process)
{
    return lithops_return(call, "[II]", lithops_call_id(call), (int64_t)getpid());
}

static lithops_futures *map(const lithops_function *function, lithops_value *list)
{
    return not_null(lithops_map(fexec, function, list, NULL, &err));
}

/* ---- lists ----------------------------------------------------------------------------------- */

static void test_list_kinds(void **state)
{
    (void)state;
    const int64_t ints[] = {INT64_MIN, -1, 0, INT64_MAX};
    const double doubles[] = {-0.5, 1e300, 3};
    char first[] = "a", second[] = "", third[] = "\xc3\xa9";
    char *const strings[] = {first, second, third, NULL};
    results_are(map(echo, lithops_range(-2, 3)), "[-2,-1,0,1,2]");
    results_are(map(echo, lithops_range(INT64_MAX - 1, INT64_MAX)), "[9223372036854775806]");
    results_are(map(echo, lithops_ints(ints, 4)),
                "[-9223372036854775808,-1,0,9223372036854775807]");
    results_are(map(echo, lithops_doubles(doubles, 3)), "[-0.5,1e300,3.0]");
    results_are(map(echo, lithops_items("abcdef", 3, 2)),
                "[{\"$bytes\":\"YWI=\"},{\"$bytes\":\"Y2Q=\"},{\"$bytes\":\"ZWY=\"}]");
    results_are(map(echo, lithops_items("x", 2, 0)), "[{\"$bytes\":\"\"},{\"$bytes\":\"\"}]");
    results_are(map(echo, lithops_strings(strings)), "[\"a\",\"\",\"\xc3\xa9\"]");
    static const char mixed[] = "[1,\"b\",null,true,2.5,[1,[2]],{\"k\":{}},{\"$bytes\":\"AA==\"}]";
    results_are(map(echo, api_json(mixed)), mixed);
}

static void expect_empty(lithops_futures *futures)
{
    assert_int_equal(lithops_futures_size(futures), 0);
    assert_int_equal(lithops_futures_done(futures), 0);
    assert_null(lithops_futures_get(futures, 0));
    assert_null(lithops_futures_as_completed(futures, LIMIT_MS));
    lithops_futures *done = NULL, *not_done = NULL;
    succeeds(lithops_wait(NULL, futures, &within_limit, &done, &not_done, &err));
    assert_int_equal(lithops_futures_size(done) + lithops_futures_size(not_done), 0);
    lithops_futures_unref(done);
    lithops_futures_unref(not_done);
    results_are(futures, "[]");
}

static void test_empty_lists(void **state)
{
    (void)state;
    char *const no_strings[] = {NULL};
    expect_empty(map(echo, lithops_value_list()));
    expect_empty(map(echo, lithops_range(5, 5)));
    expect_empty(map(echo, lithops_ints(NULL, 0)));
    expect_empty(map(echo, lithops_doubles(NULL, 0)));
    expect_empty(map(echo, lithops_items(NULL, 0, 8)));
    expect_empty(map(echo, lithops_strings(no_strings)));
}

/* The list is borrowed for the call only. */
static void test_inputs_are_copied(void **state)
{
    (void)state;
    enum { N = 1000 };
    int64_t *ints = not_null(malloc(N * sizeof *ints));
    for (int64_t i = 0; i < N; i++)
        ints[i] = i;
    lithops_futures *futures = map(increment, lithops_ints(ints, N));
    memset(ints, 0xff, N * sizeof *ints);
    free(ints);
    for (int round = 0; round < 2; round++) {
        succeeds(lithops_wait(NULL, futures, &within_limit, NULL, NULL, &err));
        for (size_t i = 0; i < N; i++) {
            int64_t result = 0;
            succeeds(lithops_futures_int(futures, i, &result, &err));
            assert_int_equal(result, i + 1);
        }
    }
    lithops_futures_unref(futures);
}

static void test_million(void **state)
{
    (void)state;
    enum { N = 1000000 };
    lithops_futures *futures = map(increment, lithops_range(0, N));
    assert_int_equal(lithops_futures_size(futures), N);
    lithops_value *list = NULL;
    succeeds(lithops_get_result_value(fexec, futures, &within_limit, &list, &err));
    assert_int_equal(lithops_value_size(list), N);
    for (size_t i = 0; i < N; i++)
        if (lithops_value_get_int(lithops_value_at(list, i)) != (int64_t)i + 1)
            fail_msg("result %zu", i);
    lithops_value_free(list);
    assert_int_equal(lithops_futures_done(futures), N);
    assert_int_equal(lithops_futures_state(futures, N - 1), LITHOPS_SUCCESS);
    int64_t result = 0;
    fails(lithops_futures_int(futures, N, &result, &err), LITHOPS_ENOTFOUND, "1000000");
    lithops_futures_unref(futures);
    succeeds(lithops_clean(fexec, NULL, NULL, &err));
}

/* ---- options --------------------------------------------------------------------------------- */

static void test_chunksizes(void **state)
{
    (void)state;
    static const int64_t sizes[] = {1, 2, 7, 99, 100, 101, 1 << 20, INT64_MAX};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        lithops_map_options options = LITHOPS_MAP_OPTIONS_INIT;
        options.chunksize = sizes[s];
        lithops_futures *futures =
            not_null(lithops_map(fexec, id_and_process, lithops_range(0, 100), &options, &err));
        lithops_value *list;
        succeeds(lithops_get_result_value(fexec, futures, &within_limit, &list, &err));
        int64_t before = 0;
        for (int64_t i = 0; i < 100; i++) {
            int64_t id, pid;
            succeeds(lithops_unpack(lithops_value_at(list, (size_t)i), &err, "[II]", &id, &pid));
            assert_int_equal(id, i);
            /* the calls of a chunk run in one process */
            if (i % (sizes[s] < 100 ? sizes[s] : 100) != 0)
                assert_int_equal(pid, before);
            before = pid;
        }
        lithops_value_free(list);
        lithops_futures_unref(futures);
    }
}

static void expect_scaled(const char *extra, const char *results)
{
    lithops_map_options options = LITHOPS_MAP_OPTIONS_INIT;
    lithops_value *extra_args = api_json(extra);
    options.extra_args = extra_args;
    lithops_futures *futures = lithops_map(fexec, scaled, lithops_range(1, 4), &options, &err);
    lithops_value_free(extra_args);
    results_are(futures, results);
}

static void test_extra_args(void **state)
{
    (void)state;
    expect_scaled("[10]", "[10,20,30]");
    expect_scaled("[10,-1]", "[9,19,29]");
    expect_scaled("{\"offset\":100}", "[101,102,103]");
    expect_scaled("{\"offset\":1,\"factor\":2}", "[3,5,7]");
    expect_scaled("[]", "[1,2,3]");
}

static void test_failures_in_place(void **state)
{
    (void)state;
    lithops_futures *futures = map(odd_fails, lithops_range(0, 6));
    lithops_wait_options options = within_limit;
    options.throw_except = false;
    lithops_value *list;
    succeeds(lithops_get_result_value(fexec, futures, &options, &list, &err));
    char *text = api_to_json(list);
    assert_string_equal(text, "[0, null, 2, null, 4, null]");
    free(text);
    lithops_value_free(list);
    fails(lithops_get_result_value(fexec, futures, &within_limit, &list, &err), LITHOPS_ECALL,
          "1 is odd");
    char key[64], origin[80];
    lithops_future *first = lithops_futures_get(futures, 1);
    snprintf(origin, sizeof origin, "call %s", lithops_future_key(first, key, sizeof key));
    assert_string_equal(err.origin, origin);
    lithops_future_unref(first);
    for (size_t i = 0; i < 6; i++) {
        int64_t result;
        assert_int_equal(lithops_futures_state(futures, i),
                         i % 2 ? LITHOPS_FAILED : LITHOPS_SUCCESS);
        assert_int_equal(lithops_futures_int(futures, i, &result, NULL), i % 2 ? LITHOPS_ECALL : 0);
    }
    lithops_futures_unref(futures);
}

/* ---- maps over futures ----------------------------------------------------------------------- */

static lithops_futures *then(const lithops_function *function, lithops_futures *inputs)
{
    return not_null(lithops_map_futures(fexec, function, inputs, NULL, &err));
}

static void test_chain(void **state)
{
    (void)state;
    lithops_futures *link = map(increment, lithops_range(0, 50)), *next;
    for (int depth = 0; depth < 5; depth++, link = next) {
        next = then(increment, link);
        lithops_futures_unref(link);
    }
    lithops_value *list;
    succeeds(lithops_get_result_value(fexec, link, &within_limit, &list, &err));
    assert_int_equal(lithops_value_size(list), 50);
    for (size_t i = 0; i < 50; i++)
        assert_int_equal(lithops_value_get_int(lithops_value_at(list, i)), i + 6);
    lithops_value_free(list);
    lithops_futures_unref(link);
}

static void test_chain_types(void **state)
{
    (void)state;
    static const char mixed[] = "[[1],\"text\",null,{\"k\":[2.5]},{\"$bytes\":\"AAE=\"},true,\"\"]";
    lithops_futures *first = map(echo, api_json(mixed));
    lithops_futures *second = then(echo, first);
    results_are(second, mixed);
    results_are(then(echo, first), mixed); /* inputs that are already done */
    lithops_futures_unref(first);
    lithops_map_options options = LITHOPS_MAP_OPTIONS_INIT;
    lithops_value *extra = api_json("{\"factor\":3}");
    options.extra_args = extra;
    first = map(increment, lithops_range(0, 3));
    results_are(lithops_map_futures(fexec, scaled, first, &options, &err), "[3,6,9]");
    lithops_value_free(extra);
    lithops_futures_unref(first);
    first = map(echo, lithops_value_list());
    expect_empty(then(echo, first));
    lithops_futures_unref(first);
}

static void test_chain_failures(void **state)
{
    (void)state;
    lithops_futures *first = map(odd_fails, lithops_range(0, 4));
    lithops_futures *second = then(increment, first), *third = then(increment, second);
    lithops_futures *all = lithops_futures_concat(second, third);
    lithops_wait_options options = within_limit;
    options.throw_except = false;
    lithops_value *list;
    succeeds(lithops_get_result_value(fexec, all, &options, &list, &err));
    char *text = api_to_json(list);
    assert_string_equal(text, "[1, null, 3, null, 2, null, 4, null]");
    free(text);
    lithops_value_free(list);
    call_fails(lithops_futures_get(second, 1), LITHOPS_ECALL, "1 is odd");
    call_fails(lithops_futures_get(third, 3), LITHOPS_ECALL, "3 is odd");
    lithops_futures_unref(all);
    lithops_futures_unref(first);
    lithops_futures_unref(second);
    lithops_futures_unref(third);
}

LITHOPS_FUNCTION(wait_for_file)
{
    const char *path;
    if (lithops_args(call, "s", "path", &path) != 0)
        return LITHOPS_EARG;
    for (int i = 0; access(path, F_OK) != 0; i++) {
        if (i > 600000)
            return lithops_fail(call, "'%s' does not come", path);
        usleep(100);
    }
    return lithops_return_int(call, 1);
}

/* A chain that is cancelled while its input runs; the input is not touched. */
static void test_cancel_chain(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s/go-chain", folder);
    lithops_futures *first = map(wait_for_file, lithops_pack("[s]", path));
    lithops_futures *second = then(increment, first), *third = then(increment, second);
    assert_int_equal(lithops_futures_state(second, 0), LITHOPS_PENDING);
    assert_int_equal(lithops_futures_cancel(second), 1);
    assert_int_equal(lithops_futures_cancel(second), 0);
    call_fails(lithops_futures_get(third, 0), LITHOPS_ECANCELED, "cancel");
    assert_int_equal(lithops_futures_state(second, 0), LITHOPS_CANCELED);
    api_write_file("go-chain", "", 0);
    results_are(first, "[1]");
    lithops_futures_unref(second);
    lithops_futures_unref(third);
}

static void test_other_executor(void **state)
{
    (void)state;
    lithops_executor *other = api_open("{\"worker_processes\":1}");
    lithops_futures *first =
        not_null(lithops_map(other, increment, lithops_range(0, 20), NULL, &err));
    lithops_futures *here = map(increment, lithops_range(100, 102));
    lithops_futures *both = lithops_futures_concat(first, here);
    lithops_futures *second = then(increment, both);
    lithops_value *list;
    succeeds(lithops_get_result_value(NULL, second, &within_limit, &list, &err));
    assert_int_equal(lithops_value_size(list), 22);
    assert_int_equal(lithops_value_get_int(lithops_value_at(list, 19)), 21);
    assert_int_equal(lithops_value_get_int(lithops_value_at(list, 21)), 103);
    lithops_value_free(list);
    lithops_futures_unref(second);
    /* done futures of a closed executor stay readable, so they are valid inputs */
    lithops_executor_close(other);
    second = then(increment, first);
    succeeds(lithops_get_result_value(NULL, second, &within_limit, &list, &err));
    assert_int_equal(lithops_value_get_int(lithops_value_at(list, 0)), 2);
    lithops_value_free(list);
    lithops_futures_unref(second);
    lithops_futures_unref(first);
    lithops_futures_unref(here);
    lithops_futures_unref(both);
}

/* The executor of the inputs is closed while they run: the chain ends with an error. */
static void test_inputs_closed(void **state)
{
    (void)state;
    for (int running = 0; running < 2; running++) {
        lithops_executor *other = api_open("{\"worker_processes\":1}");
        lithops_futures *first = not_null(
            lithops_map(other, wait_for_file, lithops_pack("[s,s]", "/nonexistent", "/nonexistent"),
                        NULL, &err));
        lithops_futures *second = then(increment, first);
        while (running && lithops_futures_state(first, 0) != LITHOPS_RUNNING)
            usleep(100);
        lithops_executor_close(other);
        call_fails(lithops_futures_get(second, 0), LITHOPS_ECANCELED, "");
        call_fails(lithops_futures_get(second, 1), LITHOPS_ECANCELED, "");
        lithops_futures_unref(first);
        lithops_futures_unref(second);
    }
}

int main(int argc, char **argv)
{
    api_init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list_kinds),        cmocka_unit_test(test_empty_lists),
        cmocka_unit_test(test_inputs_are_copied), cmocka_unit_test(test_million),
        cmocka_unit_test(test_chunksizes),        cmocka_unit_test(test_extra_args),
        cmocka_unit_test(test_failures_in_place), cmocka_unit_test(test_chain),
        cmocka_unit_test(test_chain_types),       cmocka_unit_test(test_chain_failures),
        cmocka_unit_test(test_cancel_chain),      cmocka_unit_test(test_other_executor),
        cmocka_unit_test(test_inputs_closed),
    };
    return api_finish(cmocka_run_group_tests(tests, api_open_group, api_close_group));
}
