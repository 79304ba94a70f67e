/* SPDX-License-Identifier: Apache-2.0 */
/* Output is attributed to the right call, whatever else writes and however the call ends; and the
 * library's own log. */
#include "api.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static void spin_us(double us)
{
    double start = api_now();
    while (api_now() - start < us / 1e6)
        ;
}

/* Way of writing, microseconds of work before it. */
LITHOPS_FUNCTION(write_something)
{
    int64_t id = lithops_call_id(call), way, us;
    if (lithops_args(call, "II", "way", &way, "us", &us) != 0)
        return LITHOPS_EARG;
    spin_us((double)us);
    switch (way) {
    case 0:
        printf("out %d\n", (int)id);
        break;
    case 1:
        fprintf(stderr, "err %d\n", (int)id);
        break;
    case 2:
        dprintf(1, "out %d\n", (int)id);
        break;
    case 3:
        dprintf(2, "err %d\n", (int)id);
        break;
    case 4:
        printf("no newline %d", (int)id);
        break;
    case 5:
        printf("first %d\n", (int)id);
        fflush(stdout);
        fprintf(stderr, "second %d\n", (int)id);
        printf("third %d\n", (int)id);
        break;
    default:
        break;
    }
    return 0;
}

LITHOPS_FUNCTION(write_and_end)
{
    int64_t way = lithops_call_int(call);
    printf("last words %d\n", (int)way);
    fprintf(stderr, "on both %d\n", (int)way);
    if (way > 0)
        fflush(stdout);
    switch (way) {
    case 0:
        abort();
    case 1:
        _exit(1);
    case 2:
        return lithops_fail(call, "failed");
    case 3:
        close(1);
        close(2);
        return 0;
    case 4:
        fclose(stdout);
        fclose(stderr);
        return 0;
    case 5:
        (void)!freopen("/dev/null", "w", stdout);
        printf("into nothing\n");
        fflush(stdout);
        return 0;
    case 6:
        return chdir("/") == 0 ? 0 : LITHOPS_EIO;
    default:
        for (;;)
            pause();
    }
}

LITHOPS_FUNCTION(write_much)
{
    for (int i = 0; i < 20000; i++)
        printf("%d line %d\n", (int)lithops_call_id(call), i);
    return 0;
}

LITHOPS_FUNCTION(where_am_i)
{
    char path[4096];
    return lithops_return(call, "s", getcwd(path, sizeof path));
}

static void expect_logs(lithops_future *future, const char *expected)
{
    char *logs = lithops_future_logs(future), key[64];
    if (expected ? !logs || strcmp(logs, expected) != 0 : logs != NULL)
        fail_msg("%s: logs are '%s', expected '%s'", lithops_future_key(future, key, sizeof key),
                 logs ? logs : "(null)", expected ? expected : "(null)");
    free(logs);
    lithops_future_unref(future);
}

/* Every third call writes in the given way, the others do not write. */
static void check_ways(int64_t us)
{
    static const char *const formats[] = {"out %d\n", "err %d\n", "out %d\n", "err %d\n",
                                          "no newline %d"};
    enum { N = 120 };
    for (int way = 0; way < 5; way++) {
        lithops_value *list = lithops_value_list();
        for (int i = 0; i < N; i++)
            lithops_value_append(list, lithops_pack("[iI]", i % 3 ? 9 : way, us));
        lithops_futures *futures = not_null(lithops_map(fexec, write_something, list, NULL, &err));
        succeeds(lithops_wait(NULL, futures, &within_limit, NULL, NULL, &err));
        for (size_t i = 0; i < N; i++) {
            char expected[64];
            snprintf(expected, sizeof expected, formats[way], (int)i);
            expect_logs(lithops_futures_get(futures, i), i % 3 ? NULL : expected);
        }
        lithops_futures_unref(futures);
    }
}

static void test_ways(void **state)
{
    (void)state;
    check_ways(20);
    check_ways(2000);
}

