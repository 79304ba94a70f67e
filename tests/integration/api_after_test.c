/* SPDX-License-Identifier: Apache-2.0 */
/* After the run: statistics, the table of jobs, pictures, cleaning. */
#include "api.h"

#include <lithops/plugin/runtime.h>

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

LITHOPS_FUNCTION(increment)
{
    return lithops_return_int(call, lithops_call_int(call) + 1);
}

LITHOPS_FUNCTION(burn_ms)
{
    double end = api_now() + (double)lithops_call_int(call) / 1e3;
    while (api_now() < end)
        ;
    return lithops_return(call, "s", "burnt");
}

/* Does nothing, but occasionally takes 3 ms. */
LITHOPS_FUNCTION(now_and_then)
{
    if (lithops_call_int(call) % 50 == 7)
        usleep(3000);
    return 0;
}

LITHOPS_FUNCTION(sum)
{
    int64_t total = 0, x;
    while (lithops_call_next_result(call, "I", &x) > 0)
        total += x;
    return lithops_return_int(call, total);
}

LITHOPS_FUNCTION(count_lines)
{
    lithops_stream *chunk = lithops_call_object(call);
    return chunk ? lithops_return_int(call, lithops_stream_skip_lines(chunk, INT64_MAX))
                 : LITHOPS_EARG;
}

LITHOPS_FUNCTION(end_badly)
{
    if (lithops_call_int(call) == 1)
        abort();
    return lithops_fail(call, "no");
}

LITHOPS_FUNCTION(store_object)
{
    lithops_error own = LITHOPS_ERROR_INIT;
    lithops_storage *storage = lithops_call_storage(call);
    lithops_value *object =
        storage ? lithops_cloudobject_put(storage, (lithops_bytes){"x", 1}, NULL, NULL, &own)
                : NULL;
    if (!object)
        return lithops_fail_error(call, &own);
    return lithops_return(call, "{s:[i,o]}", "here", (int)lithops_call_id(call), object);
}

static int open_own(void **state)
{
    (void)state;
    fexec = api_open("{\"worker_processes\":2}");
    return 0;
}

static lithops_future *call_int(const lithops_function *function, int64_t x)
{
    return not_null(lithops_call_async(fexec, function, lithops_value_int(x), NULL, &err));
}

/* ---- statistics ------------------------------------------------------------------------------ */

enum when { ALWAYS = 1, DONE = 2, READ = 4, RAN = 8, OBJECTS = 16 };
static const struct {
    const char *key;
    lithops_type type;
    enum when when;
} keys[] = {
    /* docs/statistics.md */
    {"func_name", LITHOPS_STRING, ALWAYS},
    {"func_module_size_bytes", LITHOPS_INT, ALWAYS},
    {"func_data_size_bytes", LITHOPS_INT, ALWAYS},
    {"func_result_size", LITHOPS_INT, RAN},
    {"host_job_create_tstamp", LITHOPS_DOUBLE, ALWAYS},
    {"host_job_create_partitions_time", LITHOPS_DOUBLE, OBJECTS},
    {"host_job_serialize_time", LITHOPS_DOUBLE, ALWAYS},
    {"host_func_upload_time", LITHOPS_DOUBLE, ALWAYS},
    {"host_data_upload_time", LITHOPS_DOUBLE, ALWAYS},
    {"host_job_created_time", LITHOPS_DOUBLE, ALWAYS},
    {"host_submit_tstamp", LITHOPS_DOUBLE, ALWAYS},
    {"host_status_done_tstamp", LITHOPS_DOUBLE, DONE},
    {"host_status_query_count", LITHOPS_INT, DONE},
    {"host_result_done_tstamp", LITHOPS_DOUBLE, READ},
    {"host_result_query_count", LITHOPS_INT, READ},
    {"worker_calls", LITHOPS_INT, RAN},
    {"worker_cold_start", LITHOPS_BOOL, RAN},
    {"worker_host", LITHOPS_STRING, RAN},
    {"worker_start_tstamp", LITHOPS_DOUBLE, RAN},
    {"worker_func_start_tstamp", LITHOPS_DOUBLE, RAN},
    {"worker_func_end_tstamp", LITHOPS_DOUBLE, RAN},
    {"worker_end_tstamp", LITHOPS_DOUBLE, RAN},
    {"worker_func_exec_time", LITHOPS_DOUBLE, RAN},
    {"worker_exec_time", LITHOPS_DOUBLE, RAN},
    {"worker_result_upload_time", LITHOPS_DOUBLE, RAN},
    {"worker_func_cpu_usage", LITHOPS_LIST, RAN},
    {"worker_func_cpu_user_time", LITHOPS_DOUBLE, RAN},
    {"worker_func_cpu_system_time", LITHOPS_DOUBLE, RAN},
    {"worker_func_sent_net_io", LITHOPS_INT, RAN},
    {"worker_func_recv_net_io", LITHOPS_INT, RAN},
    {"worker_func_rss", LITHOPS_INT, RAN},
    {"worker_func_vms", LITHOPS_INT, RAN},
    {"worker_func_uss", LITHOPS_INT, RAN},
    {"worker_peak_memory_start", LITHOPS_INT, RAN},
    {"worker_peak_memory_end", LITHOPS_INT, RAN},
};
enum { KEYS = sizeof keys / sizeof keys[0] };

