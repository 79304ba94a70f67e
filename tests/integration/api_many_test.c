/* SPDX-License-Identifier: Apache-2.0 */
/* Many jobs, functions, executors and threads, at once and in a row; nothing is left behind. */
#include "api.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

LITHOPS_FUNCTION(increment)
{
    return lithops_return_int(call, lithops_call_int(call) + 1);
}

LITHOPS_FUNCTION(echo)
{
    return lithops_return_value(call, lithops_value_copy(lithops_call_input(call)));
}

LITHOPS_FUNCTION(sum)
{
    int64_t total = 0, x;
    while (lithops_call_next_result(call, "I", &x) > 0)
        total += x;
    return lithops_return_int(call, total);
}

LITHOPS_FUNCTION(crash)
{
    (void)call;
    abort();
}

LITHOPS_FUNCTION(await_file)
{
    while (access(lithops_value_get_string(lithops_call_input(call)), F_OK) != 0)
        usleep(1000);
    return 0;
}

static void test_open_jobs(void **state)
{
    (void)state;
    enum { N = 1000 };
    static lithops_futures *maps[N];
    static lithops_future *calls[N];
    for (int64_t i = 0; i < N; i++) {
        maps[i] = not_null(lithops_map(fexec, increment, lithops_range(i, i + 3), NULL, &err));
        calls[i] =
            not_null(lithops_call_async(fexec, echo, lithops_pack("{s:I}", "i", i), NULL, &err));
    }
    for (int64_t i = N - 1; i >= 0; i--) {
        int64_t a, b, c;
        succeeds(lithops_get_result(NULL, maps[i], &within_limit, &err, "[III]", &a, &b, &c));
        assert_true(a == i + 1 && b == i + 2 && c == i + 3);
        succeeds(lithops_future_result(calls[i], LIMIT_MS, &err, "{s:I}", "i", &a));
        assert_int_equal(a, i);
    }
    lithops_value *all;
    succeeds(lithops_get_result_value(fexec, NULL, &within_limit, &all, &err));
    assert_int_equal(lithops_value_size(all), 0); /* all were read */
    lithops_value_free(all);
    for (int i = 0; i < N; i++) {
        lithops_futures_unref(maps[i]);
        lithops_future_unref(calls[i]);
    }
    succeeds(lithops_clean(fexec, NULL, NULL, &err));
}

/* wait and get_result without futures, over 2,000 jobs. */
static void test_wait_for_all_jobs(void **state)
{
    (void)state;
    enum { N = 2000 };
    static lithops_futures *held[N];
    for (int64_t i = 0; i < N; i++)
        held[i] = lithops_map(fexec, increment, lithops_range(i, i + 1), NULL, &err);
    succeeds(lithops_wait(fexec, NULL, &within_limit, NULL, NULL, &err));
    lithops_value *all;
    succeeds(lithops_get_result_value(fexec, NULL, &within_limit, &all, &err));
    assert_int_equal(lithops_value_size(all), N);
    for (size_t i = 0; i < N; i++)
        assert_int_equal(lithops_value_get_int(lithops_value_at(all, i)), i + 1);
    lithops_value_free(all);
    for (size_t i = 0; i < N; i++)
        lithops_futures_unref(held[i]);
    succeeds(lithops_clean(fexec, NULL, NULL, &err));
}

static void use_once(lithops_executor *own, int way)
{
    int64_t x;
    switch (way % 5) {
    case 0: /* opened and closed */
        break;
    case 1:
        result_is(lithops_call_async(own, increment, lithops_value_int(41), NULL, &err), "42");
        break;
    case 2: /* closed while calls wait and run */
        lithops_futures_unref(lithops_map(own, increment, lithops_range(0, 1000), NULL, &err));
        break;
    default:
        succeeds(lithops_map_reduce(own, increment, lithops_range(0, 10), sum, NULL, NULL, &err));
        succeeds(lithops_get_result(own, NULL, &within_limit, &err, "I", &x));
        break;
    }
}

