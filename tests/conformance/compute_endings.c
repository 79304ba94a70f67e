/* SPDX-License-Identifier: Apache-2.0 */
/* Conformance of compute backends: calls that fail, crash, run into limits, are cancelled or lose
 * their worker. Each has one outcome, and the executor goes on. */
#include "compute_parts.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- errors ---------------------------------------------------------------------------------- */

LITHOPS_FUNCTION(end_badly)
{
    switch (lithops_call_int(call)) {
    case 0:
        return lithops_fail(call, "no %s", "luck");
    case 1:
        return LITHOPS_EIO;
    case 2:
        abort();
    case 3:
        _exit(7);
    case 4:
        kill(getpid(), SIGKILL);
        return 0;
    default:
        return lithops_return_int(call, lithops_call_int(call));
    }
}

static void test_errors(void **state)
{
    (void)state;
    call_fails(suite_call(end_badly, lithops_value_int(0)), LITHOPS_ECALL, "no luck");
    call_fails(suite_call(end_badly, lithops_value_int(1)), LITHOPS_ECALL, "returned");
    lithops_futures *futures = suite_map(end_badly, api_json("[5,0,6]"));
    fails(lithops_wait(NULL, futures, &within_limit, NULL, NULL, &err), LITHOPS_ECALL, "no luck");
    suite_settle(futures);
    result_is(lithops_futures_get(futures, 0), "5");
    result_is(lithops_futures_get(futures, 2), "6");
    lithops_futures_unref(futures);
}

static void test_crashes(void **state)
{
    (void)state;
    for (int64_t how = 2; how <= 4; how++) {
        call_fails(suite_call(end_badly, lithops_value_int(how)), LITHOPS_ECRASH, "");
        suite_works(fexec);
    }
}

/* A crash affects no other call. */
static void test_a_crash_among_others(void **state)
{
    (void)state;
    lithops_value *list = lithops_value_list();
    for (int i = 0; i < 100; i++)
        (void)lithops_value_append(list, lithops_value_int(i == 50 ? 2 : i + 100));
    lithops_futures *futures = suite_map(end_badly, list);
    suite_settle(futures);
    for (size_t i = 0; i < 100; i++) {
        int64_t result;
        int rc = lithops_futures_int(futures, i, &result, &err);
        assert_int_equal(rc, i == 50 ? LITHOPS_ECRASH : 0);
        if (rc == 0)
            assert_int_equal(result, i + 100);
    }
    lithops_futures_unref(futures);
}

/* ---- retries --------------------------------------------------------------------------------- */

/* Each attempt leaves a byte in a file of its own, so it knows its number, also after a crash. */
LITHOPS_FUNCTION(second_time_lucky)
{
    int64_t how;
    const char *where;
    char path[200];
    struct stat status;
    if (lithops_args(call, "Is", "how", &how, "where", &where) != 0)
        return LITHOPS_EARG;
    snprintf(path, sizeof path, "%s/attempts-%d", where, (int)lithops_call_id(call));
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0666);
    if (fd < 0 || write(fd, "x", 1) != 1 || fstat(fd, &status) != 0)
        return lithops_fail(call, "cannot write to %s", path);
    close(fd);
    if (status.st_size == 1 && how == 0)
        return lithops_fail(call, "the first attempt");
    if (status.st_size == 1 && how == 1)
        abort();
    return lithops_return_int(call, status.st_size);
}

static void test_retries(void **state)
{
    (void)state;
    SKIP_UNLESS(suite->sees_files, "attempts are counted in the client's files");
    lithops_executor *retrying = suite_open(WORKERS, PROCESSES, 1);
    lithops_map_options options = LITHOPS_MAP_OPTIONS_INIT;
    lithops_value *extra = lithops_pack("{s:s}", "where", folder);
    options.extra_args = extra;
    results_are(
        not_null(lithops_map(retrying, second_time_lucky, api_json("[0,1,2,0,1]"), &options, &err)),
        "[2,2,1,2,2]");
    lithops_value_free(extra);
    lithops_executor_close(retrying);
}

/* ---- limits ---------------------------------------------------------------------------------- */

static void test_timeouts(void **state)
{
    (void)state;
    lithops_call_options options = LITHOPS_CALL_OPTIONS_INIT;
    options.timeout_ms = 300;
    call_fails(lithops_call_async(fexec, suite_pause, lithops_value_null(), &options, &err),
               LITHOPS_ETIMEOUT, "");
    suite_works(fexec);
}

LITHOPS_FUNCTION(fill_memory)
{
    size_t len = (size_t)lithops_call_int(call) << 20;
    char *memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return lithops_fail(call, "memory is refused");
    for (size_t i = 0; i < len; i += 4096)
        ((volatile char *)memory)[i] = 1;
    munmap(memory, len);
    return lithops_return_int(call, 1);
}

static int with_memory(int64_t limit_mb, int64_t mb)
{
    lithops_call_options options = LITHOPS_CALL_OPTIONS_INIT;
    int64_t result;
    options.runtime_memory_mb = limit_mb;
    lithops_future *future =
        not_null(lithops_call_async(fexec, fill_memory, lithops_value_int(mb), &options, &err));
    int rc = lithops_future_result(future, LIMIT_MS, &err, "I", &result);
    lithops_future_unref(future);
    return rc;
}

static void test_memory_limits(void **state)
{
    (void)state;
    SKIP_UNLESS(!UNDER_SANITIZER, "a sanitizer itself takes too much memory");
    int rc = with_memory(64, 300); /* without memory groups, memory is refused */
    assert_true(rc == LITHOPS_EMEMORY ||
                (rc == LITHOPS_ECALL && strstr(err.message, "memory is refused")));
    assert_int_equal(with_memory(64, 20), 0);
    assert_int_equal(with_memory(LITHOPS_DEFAULT, 300), 0);
    suite_works(fexec);
}