static double number(const lithops_value *stats, const char *key)
{
    return lithops_value_get_double(lithops_value_get(stats, key));
}

static void check_order(const lithops_value *stats)
{
    static const char *const events[] = {"host_job_create_tstamp",  "host_submit_tstamp",
                                         "worker_start_tstamp",     "worker_func_start_tstamp",
                                         "worker_func_end_tstamp",  "worker_end_tstamp",
                                         "host_status_done_tstamp", "host_result_done_tstamp"};
    double before = 1.6e9;
    const char *last = "2020";
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
        if (!lithops_value_get(stats, events[i]))
            continue;
        if (number(stats, events[i]) < before)
            fail_msg("%s is %g s before %s", events[i], before - number(stats, events[i]), last);
        before = number(stats, events[i]);
        last = events[i];
    }
    assert_true(before < 1e11);
}

static lithops_value *check_stats(const lithops_future *future, unsigned what, const char *name)
{
    lithops_value *stats = not_null(lithops_future_stats(future));
    size_t expected = 0;
    for (size_t i = 0; i < KEYS; i++) {
        const lithops_value *value = lithops_value_get(stats, keys[i].key);
        bool wanted = (keys[i].when & (what | ALWAYS)) != 0;
        expected += wanted;
        if (wanted != (value != NULL))
            fail_msg("%s %s", keys[i].key, wanted ? "is missing" : "is there");
        if (value && lithops_value_type(value) != keys[i].type)
            fail_msg("%s is a %s", keys[i].key, lithops_type_name(lithops_value_type(value)));
        if (value && keys[i].type == LITHOPS_DOUBLE && number(stats, keys[i].key) < 0)
            fail_msg("%s is %g", keys[i].key, number(stats, keys[i].key));
    }
    assert_int_equal(lithops_value_size(stats), expected);
    assert_string_equal(lithops_value_get_string(lithops_value_get(stats, "func_name")), name);
    check_order(stats);
    return stats;
}

