/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs as a worker process sees them: which environment is in force, what is remembered of a job,
 * and what is not of another one in its place. */
#include "base/buffer.h"
#include "ipc/layout.h"
#include "ipc/table.h"
#include "value/value.h"
#include "worker/call.h"
#include "worker/job.h"
#include "worker/process.h"

#include <lithops/function.h>

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct lithops__table table;
static struct lithops__worker_process process;

static int setup(void **state)
{
    (void)state;
    lithops_error err = LITHOPS_ERROR_INIT;
    assert_int_equal(lithops__table_open(&table, "test-0", 1, 64 << 20, &err), 0);
    memset(&process, 0, sizeof process);
    process.area = table.area;
    unsetenv("JOB_TEST_NEW");
    setenv("JOB_TEST_OLD", "before", 1);
    return 0;
}

/* What the client of another machine has given these calls. */
static const struct lithops__job_name job_name = {"a1b2c3-7", 'M', 42, 1000};

static uint32_t make_range(const void *spec, size_t len)
{
    static const lithops_function nothing = {.name = "nothing", .symbol = "nothing"};
    uint32_t id, function;
    lithops_error err = LITHOPS_ERROR_INIT;
    assert_int_equal(lithops__table_function(&table, &nothing, &function, &err), 0);
    assert_int_equal(
        lithops__table_new_range(&table, function, 3, 3, LITHOPS__PENDING, &job_name, &id, &err),
        0);
    struct lithops__range *range = &table.area.ranges[id];
    range->spec = len ? lithops__table_store(&table, spec, len) : 0;
    range->spec_len = len;
    lithops__table_publish_range(&table, id);
    return id;
}

/* A job whose spec is this value; consumed. */
static uint32_t make_job(lithops_value *spec)
{
    struct lithops__buffer buffer = LITHOPS__BUFFER_INIT;
    lithops_error err = LITHOPS_ERROR_INIT;
    assert_non_null(spec);
    assert_int_equal(lithops__value_encode(spec, &buffer, &err), 0);
    uint32_t id = make_range(buffer.data, buffer.len);
    lithops__buffer_deinit(&buffer);
    lithops_value_free(spec);
    return id;
}

static uint32_t job_with(const char *name, const char *value)
{
    return make_job(lithops_pack("{s:{s:s}}", "env", name, value));
}

/* As at the end of a test: a job without an environment gives back what the process had. */
static int teardown(void **state)
{
    (void)state;
    lithops__job_enter(&process, make_range(NULL, 0));
    for (size_t i = 0; i < sizeof process.jobs / sizeof process.jobs[0]; i++)
        lithops_value_free(process.jobs[i].spec);
    free(process.saved);
    lithops__table_close(&table);
    return 0;
}

static void variable_is(const char *name, const char *value)
{
    const char *found = getenv(name);
    if (value && found)
        assert_string_equal(found, value);
    else
        assert_true(!value && !found);
}

static void environment_is_the_jobs(void **state)
{
    (void)state;
    uint32_t plain = make_range(NULL, 0);
    uint32_t job = make_job(
        lithops_pack("{s:{s:s,s:s}}", "env", "JOB_TEST_NEW", "here", "JOB_TEST_OLD", "replaced"));
    for (int i = 0; i < 3; i++) {
        lithops__job_enter(&process, job);
        variable_is("JOB_TEST_NEW", "here");
        variable_is("JOB_TEST_OLD", "replaced");
        lithops__job_enter(&process, plain);
        variable_is("JOB_TEST_NEW", NULL);
        variable_is("JOB_TEST_OLD", "before");
    }
}

static void one_environment_follows_another(void **state)
{
    (void)state;
    uint32_t a = job_with("JOB_TEST_OLD", "a"), b = job_with("JOB_TEST_OLD", "b");
    uint32_t other = job_with("JOB_TEST_NEW", "");
    for (int i = 0; i < 3; i++) {
        lithops__job_enter(&process, a);
        variable_is("JOB_TEST_OLD", "a");
        lithops__job_enter(&process, b);
        variable_is("JOB_TEST_OLD", "b");
        lithops__job_enter(&process, other);
        variable_is("JOB_TEST_OLD", "before");
        variable_is("JOB_TEST_NEW", "");
    }
}