LITHOPS_FUNCTION(read_variable)
{
    (void)call;
    return lithops_return(call, "s?", getenv("LITHOPS_SUITE_VARIABLE"));
}

static void test_environment(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++) { /* more often than there are processes */
        lithops_call_options options = LITHOPS_CALL_OPTIONS_INIT;
        lithops_value *env = lithops_pack("{s:s}", "LITHOPS_SUITE_VARIABLE", "x y=z");
        options.extra_env = env;
        result_is(lithops_call_async(fexec, read_variable, lithops_value_null(), &options, &err),
                  "\"x y=z\"");
        lithops_value_free(env);
        result_is(suite_call(read_variable, lithops_value_null()), "null");
    }
}

/* ---- cancelling ------------------------------------------------------------------------------ */

static void test_cancel(void **state)
{
    (void)state;
    lithops_futures *futures = suite_map(suite_pause, lithops_range(0, 40));
    suite_await_running(futures, 1);
    assert_int_equal(lithops_futures_cancel(futures), 40);
    suite_settle(futures);
    for (size_t i = 0; i < 40; i++)
        assert_int_equal(lithops_futures_state(futures, i), LITHOPS_CANCELED);
    lithops_futures_unref(futures);
    suite_works(fexec);
}

static void test_cancel_of_one(void **state)
{
    (void)state;
    lithops_futures *futures = suite_map(suite_pause, lithops_range(0, 2));
    lithops_future *first = lithops_futures_get(futures, 0);
    lithops_future *second = lithops_futures_get(futures, 1);
    suite_await_running(futures, 2);
    assert_true(lithops_future_cancel(first));
    call_fails(first, LITHOPS_ECANCELED, "");
    assert_int_equal(lithops_future_state(second), LITHOPS_RUNNING);
    assert_true(lithops_future_cancel(second));
    call_fails(second, LITHOPS_ECANCELED, "");
    lithops_futures_unref(futures);
    lithops_future *done = suite_call(suite_square, lithops_value_int(3));
    succeeds(lithops_future_wait(done, LIMIT_MS, &err));
    assert_false(lithops_future_cancel(done));
    result_is(done, "9");
}

/* ---- loss ------------------------------------------------------------------------------------ */

LITHOPS_FUNCTION(square_slowly)
{
    int64_t x = lithops_call_int(call);
    usleep((useconds_t)(x % 7 * 1000));
    return lithops_return_int(call, x * x);
}

/* Lose a worker while calls run. @return how many calls failed, with errors that name the worker */
static size_t lose_one(lithops_executor *opened)
{
    enum { COUNT = 400 };
    lithops_futures *futures =
        not_null(lithops_map(opened, square_slowly, lithops_range(0, COUNT), NULL, &err));
    while (lithops_futures_done(futures) < COUNT / 4)
        sched_yield();
    assert_true(suite->kill_worker());
    suite_settle(futures);
    size_t failed = 0;
    for (size_t i = 0; i < COUNT; i++) {
        int64_t result;
        int rc = lithops_futures_int(futures, i, &result, &err);
        if (rc == 0) {
            assert_int_equal(result, i * i);
            continue;
        }
        assert_int_equal(rc, LITHOPS_ECRASH);
        assert_true(err.message[0] != '\0');
        failed++;
    }
    lithops_futures_unref(futures);
    return failed;
}

static void test_a_lost_worker(void **state)
{
    (void)state;
    assert_in_range(lose_one(fexec), 0, PROCESSES);
    suite_works(fexec);
}

static void test_a_lost_worker_with_retries(void **state)
{
    (void)state;
    lithops_executor_close(fexec); /* so that the lost worker belongs to the other one */
    fexec = suite_open(WORKERS, PROCESSES, 2);
    assert_int_equal(lose_one(fexec), 0);
    lithops_executor_close(fexec);
    (void)suite_open_group(NULL);
}

/* ---- closing --------------------------------------------------------------------------------- */

static void test_close_in_the_middle(void **state)
{
    (void)state;
    lithops_executor *own = suite_open(WORKERS, PROCESSES, 0);
    lithops_futures *futures =
        not_null(lithops_map(own, suite_pause, lithops_range(0, 100), NULL, &err));
    lithops_future *done =
        not_null(lithops_call_async(own, suite_square, lithops_value_int(2), NULL, &err));
    suite_await_running(futures, 1);
    lithops_executor_close(own);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(lithops_futures_state(futures, i), LITHOPS_CANCELED);
    assert_true(lithops_future_is_done(done));
    lithops_future_unref(done);
    lithops_futures_unref(futures);
}

static void test_close_at_once(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        lithops_executor *own = suite_open(WORKERS, PROCESSES, 0);
        lithops_futures *futures =
            i ? not_null(lithops_map(own, suite_square, lithops_range(0, 100), NULL, &err)) : NULL;
        lithops_executor_close(own);
        for (size_t c = 0; futures && c < 100; c++)
            assert_true(lithops_futures_state(futures, c) >= LITHOPS_SUCCESS);
        lithops_futures_unref(futures);
    }
}

int compute_endings_run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_crashes),
        cmocka_unit_test(test_a_crash_among_others),
        cmocka_unit_test(test_retries),
        cmocka_unit_test(test_timeouts),
        cmocka_unit_test(test_memory_limits),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_cancel_of_one),
        cmocka_unit_test(test_a_lost_worker),
        cmocka_unit_test(test_a_lost_worker_with_retries),
        cmocka_unit_test(test_close_in_the_middle),
        cmocka_unit_test(test_close_at_once),
    };
    return cmocka_run_group_tests_name(suite->backend, tests, suite_open_group, api_close_group);
}
