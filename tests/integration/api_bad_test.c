/* SPDX-License-Identifier: Apache-2.0 */
/* Wrong use: NULL handles, options out of range, missing things, a wrong configuration, fork. Each
 * causes an error that says what to do, and the executor goes on. */
#include "api.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

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

/* Calls functions that are only for reducers, objects and so on, in a plain call. */
LITHOPS_FUNCTION(misuse)
{
    const lithops_value *value;
    lithops_bytes bytes;
    int64_t x;
    switch (lithops_call_int(call)) {
    case 0:
        return lithops_call_next_result(call, "I", &x);
    case 1:
        return lithops_call_next_bytes(call, &bytes);
    case 2:
        return lithops_call_next_value(call, &value);
    case 3:
        return lithops_call_result_count(call) == 0 ? lithops_return_int(call, 3) : LITHOPS_ECALL;
    case 4:
        return lithops_return_future(call, NULL);
    case 5:
        return lithops_call_object(call) ? 0 : LITHOPS_EARG;
    case 6:
        return lithops_args(call, "?", "x", &x);
    case 7:
        return lithops_args(call, NULL);
    case 8:
        return lithops_return(call, NULL);
    default:
        return lithops_call_file(call, "nothing") || lithops_call_file(call, NULL) ? LITHOPS_ECALL
                                                                                   : 0;
    }
}

static lithops_future *start(void)
{
    return not_null(lithops_call_async(fexec, echo, lithops_value_int(1), NULL, &err));
}

static void test_null_executor(void **state)
{
    (void)state;
    lithops_value *value;
    int64_t x;
    is_refused(lithops_call_async(NULL, echo, lithops_value_int(1), NULL, &err), LITHOPS_EUSAGE,
               "executor");
    is_refused(lithops_map(NULL, echo, lithops_range(0, 1), NULL, &err), LITHOPS_EUSAGE,
               "executor");
    is_refused(lithops_map_futures(NULL, echo, NULL, NULL, &err), LITHOPS_EUSAGE, "executor");
    fails(lithops_map_reduce(NULL, echo, lithops_range(0, 1), sum, NULL, NULL, &err),
          LITHOPS_EUSAGE, "executor");
    fails(lithops_wait(NULL, NULL, NULL, NULL, NULL, &err), LITHOPS_EUSAGE, "executor");
    fails(lithops_get_result(NULL, NULL, NULL, &err, "I", &x), LITHOPS_EUSAGE, "executor");
    fails(lithops_get_result_value(NULL, NULL, NULL, &value, &err), LITHOPS_EUSAGE, "executor");
    fails(lithops_plot(NULL, NULL, NULL, NULL, &err), LITHOPS_EUSAGE, "executor");
    fails(lithops_job_summary(NULL, 0, NULL, NULL, &err), LITHOPS_EUSAGE, "executor");
    fails(lithops_clean(NULL, NULL, NULL, &err), LITHOPS_EUSAGE, "executor");
    assert_string_equal(lithops_executor_id(NULL), "");
    assert_null(lithops_executor_config(NULL));
    lithops_executor_close(NULL);
}

static void test_null_function(void **state)
{
    (void)state;
    static const lithops_function not_made = {.name = "not_made"};
    for (int i = 0; i < 2; i++) {
        const lithops_function *wrong = i ? &not_made : NULL;
        is_refused(lithops_call_async(fexec, wrong, lithops_value_int(1), NULL, &err),
                   LITHOPS_EUSAGE, "function");
        is_refused(lithops_map(fexec, wrong, lithops_range(0, 1), NULL, &err), LITHOPS_EUSAGE,
                   "function");
        fails(lithops_map_reduce(fexec, wrong, lithops_range(0, 1), sum, NULL, NULL, &err),
              LITHOPS_EUSAGE, "function");
        fails(lithops_map_reduce(fexec, echo, lithops_range(0, 1), wrong, NULL, NULL, &err),
              LITHOPS_EUSAGE, "function");
        lithops_future *future = start();
        lithops_futures *futures = lithops_futures_new(&future, 1);
        is_refused(lithops_map_futures(fexec, wrong, futures, NULL, &err), LITHOPS_EUSAGE,
                   "function");
        lithops_futures_unref(futures);
        lithops_future_unref(future);
    }
    is_refused(lithops_function_open(NULL, &err), LITHOPS_EUSAGE, "");
    lithops_function_free(NULL);
}