static void test_keys(void **state)
{
    (void)state;
    lithops_future *future = call_int(increment, 1);
    succeeds(lithops_future_wait(future, LIMIT_MS, &err));
    lithops_value_free(check_stats(future, DONE | RAN, "increment"));
    int64_t x;
    succeeds(lithops_future_result(future, LIMIT_MS, &err, "I", &x));
    lithops_value *stats = check_stats(future, DONE | READ | RAN, "increment");
    struct stat exe;
    assert_int_equal(stat("/proc/self/exe", &exe), 0);
    assert_int_equal(number(stats, "func_module_size_bytes"), exe.st_size);
    lithops_value_free(stats);
    lithops_future_unref(future);

    lithops_futures *map = lithops_map(fexec, increment, lithops_range(0, 100), NULL, &err);
    lithops_value *list;
    succeeds(lithops_get_result_value(NULL, map, &within_limit, &list, &err));
    lithops_value_free(list);
    for (size_t i = 0; i < 100; i++) {
        future = lithops_futures_get(map, i);
        lithops_value_free(check_stats(future, DONE | READ | RAN, "increment"));
        lithops_future_unref(future);
    }
    lithops_futures_unref(map);

    const char *path = api_write_file("lines.txt", "a\nb\nc\n", 6);
    lithops_map_reduce_options options = LITHOPS_MAP_REDUCE_OPTIONS_INIT;
    options.obj_chunk_number = 2;
    succeeds(lithops_map_reduce(fexec, count_lines, lithops_pack("[s]", path), sum, &options, &map,
                                &err));
    succeeds(lithops_get_result(NULL, map, &within_limit, &err, "I", &x));
    assert_int_equal(x, 3);
    for (size_t i = 0; i < 3; i++) {
        future = lithops_futures_get(map, i);
        lithops_value_free(check_stats(future, DONE | READ | RAN | (i < 2 ? OBJECTS : 0u),
                                       i < 2 ? "count_lines" : "sum"));
        lithops_future_unref(future);
    }
    lithops_futures_unref(map);
}

static void test_other_ends(void **state)
{
    (void)state;
    for (int way = 0; way < 2; way++) {
        lithops_future *future = call_int(end_badly, way);
        const lithops_value *value;
        assert_true(lithops_future_value(future, LIMIT_MS, &value, &err) != 0);
        lithops_value *stats = check_stats(future, DONE | READ | RAN, "end_badly");
        assert_true(number(stats, "func_result_size") == 0);
        lithops_value_free(stats);
        lithops_future_unref(future);
    }
    lithops_futures *busy = lithops_map(fexec, burn_ms, api_json("[500,500]"), NULL, &err);
    lithops_future *future = call_int(increment, 1);
    lithops_value_free(check_stats(future, 0, "increment"));
    assert_true(lithops_future_cancel(future));
    succeeds(lithops_future_wait(future, LIMIT_MS, &err));
    lithops_value_free(check_stats(future, DONE, "increment"));
    lithops_future_unref(future);
    succeeds(lithops_wait(NULL, busy, &within_limit, NULL, NULL, &err));
    lithops_futures_unref(busy);
}

static void test_numbers(void **state)
{
    (void)state;
    lithops_future *future = call_int(burn_ms, 60);
    result_is(lithops_future_ref(future), "\"burnt\"");
    lithops_value *stats = check_stats(future, DONE | READ | RAN, "burn_ms");
    double time = number(stats, "worker_func_exec_time");
    assert_true(time >= 0.06 && time < 20);
    double cpu =
        number(stats, "worker_func_cpu_user_time") + number(stats, "worker_func_cpu_system_time");
    assert_true(cpu > 0 && cpu < time * 1.2 + 0.02);
    assert_int_equal(number(stats, "func_result_size"), 5);
    const lithops_value *usage = lithops_value_get(stats, "worker_func_cpu_usage");
    assert_int_equal(lithops_value_size(usage), 1);
    assert_true(number(stats, "worker_func_rss") > 1e5);
    assert_true(number(stats, "worker_func_vms") >= number(stats, "worker_func_rss"));
    assert_true(number(stats, "worker_func_rss") >= number(stats, "worker_func_uss"));
    assert_true(number(stats, "worker_peak_memory_end") >=
                number(stats, "worker_peak_memory_start"));
    lithops_value_free(stats);
    lithops_future_unref(future);
    lithops_map_options options = LITHOPS_MAP_OPTIONS_INIT;
    options.chunksize = 5;
    lithops_futures *map = lithops_map(fexec, increment, lithops_range(0, 10), &options, &err);
    results_are(lithops_futures_ref(map), "[1,2,3,4,5,6,7,8,9,10]");
    future = lithops_futures_get(map, 7);
    stats = check_stats(future, DONE | READ | RAN, "increment");
    assert_int_equal(number(stats, "worker_calls"), 5);
    lithops_value_free(stats);
    lithops_future_unref(future);
    lithops_futures_unref(map);
}

