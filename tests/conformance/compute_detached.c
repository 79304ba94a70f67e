/* SPDX-License-Identifier: Apache-2.0 */
/* Detached jobs, whose calls run on the backend: their client is gone. */
#include "compute_parts.h"

#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

LITHOPS_FUNCTION(suite_sum)
{
    int64_t total = 0, x;
    while (lithops_call_next_result(call, "I", &x) == 1)
        total += x;
    return lithops_return_int(call, total);
}

/* For free(). NULL: there is none, and `own` says why. */
static char *handle_of(const lithops_futures *futures, lithops_error *own)
{
    char *json = NULL;
    lithops_value *handle = futures ? lithops_job_handle(futures, own) : NULL;
    if (handle)
        (void)lithops_value_to_json(handle, &json, own);
    lithops_value_free(handle);
    return json;
}

/* A map by a client that is killed as soon as there is a job. */
static lithops_value *leave_job(const lithops_function *function, int64_t count)
{
    char text[8192];
    int ends[2], status;
    size_t len = 0;
    assert_int_equal(pipe(ends), 0);
    pid_t client = fork();
    assert_true(client >= 0);
    if (client == 0) {
        lithops_error own = LITHOPS_ERROR_INIT;
        lithops_executor *opened = suite_open_detached();
        char *json =
            handle_of(lithops_map(opened, function, lithops_range(0, count), NULL, &own), &own);
        if (!json)
            _exit(lithops_error_print(&own, stderr));
        if (write(ends[1], json, strlen(json)) != (ssize_t)strlen(json))
            _exit(1);
        kill(getpid(), SIGKILL);
    }
    close(ends[1]);
    for (ssize_t n; (n = read(ends[0], text + len, sizeof text - len)) > 0; len += (size_t)n)
        ;
    close(ends[0]);
    assert_int_equal(waitpid(client, &status, 0), client);
    assert_true(WIFSIGNALED(status));
    return not_null(lithops_value_from_json(text, len, &err));
}

/* Its folder goes with it, when its supervisor has ended. */
static void release(lithops_value *handle)
{
    struct stat status;
    double begin = api_now();
    succeeds(lithops_job_release(handle, &err));
    while (stat(lithops_value_get_string(lithops_value_get(handle, "folder")), &status) == 0) {
        if (api_now() - begin > LIMIT_MS / 1000.0)
            fail_msg("the supervisor does not end");
        usleep(1000);
    }
    lithops_value_free(handle);
}

static void test_a_job_outlives_its_client(void **state)
{
    (void)state;
    lithops_value *handle = leave_job(suite_square, 20);
    for (int i = 0; i < 2; i++) { /* the results can be read again */
        lithops_futures *futures;
        lithops_value *results;
        lithops_executor *attached = not_null(lithops_attach(handle, NULL, &futures, &err));
        succeeds(lithops_get_result_value(attached, futures, &within_limit, &results, &err));
        assert_int_equal(lithops_value_size(results), 20);
        for (int64_t x = 0; x < 20; x++)
            assert_int_equal(lithops_value_get_int(lithops_value_at(results, (size_t)x)), x * x);
        lithops_value_free(results);
        lithops_futures_unref(futures);
        lithops_executor_close(attached);
    }
    lithops_job_state there = LITHOPS_JOB_STATE_INIT;
    succeeds(lithops_job_state_read(handle, &there, &err));
    assert_int_equal(there.success, 20);
    assert_true(there.is_done);
    release(handle);
}

static void test_a_job_that_is_left_is_cancelled(void **state)
{
    (void)state;
    lithops_value *handle = leave_job(suite_pause, 3);
    fails(lithops_job_wait(handle, 200, &err), LITHOPS_ETIMEDOUT, "");
    succeeds(lithops_job_cancel(handle, &err));
    succeeds(lithops_job_wait(handle, LIMIT_MS, &err));
    lithops_job_state there = LITHOPS_JOB_STATE_INIT;
    succeeds(lithops_job_state_read(handle, &there, &err));
    assert_int_equal(there.canceled, 3);
    release(handle);
}

static void test_a_reducer_of_a_detached_job(void **state)
{
    (void)state;
    lithops_executor *opened = suite_open_detached();
    lithops_futures *futures = NULL;
    int64_t total = 0;
    succeeds(lithops_map_reduce(opened, suite_square, lithops_range(0, 100), suite_sum, NULL,
                                &futures, &err));
    lithops_value *handle = not_null(lithops_job_handle(futures, &err));
    lithops_futures_unref(futures);
    lithops_executor_close(opened);
    lithops_executor *attached = not_null(lithops_attach(handle, NULL, &futures, &err));
    succeeds(lithops_get_result(attached, futures, &within_limit, &err, "I", &total));
    assert_int_equal(total, 328350);
    lithops_futures_unref(futures);
    lithops_executor_close(attached);
    release(handle);
}

/* A place of its own for jobs. */
static int open_place(void **state)
{
    char path[128];
    (void)state;
    snprintf(path, sizeof path, "%s/state", folder);
    return mkdir(path, 0700) != 0 || setenv("XDG_STATE_HOME", path, 1) != 0;
}

int compute_detached_run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_job_outlives_its_client),
        cmocka_unit_test(test_a_job_that_is_left_is_cancelled),
        cmocka_unit_test(test_a_reducer_of_a_detached_job),
    };
    return cmocka_run_group_tests_name(suite->backend, tests, open_place, NULL);
}