static void test_null_inputs(void **state)
{
    (void)state;
    lithops_call_options options = LITHOPS_CALL_OPTIONS_INIT;
    is_refused(lithops_call_async(fexec, echo, NULL, NULL, &err), LITHOPS_EUSAGE, "NULL");
    options.timeout_ms = 1000;
    is_refused(lithops_call_async(fexec, echo, NULL, &options, &err), LITHOPS_EUSAGE, "NULL");
    is_refused(lithops_map(fexec, echo, NULL, NULL, &err), LITHOPS_EUSAGE, "iterdata");
    /* so many that their size in bytes wraps around modulo 2^64 */
    is_refused(lithops_map(fexec, echo, lithops_range(0, 614891469123651721), NULL, &err),
               LITHOPS_ENOSPACE, "614891469123651721 calls");
    is_refused(lithops_map(fexec, echo, lithops_range(INT64_MIN, INT64_MAX), NULL, &err),
               LITHOPS_ENOSPACE, "calls");
    is_refused(lithops_map(fexec, echo, lithops_pack("[i", 1), NULL, &err), LITHOPS_EUSAGE,
               "iterdata");
    is_refused(lithops_map(fexec, echo, lithops_value_int(5), NULL, &err), LITHOPS_EUSAGE, "list");
    is_refused(lithops_map(fexec, echo, lithops_pack("{s:i}", "a", 1), NULL, &err), LITHOPS_EUSAGE,
               "list");
    is_refused(lithops_map_futures(fexec, echo, NULL, NULL, &err), LITHOPS_EUSAGE, "futures");
    fails(lithops_map_reduce(fexec, echo, NULL, sum, NULL, NULL, &err), LITHOPS_EUSAGE, "iterdata");
    fails(lithops_map_reduce(fexec, echo, lithops_value_string("x"), sum, NULL, NULL, &err),
          LITHOPS_EUSAGE, "list");
}

static void test_null_futures(void **state)
{
    (void)state;
    const lithops_value *value;
    lithops_bytes bytes;
    char key[64];
    int64_t x;
    assert_null(lithops_future_ref(NULL));
    assert_null(lithops_future_unref(NULL));
    assert_null(lithops_futures_ref(NULL));
    assert_null(lithops_futures_unref(NULL));
    assert_false(lithops_future_is_done(NULL));
    (void)lithops_future_state(NULL);
    (void)lithops_future_key(NULL, key, sizeof key);
    fails(lithops_future_wait(NULL, 1, &err), LITHOPS_EUSAGE, "NULL");
    fails(lithops_future_result(NULL, 1, &err, "I", &x), LITHOPS_EUSAGE, "NULL");
    fails(lithops_future_value(NULL, 1, &value, &err), LITHOPS_EUSAGE, "NULL");
    fails(lithops_future_bytes(NULL, 1, &bytes, &err), LITHOPS_EUSAGE, "NULL");
    assert_int_equal(lithops_future_error(NULL, NULL), 0);
    assert_null(lithops_future_traceback(NULL));
    assert_null(lithops_future_logs(NULL));
    assert_null(lithops_future_stats(NULL));
    assert_false(lithops_future_cancel(NULL));
    assert_int_equal(lithops_futures_size(NULL), 0);
    assert_int_equal(lithops_futures_done(NULL), 0);
    assert_int_equal(lithops_futures_cancel(NULL), 0);
    assert_null(lithops_futures_get(NULL, 0));
    (void)lithops_futures_state(NULL, 0);
    fails(lithops_futures_int(NULL, 0, &x, &err), LITHOPS_ENOTFOUND, "");
    fails(lithops_futures_bytes(NULL, 0, &bytes, &err), LITHOPS_ENOTFOUND, "");
    lithops_future *future = start();
    fails(lithops_future_value(future, LIMIT_MS, NULL, &err), LITHOPS_EUSAGE, "NULL");
    fails(lithops_future_bytes(future, LIMIT_MS, NULL, &err), LITHOPS_EUSAGE, "NULL");
    lithops_futures *futures = lithops_futures_new(&future, 1);
    fails(lithops_futures_int(futures, 0, NULL, &err), LITHOPS_EUSAGE, "NULL");
    fails(lithops_futures_bytes(futures, 0, NULL, &err), LITHOPS_EUSAGE, "NULL");
    lithops_futures_unref(futures);
    assert_null(lithops_futures_new(NULL, 3));
    assert_string_equal(lithops_state_name(LITHOPS_PENDING), "Pending");
    assert_string_equal(lithops_state_name((lithops_state)77), "Unknown");
    result_is(future, "1");
}