/* More jobs than are remembered, the one in force among those that are forgotten. */
static void forgotten_jobs_are_read_again(void **state)
{
    (void)state;
    enum { JOBS = 30 };
    uint32_t jobs[JOBS];
    char value[16];
    for (int i = 0; i < JOBS; i++) {
        snprintf(value, sizeof value, "%d", i);
        jobs[i] = job_with("JOB_TEST_NEW", value);
    }
    for (int step = 1; step < JOBS; step += 2)
        for (int i = 0, k = 0; i < 3 * JOBS; i++, k = (k + step) % JOBS) {
            snprintf(value, sizeof value, "%d", k);
            const struct lithops__job_context *job = lithops__job_enter(&process, jobs[k]);
            assert_ptr_equal(process.current, job);
            variable_is("JOB_TEST_NEW", value);
        }
}

/* What was put into the environment while the job ran is not the job's any more. */
static void functions_may_change_it(void **state)
{
    (void)state;
    uint32_t plain = make_range(NULL, 0), job = job_with("JOB_TEST_OLD", "job's");
    lithops__job_enter(&process, job);
    setenv("JOB_TEST_OLD", "a function's", 1);
    lithops__job_enter(&process, plain);
    variable_is("JOB_TEST_OLD", "before");
    lithops__job_enter(&process, job);
    variable_is("JOB_TEST_OLD", "job's");
    unsetenv("JOB_TEST_OLD");
    lithops__job_enter(&process, plain);
    variable_is("JOB_TEST_OLD", "before");
}

static void a_job_in_the_same_place_is_another_one(void **state)
{
    (void)state;
    uint32_t id = make_job(lithops_pack("{s:[i]}", "extra_args", 1));
    const struct lithops__job_context *job = lithops__job_enter(&process, id);
    assert_int_equal(lithops_value_get_int(lithops_value_at(job->extra_args, 0)), 1);
    assert_ptr_equal(lithops__job_enter(&process, id), job); /* remembered */
    struct lithops__range *range = &table.area.ranges[id];
    range->spec = 0;
    atomic_fetch_add(&range->generation, 2); /* freed, and taken again */
    job = lithops__job_enter(&process, id);
    assert_null(job->extra_args);
    assert_int_equal(job->load_error.code, LITHOPS__NOT_LOADED);
}

static void damaged_jobs_fail_their_calls(void **state)
{
    (void)state;
    static const char *const specs[] = {"\xc1", "\x81\xa3\x65nv", "\xdf\xff\xff\xff\xff"};
    for (int i = 0; i < 3; i++) {
        const struct lithops__job_context *job =
            lithops__job_enter(&process, make_range(specs[i], strlen(specs[i])));
        assert_true(job->load_error.code < 0);
        assert_true(strlen(job->load_error.message) > 10);
    }
}

static void calls_are_known_by_what_was_given(void **state)
{
    (void)state;
    struct lithops__range *range = &table.area.ranges[make_range(NULL, 0)];
    lithops_call call = {.process = &process, .range = range, .index = 2};
    assert_int_equal(lithops_call_id(&call), 1002);
    assert_string_equal(lithops_call_job_key(&call), "a1b2c3-7-M042");

    const uint32_t numbers[] = {5, 8, 9 | LITHOPS__NUMBER_UNWANTED};
    range->numbers = lithops__table_store(&table, numbers, sizeof numbers);
    range->first_id = 0;
    assert_int_equal(lithops_call_id(&call), 0); /* each single call is a job of its own */
    assert_string_equal(lithops_call_job_key(&call), "a1b2c3-7-M009");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(environment_is_the_jobs, setup, teardown),
        cmocka_unit_test_setup_teardown(calls_are_known_by_what_was_given, setup, teardown),
        cmocka_unit_test_setup_teardown(one_environment_follows_another, setup, teardown),
        cmocka_unit_test_setup_teardown(forgotten_jobs_are_read_again, setup, teardown),
        cmocka_unit_test_setup_teardown(functions_may_change_it, setup, teardown),
        cmocka_unit_test_setup_teardown(a_job_in_the_same_place_is_another_one, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_jobs_fail_their_calls, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