/* Reads each call's statistics as soon as it is done, while others still run. */
static void test_order_while_running(void **state)
{
    (void)state;
    for (int round = 0; round < 5; round++) {
        lithops_futures *map = lithops_map(fexec, now_and_then, lithops_range(0, 2000), NULL, &err);
        lithops_future *future;
        while ((future = lithops_futures_as_completed(map, LIMIT_MS)) != NULL) {
            const lithops_value *value;
            succeeds(lithops_future_value(future, LIMIT_MS, &value, &err));
            lithops_value *stats = not_null(lithops_future_stats(future));
            check_order(stats);
            lithops_value_free(stats);
            lithops_future_unref(future);
        }
        lithops_futures_unref(map);
    }
}

/* ---- the table ------------------------------------------------------------------------------- */

static void test_job_summary(void **state)
{
    (void)state;
    char *csv = NULL, path[128], *again = NULL;
    result_is(call_int(increment, 1), "2");
    result_is(call_int(burn_ms, 20), "\"burnt\"");
    result_is(call_int(increment, 2), "3"); /* shares the first one's job, but is listed apart */
    results_are(lithops_map(fexec, increment, lithops_range(0, 3), NULL, &err), "[1,2,3]");
    succeeds(lithops_map_reduce(fexec, increment, lithops_range(0, 3), sum, NULL, NULL, &err));
    int64_t x;
    succeeds(lithops_get_result(fexec, NULL, &within_limit, &err, "I", &x));
    snprintf(path, sizeof path, "%s/summary.csv", folder);
    succeeds(lithops_job_summary(fexec, 17, path, &csv, &err));
    static const char *const starts[] = {
        "Job_ID,Function,Invocations,Memory(MB),AvgRuntime,Cost,CloudObjects",
        "A000,increment,1,",
        "A001,burn_ms,1,",
        "A002,increment,1,",
        "M003,increment,3,",
        "M004,increment,3,",
        "R004,sum,1,",
        "Summary,"};
    char *line = csv;
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        if (strncmp(line, starts[i], strlen(starts[i])) != 0)
            fail_msg("line %zu of\n%s", i, csv);
        line = strchr(line, '\n') + 1;
    }
    assert_string_equal(line, "");
    not_null(strstr(strstr(csv, "Summary"), "17"));
    FILE *file = not_null(fopen(path, "r"));
    again = not_null(calloc(1, 10000));
    assert_int_equal(fread(again, 1, 9999, file), strlen(csv));
    assert_string_equal(again, csv);
    fclose(file);
    free(again);
    free(csv);
    succeeds(lithops_job_summary(fexec, 0, NULL, NULL, &err));
    fails(lithops_job_summary(fexec, 0, "/nonexistent/summary.csv", NULL, &err), LITHOPS_ENOTFOUND,
          "/nonexistent/summary.csv");
    fails(lithops_job_summary(NULL, 0, NULL, NULL, &err), LITHOPS_EUSAGE, "executor");
}

static void test_costs(void **state)
{
    (void)state;
    lithops_executor *paid = api_open("{\"worker_processes\":1,\"cost_per_request\":0.5,"
                                      "\"cost_per_gb_s\":0,\"runtime_memory\":512}");
    results_are(lithops_map(paid, increment, lithops_range(0, 4), NULL, &err), "[1,2,3,4]");
    char *csv = NULL;
    succeeds(lithops_job_summary(paid, 0, NULL, &csv, &err));
    char *row = not_null(strstr(csv, "M000,increment,4,2048,")), *cost = NULL;
    (void)strtod(row + strlen("M000,increment,4,2048,"), &cost);
    assert_true(*cost == ',' && strtod(cost + 1, NULL) == 2.0);
    free(csv);
    lithops_executor_close(paid);
}

/* ---- pictures -------------------------------------------------------------------------------- */

static void check_png(const char *path, unsigned width, unsigned height)
{
    unsigned char head[24];
    FILE *file = not_null(fopen(path, "r"));
    assert_int_equal(fread(head, 1, sizeof head, file), sizeof head);
    fclose(file);
    assert_memory_equal(head, "\x89PNG\r\n\x1a\n", 8);
    assert_int_equal(head[18] << 8 | head[19], width);
    assert_int_equal(head[22] << 8 | head[23], height);
}