/* Every function that takes an error takes NULL for it. */
static void test_null_error(void **state)
{
    (void)state;
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    options.mode = "nowhere";
    assert_null(lithops_executor_open(&options, NULL));
    assert_null(lithops_call_async(NULL, echo, lithops_value_int(1), NULL, NULL));
    assert_null(lithops_map(fexec, NULL, lithops_range(0, 1), NULL, NULL));
    lithops_map_options map = LITHOPS_MAP_OPTIONS_INIT;
    map.obj_chunk_size = 5;
    assert_null(lithops_map(fexec, echo, lithops_pack("[s]", "/nonexistent"), &map, NULL));
    assert_int_equal(lithops_map_reduce(fexec, echo, NULL, sum, NULL, NULL, NULL), LITHOPS_EUSAGE);
    assert_int_equal(lithops_wait(NULL, NULL, NULL, NULL, NULL, NULL), LITHOPS_EUSAGE);
    assert_int_equal(lithops_future_wait(NULL, 1, NULL), LITHOPS_EUSAGE);
    assert_int_equal(lithops_plot(fexec, NULL, "/nonexistent/x", NULL, NULL) < 0, 1);
    assert_int_equal(lithops_clean(NULL, NULL, NULL, NULL), LITHOPS_EUSAGE);
    assert_null(lithops_function_open("libnosuch.so:f", NULL));
}

static void test_options_out_of_range(void **state)
{
    (void)state;
    static const int64_t wrong[] = {0, -1, INT64_MIN + 1};
    for (size_t i = 0; i < 3; i++) {
        lithops_call_options call = LITHOPS_CALL_OPTIONS_INIT;
        call.timeout_ms = wrong[i];
        is_refused(lithops_call_async(fexec, echo, lithops_value_int(1), &call, &err),
                   LITHOPS_EUSAGE, "timeout_ms");
        call = (lithops_call_options)LITHOPS_CALL_OPTIONS_INIT;
        call.runtime_memory_mb = wrong[i];
        is_refused(lithops_call_async(fexec, echo, lithops_value_int(1), &call, &err),
                   LITHOPS_EUSAGE, "runtime_memory_mb");
        lithops_map_options map = LITHOPS_MAP_OPTIONS_INIT;
        map.chunksize = wrong[i];
        is_refused(lithops_map(fexec, echo, lithops_range(0, 3), &map, &err), LITHOPS_EUSAGE,
                   "chunksize");
        map = (lithops_map_options)LITHOPS_MAP_OPTIONS_INIT;
        map.timeout_ms = wrong[i];
        is_refused(lithops_map(fexec, echo, lithops_range(0, 3), &map, &err), LITHOPS_EUSAGE,
                   "timeout_ms");
        lithops_map_reduce_options reduce = LITHOPS_MAP_REDUCE_OPTIONS_INIT;
        reduce.reduce_runtime_memory_mb = wrong[i];
        fails(lithops_map_reduce(fexec, echo, lithops_range(0, 3), sum, &reduce, NULL, &err),
              LITHOPS_EUSAGE, "runtime_memory_mb");
    }
}

