/* SPDX-License-Identifier: Apache-2.0 */
/* Conformance of compute backends: several executors, the ways to wait, and statistics and logs
 * afterwards. */
#include "compute_parts.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* ---- two executors --------------------------------------------------------------------------- */

static void *run_maps(void *opened)
{
    for (int i = 0; i < 10; i++) {
        lithops_error own = LITHOPS_ERROR_INIT;
        lithops_futures *futures =
            lithops_map(opened, suite_square, lithops_range(0, 500), NULL, &own);
        lithops_wait_options options = within_limit;
        int64_t result = -1;
        bool is_right = futures && lithops_wait(NULL, futures, &options, NULL, NULL, &own) == 0 &&
                        lithops_futures_int(futures, 499, &result, &own) == 0 &&
                        result == 499 * 499;
        lithops_futures_unref(futures);
        if (!is_right)
            return opened;
    }
    return NULL;
}

static void test_two_executors(void **state)
{
    (void)state;
    lithops_executor *other = suite_open(1, PROCESSES, 0);
    pthread_t threads[2];
    void *failed[2] = {NULL, NULL};
    assert_int_equal(pthread_create(&threads[0], NULL, run_maps, fexec), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, run_maps, other), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], &failed[i]);
    assert_null(failed[0]);
    assert_null(failed[1]);
    lithops_futures *first = suite_map(suite_square, lithops_range(2, 4));
    lithops_futures *second = not_null(lithops_map_futures(other, suite_square, first, NULL, &err));
    results_are(second, "[16,81]");
    lithops_futures_unref(first);
    lithops_executor_close(other);
}

/* ---- waiting --------------------------------------------------------------------------------- */

static void test_waits(void **state)
{
    (void)state;
    lithops_future *endless[1] = {suite_call(suite_pause, lithops_value_null())};
    lithops_futures *some = suite_map(suite_square, lithops_range(0, 9));
    lithops_futures *paused = not_null(lithops_futures_new(endless, 1));
    lithops_futures *all = not_null(lithops_futures_concat(paused, some));
    lithops_futures *done = NULL, *not_done = NULL;
    lithops_wait_options options = within_limit;
    options.return_when = LITHOPS_ANY;
    succeeds(lithops_wait(NULL, all, &options, &done, &not_done, &err));
    assert_true(lithops_futures_size(done) >= 1);
    lithops_futures_unref(done);
    lithops_futures_unref(not_done);
    options.return_when = 90;
    succeeds(lithops_wait(NULL, all, &options, NULL, NULL, &err));
    options.return_when = LITHOPS_ALL;
    options.timeout_ms = 50;
    fails(lithops_wait(NULL, all, &options, NULL, NULL, &err), LITHOPS_ETIMEDOUT, "");
    lithops_future_cancel(endless[0]);
    suite_settle(all);
    lithops_future_unref(endless[0]);
    lithops_futures_unref(paused);
    lithops_futures_unref(some);
    lithops_futures_unref(all);
}

static void test_as_completed(void **state)
{
    (void)state;
    enum { COUNT = 300 };
    lithops_futures *futures = suite_map(suite_square, lithops_range(0, COUNT));
    int64_t sum = 0, result;
    size_t seen = 0;
    lithops_future *future;
    while ((future = lithops_futures_as_completed(futures, LIMIT_MS)) != NULL) {
        succeeds(lithops_future_result(future, 0, &err, "I", &result));
        sum += result;
        seen++;
        lithops_future_unref(future);
    }
    assert_int_equal(seen, COUNT);
    assert_int_equal(sum, 8955050);
    lithops_futures_unref(futures);
}

static sem_t called;

static void note(lithops_future *future, void *user)
{
    int64_t result;
    if (lithops_future_result(future, 0, NULL, "I", &result) == 0)
        *(int64_t *)user += result;
    sem_post(&called);
}

static void test_callbacks(void **state)
{
    (void)state;
    enum { COUNT = 50 };
    lithops_future *futures[COUNT];
    int64_t sum = 0;
    struct timespec until;
    assert_int_equal(sem_init(&called, 0, 0), 0);
    for (int i = 0; i < COUNT; i++) {
        futures[i] = suite_call(suite_square, lithops_value_int(i));
        succeeds(lithops_future_on_done(futures[i], note, &sum, &err));
    }
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += LIMIT_MS / 1000;
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(sem_timedwait(&called, &until), 0);
    assert_int_equal(sum, 40425);
    for (int i = 0; i < COUNT; i++)
        lithops_future_unref(futures[i]);
}