/* Calls of well under a microsecond run in groups; output is still attributed to the right one. */
static void test_tiny_calls(void **state)
{
    (void)state;
    check_ways(0);
}

static void test_both_streams(void **state)
{
    (void)state;
    lithops_future *future = not_null(
        lithops_call_async(fexec, write_something, lithops_pack("[ii]", 5, 0), NULL, &err));
    succeeds(lithops_future_wait(future, LIMIT_MS, &err));
    expect_logs(future, "first 0\nsecond 0\nthird 0\n");
    future = not_null(
        lithops_call_async(fexec, write_something, lithops_pack("[ii]", 9, 0), NULL, &err));
    expect_logs(lithops_future_ref(future), NULL); /* it may not even be done */
    succeeds(lithops_future_wait(future, LIMIT_MS, &err));
    expect_logs(future, NULL);
}

static void test_every_end(void **state)
{
    (void)state;
    lithops_call_options options = LITHOPS_CALL_OPTIONS_INIT;
    options.timeout_ms = 300;
    for (int way = 0; way < 8; way++) {
        lithops_future *future = not_null(lithops_call_async(
            fexec, write_and_end, lithops_value_int(way), way == 7 ? &options : NULL, &err));
        succeeds(lithops_future_wait(future, LIMIT_MS, &err));
        char out[64], both[64];
        snprintf(out, sizeof out, "last words %d\n", way);
        snprintf(both, sizeof both, "on both %d\n", way);
        char *logs = lithops_future_logs(future);
        if (!logs || !strstr(logs, out) || !strstr(logs, both) ||
            strlen(logs) != strlen(out) + strlen(both))
            fail_msg("way %d: '%s'", way, logs ? logs : "(null)");
        free(logs);
        if (way < 2 || way == 7) { /* the process is dead: the error has its last words */
            char *traceback = not_null(lithops_future_traceback(future));
            not_null(strstr(traceback, both));
            free(traceback);
        }
        lithops_future_unref(future);
        /* the next call is not disturbed */
        future = not_null(
            lithops_call_async(fexec, write_something, lithops_pack("[ii]", 0, 0), NULL, &err));
        succeeds(lithops_future_wait(future, LIMIT_MS, &err));
        expect_logs(future, "out 0\n");
    }
    char path[4096];
    assert_non_null(getcwd(path, sizeof path));
    for (int i = 0; i < 4; i++) {
        lithops_future *future =
            not_null(lithops_call_async(fexec, where_am_i, lithops_value_null(), NULL, &err));
        const char *there;
        succeeds(lithops_future_result(future, LIMIT_MS, &err, "s", &there));
        assert_string_equal(there, path);
        lithops_future_unref(future);
    }
}

static void test_much_output(void **state)
{
    (void)state;
    lithops_futures *futures = lithops_map(fexec, write_much, lithops_range(0, 4), NULL, &err);
    succeeds(lithops_wait(NULL, futures, &within_limit, NULL, NULL, &err));
    for (int i = 0; i < 4; i++) {
        lithops_future *future = lithops_futures_get(futures, (size_t)i);
        char *logs = not_null(lithops_future_logs(future)), *at = logs;
        for (int line = 0; line < 20000; line++) {
            char expected[64];
            int len = snprintf(expected, sizeof expected, "%d line %d\n", i, line);
            if (strncmp(at, expected, (size_t)len) != 0)
                fail_msg("line %d of call %d", line, i);
            at += len;
        }
        assert_string_equal(at, "");
        free(logs);
        lithops_future_unref(future);
    }
    lithops_futures_unref(futures);
}

/* ---- the library's own log ------------------------------------------------------------------- */

static struct {
    int count, active;
    bool overlapped, bad;
    lithops_log_level lowest;
    char text[4096];
} records;