static void refused_env(const char *json, const char *text)
{
    lithops_call_options options = LITHOPS_CALL_OPTIONS_INIT;
    lithops_value *env = api_json(json);
    options.extra_env = env;
    is_refused(lithops_call_async(fexec, echo, lithops_value_int(1), &options, &err),
               LITHOPS_EUSAGE, text);
    lithops_value_free(env);
}

static void test_wrong_environment(void **state)
{
    (void)state;
    refused_env("[\"A=b\"]", "map");
    refused_env("\"A=b\"", "map");
    refused_env("{\"A\":1}", "'A'");
    refused_env("{\"A\":null}", "'A'");
    refused_env("{\"A=B\":\"c\"}", "A=B");
    refused_env("{\"\":\"c\"}", "name");
    refused_env("{\"A\":\"b\\u0000c\"}", "'A'");
}

static void test_misuse_in_calls(void **state)
{
    (void)state;
    lithops_futures *futures = lithops_map(fexec, misuse, lithops_range(0, 10), NULL, &err);
    for (size_t i = 0; i < 10; i++) {
        lithops_future *future = lithops_futures_get(futures, i);
        succeeds(lithops_future_wait(future, LIMIT_MS, &err));
        bool fine = i == 3 || i == 9;
        if ((lithops_future_state(future) == LITHOPS_SUCCESS) != fine)
            fail_msg("way %zu", i);
        if (!fine && lithops_future_error(future, &err) == LITHOPS_ECRASH)
            fail_msg("way %zu: %s", i, err.message);
        lithops_future_unref(future);
    }
    lithops_futures_unref(futures);
}

/* ---- configuration -----------------------------------------------------------------------------
 */

static void refused_options(lithops_executor_options options, int code, const char *text)
{
    is_refused(lithops_executor_open(&options, &err), code, text);
}

static void test_modes_and_backends(void **state)
{
    (void)state;
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    is_refused(lithops_serverless_executor_open(NULL, &err), LITHOPS_ECONFIG, "aws_lambda");
    is_refused(lithops_standalone_executor_open(NULL, &err), LITHOPS_ECONFIG, "aws_ec2");
    options.mode = "standalone";
    refused_options(options, LITHOPS_ECONFIG, "aws_ec2");
    is_refused(lithops_localhost_executor_open(&options, &err), LITHOPS_EUSAGE, "standalone");
    options.mode = "nowhere";
    refused_options(options, LITHOPS_ECONFIG, "nowhere");
    options.mode = NULL;
    options.backend = "no_such_cloud";
    is_refused(lithops_executor_open(&options, &err), err.code, "no_such_cloud");
    assert_true(err.code == LITHOPS_EUNSUPPORTED || err.code == LITHOPS_ECONFIG);
    not_null(strstr(err.message, "localhost"));
    options = (lithops_executor_options)LITHOPS_EXECUTOR_OPTIONS_INIT;
    options.storage = "no_such_storage"; /* at once, not when an object is first read */
    refused_options(options, LITHOPS_EUNSUPPORTED,
                    "'no_such_storage' is not built in; available: localhost");
    options = (lithops_executor_options)LITHOPS_EXECUTOR_OPTIONS_INIT;
    options.monitoring = "pigeons";
    refused_options(options, LITHOPS_ECONFIG, "pigeons");
    options = (lithops_executor_options)LITHOPS_EXECUTOR_OPTIONS_INIT;
    options.log_level = "loud";
    refused_options(options, LITHOPS_ECONFIG, "loud");
    options = (lithops_executor_options)LITHOPS_EXECUTOR_OPTIONS_INIT;
    options.mode = "localhost";
    options.backend = "localhost";
    options.storage = "localhost";
    options.monitoring = "direct";
    options.log_level = "none";
    lithops_executor *own = not_null(lithops_localhost_executor_open(&options, &err));
    result_is(lithops_call_async(own, echo, lithops_value_int(4), NULL, &err), "4");
    lithops_executor_close(own);
}