static void test_executors_in_a_row(void **state)
{
    (void)state;
    lithops_executor_close(api_open("{\"worker_processes\":2}"));
    size_t descriptors = api_open_descriptors(), children = api_children();
    size_t resident = 0, mapped = 0;
    int rounds = api_times(1000);
    for (int i = 0; i < rounds; i++) {
        lithops_executor *own = api_open("{\"worker_processes\":2}");
        use_once(own, i);
        lithops_executor_close(own);
        assert_int_equal(api_open_descriptors(), descriptors);
        assert_int_equal(api_children(), children);
        if (i == rounds / 10) {
            resident = api_mapped_kb("VmRSS");
            mapped = api_mapped_kb("VmSize");
        }
    }
    if (rounds == 1000) {
        assert_in_range(api_mapped_kb("VmRSS"), 0, resident + 2000);
        assert_in_range(api_mapped_kb("VmSize"), 0, mapped + 20000);
    }
}

static void test_executors_at_once(void **state)
{
    (void)state;
    enum { N = 30 };
    lithops_executor *own[N];
    lithops_futures *all = NULL;
    size_t descriptors = api_open_descriptors();
    for (int i = 0; i < N; i++) {
        own[i] = api_open("{\"worker_processes\":1}");
        lithops_futures *map =
            not_null(lithops_map(own[i], increment, lithops_range(0, 10), NULL, &err));
        lithops_futures *both = lithops_futures_concat(all, map);
        lithops_futures_unref(all);
        lithops_futures_unref(map);
        all = both;
    }
    succeeds(lithops_wait(NULL, all, &within_limit, NULL, NULL, &err));
    for (int i = 0; i < N; i++)
        lithops_executor_close(own[(i * 7) % N]);
    assert_int_equal(lithops_futures_done(all), N * 10);
    lithops_futures_unref(all);
    assert_int_equal(api_open_descriptors(), descriptors);
}

/* A sequence may name calls whose futures were dropped before they were done. Their job stays as
 * it is as long as the sequence, and its memory goes with it. */
static void test_dropped_calls_in_a_sequence(void **state)
{
    (void)state;
    lithops_executor *own = api_open("{\"worker_processes\":1}");
    char path[100], mapping[100];
    snprintf(path, sizeof path, "%s/begin", folder);
    snprintf(mapping, sizeof mapping, "memfd:lithops-%s", lithops_executor_id(own));
    lithops_future *first =
        not_null(lithops_call_async(own, await_file, lithops_value_string(path), NULL, &err));
    for (int i = 0; i < 3000; i++)
        lithops_future_unref(
            not_null(lithops_call_async(own, increment, lithops_value_int(i), NULL, &err)));

    lithops_wait_options look = LITHOPS_WAIT_OPTIONS_INIT;
    look.return_when = LITHOPS_ALWAYS;
    lithops_futures *done, *not_done;
    succeeds(lithops_wait(own, NULL, &look, &done, &not_done, &err));
    assert_int_equal(lithops_futures_size(done), 0);
    assert_int_equal(lithops_futures_size(not_done), 3001);
    lithops_future *dropped = not_null(lithops_futures_get(not_done, 100));
    api_write_file("begin", "", 0);
    succeeds(lithops_wait(NULL, not_done, &within_limit, NULL, NULL, &err));
    for (int i = 0; i < 3; i++) /* whenever a job starts, those nobody names are looked at */
        lithops_futures_unref(not_null(lithops_map(own, echo, lithops_range(0, 1), NULL, &err)));
    assert_int_equal(lithops_future_state(dropped), LITHOPS_SUCCESS);
    assert_int_equal(lithops_futures_done(not_done), 3001);

    lithops_future_unref(dropped);
    lithops_futures_unref(done);
    lithops_futures_unref(not_done);
    lithops_future_unref(first);
    lithops_executor_close(own);
    FILE *maps = not_null(fopen("/proc/self/maps", "re"));
    char line[512];
    while (fgets(line, sizeof line, maps))
        assert_null(strstr(line, mapping));
    fclose(maps);
}

static void *own_executor(void *user)
{
    int *failed = user;
    for (int i = 0; i < api_times(100); i++) {
        lithops_error own = LITHOPS_ERROR_INIT;
        lithops_executor *mine = lithops_executor_open(NULL, &own);
        int64_t x = 0;
        lithops_future *future =
            lithops_call_async(mine, increment, lithops_value_int(i), NULL, &own);
        if (lithops_future_result(future, LIMIT_MS, &own, "I", &x) != 0 || x != i + 1)
            ++*failed;
        if (i % 3)
            lithops_future_unref(future);
        lithops_executor_close(mine);
        if (i % 3 == 0)
            lithops_future_unref(future); /* the executor's memory goes with the last future */
    }
    return NULL;
}