static void sink(lithops_log_level level, const char *where, const char *text, void *user)
{
    if (__atomic_add_fetch(&records.active, 1, __ATOMIC_SEQ_CST) != 1)
        records.overlapped = true;
    records.count++;
    if (user != &records || !where || !text || strchr(text, '\n'))
        records.bad = true;
    if (level < records.lowest)
        records.lowest = level;
    size_t used = strlen(records.text);
    snprintf(records.text + used, sizeof records.text - used, "%s: %s\n", where, text);
    __atomic_sub_fetch(&records.active, 1, __ATOMIC_SEQ_CST);
}

static void *open_and_close(void *unused)
{
    (void)unused;
    for (int i = 0; i < 20; i++)
        lithops_executor_close(lithops_executor_open(NULL, NULL));
    return NULL;
}

static void test_log_sink(void **state)
{
    (void)state;
    records.lowest = LITHOPS_LOG_NONE;
    lithops_log_to(LITHOPS_LOG_DEBUG, sink, &records);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, open_and_close, NULL);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_true(records.count >= 60);
    assert_false(records.overlapped || records.bad);

    /* a small chunk size is the only warning at this level */
    memset(&records, 0, sizeof records);
    records.lowest = LITHOPS_LOG_NONE;
    lithops_log_to(LITHOPS_LOG_WARNING, sink, &records);
    const char *path = api_write_file("small.txt", "a\nb\n", 4);
    lithops_map_options options = LITHOPS_MAP_OPTIONS_INIT;
    options.obj_chunk_size = 2;
    lithops_futures *futures =
        not_null(lithops_map(fexec, where_am_i, lithops_pack("[s]", path), &options, &err));
    lithops_futures_unref(futures);
    assert_int_equal(records.lowest, LITHOPS_LOG_WARNING);
    not_null(strstr(records.text, "obj_chunk_size is 2"));

    /* as is a kind of monitoring that the backend does not have */
    lithops_executor_options rabbit = LITHOPS_EXECUTOR_OPTIONS_INIT;
    rabbit.monitoring = "rabbitmq";
    lithops_executor_close(not_null(lithops_executor_open(&rabbit, &err)));
    not_null(strstr(records.text, "'monitoring: rabbitmq' has no effect"));
    lithops_log_to(LITHOPS_LOG_NONE, NULL, NULL);
    int before = records.count;
    lithops_executor_close(api_open("{\"worker_processes\":1}"));
    assert_int_equal(records.count, before);
}

/* Whatever happens, the library writes nothing to the program's own streams. */
static void test_library_is_silent(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s/output", folder);
    fflush(stdout);
    fflush(stderr);
    int out = dup(1), error = dup(2), file = open(path, O_RDWR | O_CREAT, 0600);
    dup2(file, 1);
    dup2(file, 2);
    lithops_executor *own = api_open("{\"worker_processes\":2}");
    lithops_futures *futures = lithops_map(own, write_and_end, lithops_range(0, 3), NULL, &err);
    lithops_wait_options options = within_limit;
    options.throw_except = false;
    options.show_progressbar = true; /* no terminal here */
    (void)lithops_wait(NULL, futures, &options, NULL, NULL, &err);
    (void)lithops_call_async(own, NULL, NULL, NULL, NULL);
    lithops_futures_unref(futures);
    lithops_executor_close(own);
    fflush(stdout);
    fflush(stderr);
    dup2(out, 1);
    dup2(error, 2);
    struct stat status;
    assert_int_equal(fstat(file, &status), 0);
    assert_int_equal(status.st_size, 0);
    close(out);
    close(error);
    close(file);
}

int main(int argc, char **argv)
{
    api_init(&argc, &argv);
    setenv("TMPDIR", folder, 1); /* where an executor that closes keeps the output of calls */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ways),
        cmocka_unit_test(test_tiny_calls),
        cmocka_unit_test(test_both_streams),
        cmocka_unit_test(test_every_end),
        cmocka_unit_test(test_much_output),
        cmocka_unit_test(test_log_sink),
        cmocka_unit_test(test_library_is_silent),
    };
    return api_finish(cmocka_run_group_tests(tests, api_open_group, api_close_group));
}