static void refused_settings(const char *json, const char *text)
{
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    lithops_value *settings = api_json(json);
    options.settings = settings;
    refused_options(options, LITHOPS_ECONFIG, text);
    options.settings = NULL;
    lithops_value *config =
        lithops_pack("{s:O,s:{s:b}}", "localhost", settings, "lithops", "strict", 1);
    options.config = config;
    refused_options(options, LITHOPS_ECONFIG, text);
    lithops_value_free(config);
    lithops_value_free(settings);
}

static void test_wrong_configuration(void **state)
{
    (void)state;
    refused_settings("{\"worker_proceses\":2}", "worker_processes");
    refused_settings("{\"worker_processes\":0}", "worker_processes");
    refused_settings("{\"worker_processes\":-3}", "worker_processes");
    refused_settings("{\"worker_processes\":\"2\"}", "worker_processes");
    refused_settings("{\"worker_processes\":[2]}", "worker_processes");
    refused_settings("{\"runtime_memory\":1.5}", "runtime_memory");
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    lithops_value *list = lithops_value_list();
    options.settings = list;
    refused_options(options, LITHOPS_ECONFIG, "list");
    options.settings = NULL;
    options.config = list;
    refused_options(options, LITHOPS_ECONFIG, "list");
    lithops_value_free(list);
    options.config = NULL;
    options.config_file = "/nonexistent/config";
    is_refused(lithops_executor_open(&options, &err), err.code, "/nonexistent/config");
    static const char text[] = "lithops:\n  strict: true\n  moed: x\n";
    const char *path = api_write_file("wrong.yaml", text, sizeof text - 1);
    options.config_file = path;
    refused_options(options, LITHOPS_ECONFIG, "wrong.yaml:3");
    not_null(strstr(err.message, "'mode'"));
    setenv("LITHOPS_CONFIG_FILE", path, 1);
    options.config_file = NULL;
    refused_options(options, LITHOPS_ECONFIG, "wrong.yaml:3");
    unsetenv("LITHOPS_CONFIG_FILE");
}

static void test_configuration_in_force(void **state)
{
    (void)state;
    static const char text[] = "localhost:\n  worker_processes: 3\n  runtime_memory: 700\n";
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    options.config_file = api_write_file("good.yaml", text, sizeof text - 1);
    lithops_value *settings = lithops_pack("{s:i}", "worker_processes", 1);
    options.settings = settings;
    lithops_executor *own = not_null(lithops_executor_open(&options, &err));
    lithops_value_free(settings);
    lithops_value *config = not_null(lithops_executor_config(own));
    int processes, memory;
    const char *backend, *mode;
    succeeds(lithops_unpack(config, &err, "{s:{s:i,s:i},s:{s:s,s:s}}", "localhost",
                            "worker_processes", &processes, "runtime_memory", &memory, "lithops",
                            "backend", &backend, "mode", &mode));
    assert_true(processes == 1 && memory == 700);
    assert_string_equal(backend, "localhost");
    assert_string_equal(mode, "localhost");
    lithops_value_free(config);
    lithops_executor_close(own);
    /* secrets are not shown */
    lithops_value *secret =
        lithops_pack("{s:{s:s}}", "aws_s3", "secret_access_key", "hunter2hunter2");
    options = (lithops_executor_options)LITHOPS_EXECUTOR_OPTIONS_INIT;
    options.config = secret;
    own = lithops_executor_open(&options, &err);
    lithops_value_free(secret);
    if (own) {
        config = lithops_executor_config(own);
        char *json = api_to_json(config);
        assert_null(strstr(json, "hunter2"));
        free(json);
        lithops_value_free(config);
        lithops_executor_close(own);
    }
}

/* ---- fork --------------------------------------------------------------------------------------
 */

/* ThreadSanitizer does not support threads in a forked child. */
#if defined(__SANITIZE_THREAD__)
enum { CHILD_HAS_THREADS = 0 };
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
enum { CHILD_HAS_THREADS = 0 };
#else
enum { CHILD_HAS_THREADS = 1 };
#endif
#else
enum { CHILD_HAS_THREADS = 1 };
#endif

