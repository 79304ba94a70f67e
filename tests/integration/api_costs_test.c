/* SPDX-License-Identifier: Apache-2.0 */
/* What calls cost, and limits of that, over the backend process, whose workers have prices here. */
#include "api.h"
#include "core/executor_ref.h"
#include <lithops/plugin/runtime.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

LITHOPS_FUNCTION(nap)
{
    int64_t ms = lithops_value_get_int(lithops_call_input(call));
    usleep((useconds_t)(ms * 1000));
    return lithops_return_int(call, ms);
}

/* `limits` is JSON for the section lithops, `keys` for process, without its braces. */
static lithops_executor *open_priced(const char *limits, const char *keys)
{
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    char all_limits[512], all_keys[512];
    snprintf(all_limits, sizeof all_limits, "{%s%s\"price_file\": \"%s/prices\"}", limits,
             *limits ? ", " : "", folder);
    snprintf(all_keys, sizeof all_keys, "{\"worker_processes\": 1, %s}", keys);
    lithops_value *config = api_config(all_limits), *settings = api_json(all_keys);
    options.config = config;
    options.settings = settings;
    options.backend = "process";
    lithops_executor *opened = lithops_executor_open(&options, &err);
    lithops_value_free(settings);
    lithops_value_free(config);
    return opened;
}