static void test_executors_in_threads(void **state)
{
    (void)state;
    pthread_t threads[3];
    int failed[3] = {0, 0, 0};
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, own_executor, &failed[i]), 0);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(failed[i], 0);
    }
}

/* Memory of cleaned jobs is reused, in the client and in the shared file. */
static void test_jobs_in_a_row(void **state)
{
    (void)state;
    lithops_executor *small = api_open("{\"worker_processes\":2,\"shared_memory\":64}");
    char *data = not_null(calloc(1, 100000));
    size_t resident = 0;
    for (int i = 0; i < api_times(3000); i++) {
        lithops_value *list = lithops_value_list();
        for (int k = 0; k < 10; k++)
            lithops_value_append(list, lithops_value_bytes(data, (size_t)(i * 7919 % 100000)));
        lithops_futures *futures = not_null(lithops_map(small, echo, list, NULL, &err));
        lithops_future *call =
            not_null(lithops_call_async(small, echo, lithops_value_bytes(data, 30000), NULL, &err));
        succeeds(lithops_wait(NULL, futures, &within_limit, NULL, NULL, &err));
        succeeds(lithops_future_wait(call, LIMIT_MS, &err));
        lithops_future_release(call);
        lithops_futures_unref(futures);
        succeeds(lithops_clean(small, NULL, NULL, &err));
        if (i == api_times(3000) / 3)
            resident = api_mapped_kb("VmRSS");
    }
    if (api_times(10) == 10)
        assert_in_range(api_mapped_kb("VmRSS"), 0, resident + 10000);
    free(data);
    lithops_executor_close(small);
}

/* Crash after crash: each call gets its error, each process a successor. */
static void test_crashes_in_a_row(void **state)
{
    (void)state;
    lithops_executor *own = api_open("{\"worker_processes\":2}");
    int count = api_times(200);
    size_t descriptors = api_open_descriptors();
    lithops_futures *futures =
        not_null(lithops_map(own, crash, lithops_range(0, count), NULL, &err));
    lithops_wait_options options = within_limit;
    options.throw_except = false;
    succeeds(lithops_wait(NULL, futures, &options, NULL, NULL, &err));
    for (size_t i = 0; i < (size_t)count; i++)
        call_fails(lithops_futures_get(futures, i), LITHOPS_ECRASH, "Aborted");
    lithops_futures_unref(futures);
    result_is(lithops_call_async(own, increment, lithops_value_int(1), NULL, &err), "2");
    /* One per process and log; starting a successor takes some more. */
    for (double end = api_now() + 10; api_open_descriptors() > descriptors + 4;) {
        assert_true(api_now() < end);
        sched_yield();
    }
    lithops_executor_close(own);
}

/* Too few descriptors: an error that says so, and all is well once there are some. */
static void test_no_descriptors(void **state)
{
    (void)state;
    struct rlimit old, few;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    few = old;
    few.rlim_cur = api_open_descriptors() + 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    lithops_value *config = lithops_value_map();
    options.config = config;
    memset(&err, 0, sizeof err);
    lithops_executor *own = lithops_executor_open(&options, &err);
    int64_t x = 0;
    int rc = err.code;
    if (own) { /* enough to open, too few to start a process, which the call's error says */
        lithops_future *future =
            not_null(lithops_call_async(own, increment, lithops_value_int(1), NULL, &err));
        rc = lithops_future_result(future, LIMIT_MS, &err, "I", &x);
        lithops_future_unref(future);
        lithops_executor_close(own);
    }
    setrlimit(RLIMIT_NOFILE, &old);
    lithops_value_free(config);
    if (rc != LITHOPS_ENOSPACE)
        fail_msg("%d %s", rc, err.message);
    own = api_open("{\"worker_processes\":1}");
    result_is(lithops_call_async(own, increment, lithops_value_int(1), NULL, &err), "2");
    lithops_executor_close(own);
}

int main(int argc, char **argv)
{
    api_init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open_jobs),
        cmocka_unit_test(test_wait_for_all_jobs),
        cmocka_unit_test(test_executors_in_a_row),
        cmocka_unit_test(test_executors_at_once),
        cmocka_unit_test(test_dropped_calls_in_a_sequence),
        cmocka_unit_test(test_executors_in_threads),
        cmocka_unit_test(test_jobs_in_a_row),
        cmocka_unit_test(test_crashes_in_a_row),
        cmocka_unit_test(test_no_descriptors),
    };
    return api_finish(cmocka_run_group_tests(tests, api_open_group, api_close_group));
}