/* In the child: every use of the parent's handles is refused, a new executor works. @return 0, or
 * the number of the failed check */
static int use_in_child(lithops_future *future, lithops_futures *futures)
{
    lithops_error own = LITHOPS_ERROR_INIT;
    lithops_value *value;
    const lithops_value *borrowed;
    int64_t x;
    if (lithops_call_async(fexec, echo, lithops_value_int(1), NULL, &own) ||
        own.code != LITHOPS_EFORKED)
        return 1;
    if (lithops_map(fexec, echo, lithops_range(0, 3), NULL, &own) || own.code != LITHOPS_EFORKED)
        return 2;
    if (lithops_map_futures(fexec, echo, futures, NULL, &own) || own.code != LITHOPS_EFORKED)
        return 3;
    if (lithops_map_reduce(fexec, echo, lithops_range(0, 3), sum, NULL, NULL, &own) !=
        LITHOPS_EFORKED)
        return 4;
    if (lithops_wait(fexec, futures, NULL, NULL, NULL, &own) != LITHOPS_EFORKED ||
        lithops_wait(fexec, NULL, NULL, NULL, NULL, &own) != LITHOPS_EFORKED)
        return 5;
    if (lithops_get_result(fexec, NULL, NULL, &own, "I", &x) != LITHOPS_EFORKED ||
        lithops_get_result_value(fexec, futures, NULL, &value, &own) != LITHOPS_EFORKED)
        return 6;
    if (lithops_future_wait(future, 10, &own) != LITHOPS_EFORKED ||
        lithops_future_value(future, 10, &borrowed, &own) != LITHOPS_EFORKED)
        return 7;
    if (lithops_clean(fexec, NULL, NULL, &own) != LITHOPS_EFORKED ||
        lithops_plot(fexec, NULL, NULL, NULL, &own) != LITHOPS_EFORKED ||
        lithops_job_summary(fexec, 0, NULL, NULL, &own) != LITHOPS_EFORKED)
        return 8;
    if (lithops_future_cancel(future) || lithops_futures_cancel(futures))
        return 9;
    lithops_future_unref(future);
    lithops_futures_unref(futures);
    lithops_executor_close(fexec);
    if (!CHILD_HAS_THREADS)
        return 0;
    lithops_executor *mine = lithops_executor_open(NULL, &own);
    lithops_future *call = lithops_call_async(mine, echo, lithops_value_int(7), NULL, &own);
    if (lithops_future_result(call, LIMIT_MS, &own, "I", &x) != 0 || x != 7)
        return 10;
    lithops_future_unref(call);
    lithops_executor_close(mine);
    return 0;
}

static void test_fork(void **state)
{
    (void)state;
    lithops_future *future = start();
    lithops_futures *futures = lithops_map(fexec, echo, lithops_range(0, 3), NULL, &err);
    succeeds(lithops_wait(NULL, futures, &within_limit, NULL, NULL, &err));
    pid_t pid = fork();
    if (pid == 0)
        _exit(use_in_child(future, futures));
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    results_are(futures, "[0,1,2]"); /* the parent goes on */
    result_is(future, "1");
    result_is(start(), "1");
}

int main(int argc, char **argv)
{
    api_init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_null_executor),
        cmocka_unit_test(test_null_function),
        cmocka_unit_test(test_null_inputs),
        cmocka_unit_test(test_null_futures),
        cmocka_unit_test(test_null_error),
        cmocka_unit_test(test_options_out_of_range),
        cmocka_unit_test(test_wrong_environment),
        cmocka_unit_test(test_misuse_in_calls),
        cmocka_unit_test(test_modes_and_backends),
        cmocka_unit_test(test_wrong_configuration),
        cmocka_unit_test(test_configuration_in_force),
        cmocka_unit_test(test_fork),
    };
    return api_finish(cmocka_run_group_tests(tests, api_open_group, api_close_group));
}