static void test_plot(void **state)
{
    (void)state;
    char prefix[128], path[256];
    snprintf(prefix, sizeof prefix, "%s/run", folder);
    fails(lithops_plot(fexec, NULL, prefix, NULL, &err), LITHOPS_EUSAGE, "plot");
    results_are(lithops_map(fexec, burn_ms, api_json("[1,2,3]"), NULL, &err),
                "[\"burnt\",\"burnt\",\"burnt\"]");
    succeeds(lithops_plot(fexec, NULL, prefix, NULL, &err));
    lithops_plot_options options = LITHOPS_PLOT_OPTIONS_INIT;
    snprintf(path, sizeof path, "%s_timeline.png", prefix);
    check_png(path, 1000, 600);
    snprintf(path, sizeof path, "%s_histogram.png", prefix);
    check_png(path, 1000, 600);
    options.width_in = 8.5;
    options.height_in = 4;
    lithops_future *one = call_int(burn_ms, 1);
    result_is(lithops_future_ref(one), "\"burnt\"");
    lithops_futures *futures = lithops_futures_new(&one, 1);
    succeeds(lithops_plot(NULL, futures, prefix, &options, &err));
    check_png(path, 850, 400);
    for (int wrong = -1; wrong <= 0; wrong++) {
        options.width_in = wrong;
        fails(lithops_plot(NULL, futures, prefix, &options, &err), LITHOPS_EUSAGE, "");
    }
    fails(lithops_plot(NULL, futures, "/nonexistent/run", NULL, &err), LITHOPS_ENOTFOUND,
          "/nonexistent/run");
    lithops_futures_unref(futures);
    lithops_future_unref(one);
}

static void test_plot_folders(void **state)
{
    (void)state;
    char before[4096], path[128], command[256], line[256] = "";
    results_are(lithops_map(fexec, burn_ms, api_json("[1]"), NULL, &err), "[\"burnt\"]");
    not_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(folder), 0);
    succeeds(lithops_plot(fexec, NULL, NULL, NULL, &err));
    snprintf(path, sizeof path, "%s/own", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    succeeds(lithops_plot(fexec, NULL, path, NULL, &err));
    succeeds(lithops_plot(fexec, NULL, "new/", NULL, &err));
    assert_int_equal(chdir(before), 0);
    static const char *const folders[] = {"plots", "own", "new"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(command, sizeof command, "ls %s/%s/*%s_timeline.png", folder, folders[i],
                 lithops_executor_id(fexec));
        FILE *list = not_null(popen(command, "r"));
        assert_non_null(fgets(line, sizeof line, list));
        assert_int_equal(pclose(list), 0);
    }
}

/* ---- cleaning -------------------------------------------------------------------------------- */

static bool is_stored(const lithops_value *object)
{
    lithops_value *config = api_config("{}");
    lithops_storage *storage = not_null(lithops_storage_open_config(NULL, config, &err));
    lithops_object_info info;
    int rc = lithops_storage_head(
        storage, lithops_value_get_string(lithops_value_get(object, "bucket")),
        lithops_value_get_string(lithops_value_get(object, "key")), &info, &err);
    lithops_storage_close(storage);
    lithops_value_free(config);
    if (rc != LITHOPS_ENOTFOUND)
        succeeds(rc);
    return rc == 0;
}

/* Two stored objects, by futures and by values that the caller owns. */
static lithops_futures *store_two(lithops_value *objects[2])
{
    lithops_futures *futures = lithops_map(fexec, store_object, lithops_range(0, 2), NULL, &err);
    lithops_value *list;
    succeeds(lithops_get_result_value(NULL, futures, &within_limit, &list, &err));
    for (size_t i = 0; i < 2; i++) {
        const lithops_value *object;
        succeeds(lithops_unpack(lithops_value_at(list, i), &err, "{s:o}", "here", &object));
        objects[i] = lithops_value_copy(lithops_value_at(object, 1));
        assert_true(is_stored(objects[i]));
    }
    lithops_value_free(list);
    return futures;
}

static void drop(lithops_futures *futures, lithops_value *objects[2])
{
    lithops_value_free(objects[0]);
    lithops_value_free(objects[1]);
    lithops_futures_unref(futures);
}