static void write_prices(const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/prices", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int set_up(void **state)
{
    (void)state;
    char text[512];
    lithops_value *config = api_config("{}");
    const char *storage = lithops_value_get_string(
        lithops_value_get(lithops_value_get(config, "lithops"), "storage"));
    snprintf(
        text, sizeof text,
        "{\"by_hour\": {\"hour\": 3600, \"million_requests\": 1000000, \"rounding_ms\": 3600000},"
        " \"by_start\": {\"million_requests\": 1e6, \"source\": \"a test\","
        " \"date\": \"2026-11-30\"},"
        " \"%s\": {\"thousand_reads\": 1e-6, \"thousand_writes\": 1e-3}}",
        storage ? storage : "localhost");
    lithops_value_free(config);
    write_prices(text);
    return 0;
}

static lithops_value *naps(int count, int ms)
{
    lithops_value *list = lithops_value_list();
    for (int i = 0; i < count; i++)
        assert_int_equal(lithops_value_append(list, lithops_value_int(ms)), 0);
    return list;
}

/* The row that begins so: its numbers. */
static void read_row(const char *csv, const char *begin, double *ret_count, double *ret_cost)
{
    const char *row = strstr(csv, begin);
    int end = 0;
    if (!row)
        fail_msg("no row '%s' in %s", begin, csv);
    row += strlen(begin);
    assert_int_equal(sscanf(row, "%lf,%*d,%*f,%lf,%n", ret_count, ret_cost, &end), 2);
    assert_true(end > 0);
}

/* What a worker costs besides its calls is a line, and so are requests to a storage. */
static void workers_and_requests_have_lines(void **state)
{
    (void)state;
    char *csv;
    double count, cost, calls, total, requests, storage;
    lithops_executor *priced = open_priced("", "\"workers\": 1, \"price_list\": \"by_hour\"");
    results_are(lithops_map(priced, nap, naps(3, 10), NULL, &err), "[10, 10, 10]");
    succeeds(lithops_job_summary(priced, 0, NULL, &csv, &err));
    read_row(csv, "M000,nap,", &count, &calls);
    assert_true(count == 3 && calls >= 0.03 && calls < 60); /* a dollar a second */
    read_row(csv, "Workers,\"start, idle\",", &count, &cost);
    assert_true(count == 1 && cost >= 1); /* for its start; its time is charged when it ends */
    read_row(csv, "Storage,requests,", &requests, &storage);
    read_row(csv, "Summary, ,", &count, &total);
    assert_true(count == 3 && total > 0.999 * (calls + cost + storage) &&
                total < 1.001 * (calls + cost + storage));
    const char *transport = getenv("LITHOPS_TEST_TRANSPORT");
    bool is_through = transport && strcmp(transport, "storage") == 0;
    assert_true(is_through ? requests > 4 : requests == 0); /* both sides write */
    free(csv);
    lithops_executor_close(priced);
}

/* Prices that the user has set for calls replace those of workers. */
static void calls_may_have_prices_of_their_own(void **state)
{
    (void)state;
    char *csv;
    double count, cost;
    lithops_executor *priced =
        open_priced("", "\"workers\": 1, \"price_list\": \"by_hour\", \"cost_per_request\": 0.5");
    results_are(lithops_map(priced, nap, naps(4, 0), NULL, &err), "[0, 0, 0, 0]");
    succeeds(lithops_job_summary(priced, 0, NULL, &csv, &err));
    read_row(csv, "M000,nap,", &count, &cost);
    assert_true(count == 4 && cost == 2);
    assert_null(strstr(csv, "Workers"));
    free(csv);
    lithops_executor_close(priced);
}

/* What runs is ended, what waits does not begin, nothing more is started; what is done is kept. */
static void too_much_money_ends_a_job(void **state)
{
    (void)state;
    const lithops_value *value;
    lithops_executor *priced = open_priced(
        "\"max_cost\": 1.5", "\"workers\": 2, \"idle_timeout\": 200, \"price_list\": \"by_start\"");
    lithops_future *done = lithops_call_async(priced, nap, lithops_value_int(1), NULL, &err);
    succeeds(lithops_future_value(done, LIMIT_MS, &value, &err)); /* 1 USD */
    lithops_future *runs = lithops_call_async(priced, nap, lithops_value_int(90000), NULL, &err);
    lithops_future *waits = lithops_call_async(priced, nap, lithops_value_int(90000), NULL, &err);
    call_fails(runs, LITHOPS_EDENIED, "max_cost of the configuration, 1.5 USD, is reached: 2");
    call_fails(waits, LITHOPS_EDENIED, "raise it to go on. What is done is kept");
    assert_null(lithops_map(priced, nap, lithops_range(0, 5), NULL, &err));
    assert_int_equal(err.code, LITHOPS_EDENIED);
    assert_null(lithops_call_async(priced, nap, lithops_value_int(1), NULL, &err));
    assert_non_null(strstr(err.message, "max_cost"));
    result_is(done, "1");
    lithops_executor_close(priced);
}

static void a_job_that_is_too_expensive_is_not_begun(void **state)
{
    (void)state;
    lithops_executor *priced =
        open_priced("\"max_cost\": 2", "\"workers\": 1, \"cost_per_request\": 0.5");
    memset(&err, 0, sizeof err);
    assert_null(lithops_map(priced, nap, naps(5, 0), NULL, &err));
    assert_int_equal(err.code, LITHOPS_EDENIED);
    assert_non_null(strstr(err.message, "5 calls cost at least 2.5 USD"));
    results_are(lithops_map(priced, nap, naps(3, 0), NULL, &err), "[0, 0, 0]");
    lithops_executor_close(priced);
    memset(&err, 0, sizeof err);
    assert_null(open_priced("", "\"price_list\": \"moon\""));
    assert_non_null(strstr(err.message, "there is no price list 'moon'"));
}

/* On this machine nothing costs anything; elsewhere a limit that cannot be kept is an error. */
static void a_limit_needs_prices(void **state)
{
    (void)state;
    lithops_executor *free_of_charge = open_priced("\"max_cost\": 2", "\"workers\": 1");
    result_is(lithops_call_async(free_of_charge, nap, lithops_value_int(4), NULL, &err), "4");
    lithops_executor_close(free_of_charge);
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    lithops_value *config = api_json("{\"lithops\": {\"max_cost\": 2}}");
    options.config = config;
    options.backend = "vm";
    memset(&err, 0, sizeof err);
    lithops_value *settings = api_json("{\"hosts\": [\"nowhere.invalid\"]}");
    options.settings = settings;
    assert_null(lithops_executor_open(&options, &err));
    assert_int_equal(err.code, LITHOPS_ECONFIG);
    assert_non_null(strstr(err.message, "nothing says what calls on the backend vm cost"));
    lithops_value_free(settings);
    lithops_value_free(config);
}

static void no_more_workers_are_started_than_may_be(void **state)
{
    (void)state;
    const lithops_value *value;
    lithops_executor *limited =
        open_priced("\"max_activations\": 1", "\"workers\": 2, \"idle_timeout\": 0.05");
    lithops_future *kept = lithops_call_async(limited, nap, lithops_value_int(3), NULL, &err);
    succeeds(lithops_future_value(kept, LIMIT_MS, &value, &err));
    bool has_failed = false; /* when its worker was idle for long enough */
    for (int i = 0; i < 1000 && !has_failed; i++) {
        usleep(100000);
        lithops_future *call = lithops_call_async(limited, nap, lithops_value_int(1), NULL, &err);
        memset(&err, 0, sizeof err);
        has_failed = lithops_future_value(call, LIMIT_MS, &value, &err) != 0;
        lithops_future_unref(call);
    }
    assert_true(has_failed);
    if (!strstr(err.message, "max_activations of the configuration is reached: 1 workers"))
        fail_msg("%s", err.message);
    result_is(kept, "3");
    lithops_executor_close(limited);
}

/* ---- a summary while the executor is closed -------------------------------------------------- */

struct reader {
    const lithops_futures *futures;
    atomic_bool is_over;
    atomic_int count;
};

static void *read_summaries(void *user)
{
    struct reader *reader = user;
    while (!atomic_load(&reader->is_over)) {
        lithops_error failure = LITHOPS_ERROR_INIT;
        char *csv = NULL;
        if (lithops_futures_summary(reader->futures, 0, NULL, &csv, &failure) != 0)
            return csv;
        free(csv);
        atomic_fetch_add(&reader->count, 1);
    }
    return user;
}

/* The storage, whose requests count, is closed meanwhile. */
static void others_may_read_a_summary_at_the_end(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        lithops_executor *priced = open_priced("", "\"workers\": 1, \"price_list\": \"by_start\"");
        lithops_futures *futures = not_null(lithops_map(priced, nap, naps(3, 0), NULL, &err));
        succeeds(lithops_wait(NULL, futures, NULL, NULL, NULL, &err));
        not_null(lithops__executor_storage(priced, &err));
        struct reader reader = {.futures = futures};
        pthread_t thread;
        void *result;
        assert_int_equal(pthread_create(&thread, NULL, read_summaries, &reader), 0);
        while (atomic_load(&reader.count) == 0)
            sched_yield();
        lithops_executor_close(priced);
        int count = atomic_load(&reader.count);
        while (atomic_load(&reader.count) == count)
            sched_yield();
        atomic_store(&reader.is_over, true);
        assert_int_equal(pthread_join(thread, &result), 0);
        assert_ptr_equal(result, &reader);
        lithops_futures_unref(futures);
    }
}

int main(int argc, char **argv)
{
    api_init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workers_and_requests_have_lines),
        cmocka_unit_test(calls_may_have_prices_of_their_own),
        cmocka_unit_test(too_much_money_ends_a_job),
        cmocka_unit_test(a_job_that_is_too_expensive_is_not_begun),
        cmocka_unit_test(a_limit_needs_prices),
        cmocka_unit_test(no_more_workers_are_started_than_may_be),
        cmocka_unit_test(others_may_read_a_summary_at_the_end),
    };
    return api_finish(cmocka_run_group_tests(tests, set_up, NULL));
}