/* ---- afterwards ------------------------------------------------------------------------------ */

LITHOPS_FUNCTION(talk)
{
    int id = (int)lithops_call_id(call);
    printf("out %d\n", id);
    fflush(stdout);
    fprintf(stderr, "err %d\n", id);
    return 0;
}

LITHOPS_FUNCTION(talk_much)
{
    for (int i = 0; i < 20000; i++)
        printf("line %d\n", i);
    return lithops_return_int(call, 1);
}

static void test_logs(void **state)
{
    (void)state;
    lithops_futures *futures = suite_map(talk, lithops_range(0, 40));
    suite_settle(futures);
    for (int i = 0; i < 40; i++) {
        char expected[64];
        snprintf(expected, sizeof expected, "out %d\nerr %d\n", i, i);
        lithops_future *future = lithops_futures_get(futures, (size_t)i);
        char *logs = lithops_future_logs(future);
        assert_non_null(logs);
        assert_string_equal(logs, expected);
        free(logs);
        lithops_future_unref(future);
    }
    lithops_futures_unref(futures);
    lithops_future *future = suite_call(talk_much, lithops_value_null());
    succeeds(lithops_future_wait(future, LIMIT_MS, &err));
    char *logs = lithops_future_logs(future);
    assert_non_null(logs);
    assert_int_equal(strlen(logs), 208890);
    free(logs);
    lithops_future_unref(future);
}

static void test_statistics(void **state)
{
    (void)state;
    static const char *const events[] = {"host_job_create_tstamp",  "host_submit_tstamp",
                                         "worker_start_tstamp",     "worker_func_start_tstamp",
                                         "worker_func_end_tstamp",  "worker_end_tstamp",
                                         "host_status_done_tstamp", "host_result_done_tstamp"};
    lithops_futures *futures = suite_map(suite_square, lithops_range(0, 100));
    suite_settle(futures);
    for (size_t i = 0; i < 100; i++) {
        lithops_future *future = lithops_futures_get(futures, i);
        int64_t result;
        succeeds(lithops_future_result(future, 0, &err, "I", &result));
        lithops_value *stats = not_null(lithops_future_stats(future));
        const char *host = lithops_value_get_string(lithops_value_get(stats, "worker_host"));
        assert_true(host && host[0]);
        double last = 0;
        for (size_t e = 0; e < sizeof events / sizeof *events; e++) {
            const lithops_value *value = lithops_value_get(stats, events[e]);
            if (lithops_value_type(value) != LITHOPS_DOUBLE ||
                lithops_value_get_double(value) < last)
                fail_msg("call %zu: %s is %f, after %f", i, events[e],
                         lithops_value_get_double(value), last);
            last = lithops_value_get_double(value);
        }
        lithops_value_free(stats);
        lithops_future_unref(future);
    }
    lithops_futures_unref(futures);
}

static void test_summary_and_plot(void **state)
{
    (void)state;
    lithops_futures *futures = suite_map(suite_square, lithops_range(0, 100));
    suite_settle(futures);
    char *csv = NULL, path[100], file[140];
    succeeds(lithops_job_summary(fexec, 0, NULL, &csv, &err));
    assert_non_null(strstr(csv, "suite_square"));
    free(csv);
    snprintf(path, sizeof path, "%s/plot", folder);
    succeeds(lithops_plot(fexec, futures, path, NULL, &err));
    snprintf(file, sizeof file, "%s_timeline.png", path);
    assert_int_equal(access(file, R_OK), 0);
    lithops_futures_unref(futures);
}

static void test_clean(void **state)
{
    (void)state;
    lithops_futures *futures = suite_map(suite_echo, api_json("[\"a text of some length\",2]"));
    suite_settle(futures);
    succeeds(lithops_clean(fexec, NULL, NULL, &err));
    results_are(futures, "[\"a text of some length\",2]"); /* futures that are held stay valid */
    suite_works(fexec);
}

int compute_views_run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_executors),
        cmocka_unit_test(test_waits),
        cmocka_unit_test(test_as_completed),
        cmocka_unit_test(test_callbacks),
        cmocka_unit_test(test_logs),
        cmocka_unit_test(test_statistics),
        cmocka_unit_test(test_summary_and_plot),
        cmocka_unit_test(test_clean),
    };
    return cmocka_run_group_tests_name(suite->backend, tests, suite_open_group, api_close_group);
}