static void test_clean_objects(void **state)
{
    (void)state;
    lithops_value *kept[2], *dropped[2];
    lithops_clean_options options = LITHOPS_CLEAN_OPTIONS_INIT;
    lithops_futures *first = store_two(kept), *second = store_two(dropped);
    succeeds(lithops_clean(fexec, second, NULL, &err));
    assert_false(is_stored(dropped[0]) || is_stored(dropped[1]));
    assert_true(is_stored(kept[0]) && is_stored(kept[1]));
    /* those futures can still be read, and the others are still the executor's */
    assert_int_equal(lithops_futures_state(second, 0), LITHOPS_SUCCESS);
    lithops_value *cs = lithops_pack("[O]", kept[0]);
    options.cs = cs;
    options.clean_cloudobjects = false;
    succeeds(lithops_clean(fexec, first, &options, &err));
    assert_false(is_stored(kept[0]));
    assert_true(is_stored(kept[1]));
    lithops_value_free(cs);
    drop(first, kept);
    drop(second, dropped);
    first = store_two(kept);
    options = (lithops_clean_options)LITHOPS_CLEAN_OPTIONS_INIT;
    options.clean_cloudobjects = false;
    options.clean_fn = true;
    succeeds(lithops_clean(fexec, NULL, &options, &err));
    assert_true(is_stored(kept[0]) && is_stored(kept[1]));
    drop(first, kept);
    char *csv;
    succeeds(lithops_job_summary(fexec, 0, NULL, &csv, &err));
    assert_null(strstr(csv, "store_object"));
    free(csv);
    result_is(call_int(increment, 1), "2"); /* the executor goes on */
}

static void test_clean_on_exit(void **state)
{
    (void)state;
    lithops_value *objects[2], *named[2];
    lithops_futures *futures = store_two(objects), *more = store_two(named);
    lithops_clean_options options = LITHOPS_CLEAN_OPTIONS_INIT;
    options.on_exit = true;
    options.cs = named[1]; /* a cloudobject of a job that is cleaned otherwise */
    succeeds(lithops_clean(fexec, NULL, &options, &err));
    options.cs = NULL;
    options.on_exit = options.clean_cloudobjects = false;
    succeeds(lithops_clean(fexec, more, &options, &err));
    assert_true(is_stored(objects[0]) && is_stored(named[0]) && is_stored(named[1]));
    lithops_executor_close(fexec);
    fexec = NULL;
    assert_false(is_stored(objects[0]) || is_stored(objects[1]));
    assert_true(is_stored(named[0]) && !is_stored(named[1]));
    drop(futures, objects);
    drop(more, named);
}

static void test_clean_force(void **state)
{
    (void)state;
    lithops_futures *running =
        lithops_map(fexec, burn_ms, api_json("[60000,60000,60000]"), NULL, &err);
    succeeds(lithops_clean(fexec, NULL, NULL, &err)); /* running calls are left alone */
    assert_int_equal(lithops_futures_done(running), 0);
    lithops_clean_options options = LITHOPS_CLEAN_OPTIONS_INIT;
    options.force = true;
    succeeds(lithops_clean(fexec, NULL, &options, &err));
    assert_int_equal(lithops_futures_done(running), 3);
    assert_int_equal(lithops_futures_state(running, 2), LITHOPS_CANCELED);
    lithops_futures_unref(running);
    fails(lithops_clean(NULL, NULL, NULL, &err), LITHOPS_EUSAGE, "executor");
}

int main(int argc, char **argv)
{
    api_init(&argc, &argv);
#define WITH_OWN(test) cmocka_unit_test_setup_teardown(test, open_own, api_close_group)
    const struct CMUnitTest tests[] = {
        WITH_OWN(test_keys),          WITH_OWN(test_other_ends),
        WITH_OWN(test_numbers),       WITH_OWN(test_order_while_running),
        WITH_OWN(test_job_summary),   WITH_OWN(test_costs),
        WITH_OWN(test_plot),          WITH_OWN(test_plot_folders),
        WITH_OWN(test_clean_objects), WITH_OWN(test_clean_on_exit),
        WITH_OWN(test_clean_force),
    };
    return api_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
