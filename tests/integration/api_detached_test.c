/* SPDX-License-Identifier: Apache-2.0 */
/* Detached jobs: they outlive their client, and their supervisor. */
#include "detached.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

LITHOPS_FUNCTION(square)
{
    int64_t x;
    if (lithops_args(call, "I", "x", &x) != 0)
        return LITHOPS_EARG;
    return lithops_return(call, "I", x * x);
}

LITHOPS_FUNCTION(text)
{
    int64_t x;
    char buf[64];
    if (lithops_args(call, "I", "x", &x) != 0)
        return LITHOPS_EARG;
    snprintf(buf, sizeof buf, "text %lld", (long long)x);
    return x == 3 ? lithops_fail(call, "three is %s", "refused") : lithops_return(call, "s", buf);
}

LITHOPS_FUNCTION(sum)
{
    int64_t total = 0, x;
    while (lithops_call_next_result(call, "I", &x) == 1)
        total += x;
    return lithops_return(call, "I", total);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void results_come_as_always(void **state)
{
    (void)state;
    lithops_executor *opened = open_detached("retry");
    lithops_futures *futures =
        not_null(lithops_map(opened, square, lithops_range(0, 5), NULL, &err));
    lithops_value *handle = not_null(lithops_job_handle(futures, &err));
    results_are(futures, "[0,1,4,9,16]");
    result_is(lithops_call_async(opened, text, lithops_pack("[i]", 7), NULL, &err), "\"text 7\"");
    call_fails(lithops_call_async(opened, text, lithops_pack("[i]", 3), NULL, &err), LITHOPS_ECALL,
               "three is refused");
    int64_t total = 0;
    succeeds(lithops_map_reduce(opened, square, lithops_range(0, 100), sum, NULL, NULL, &err));
    succeeds(lithops_get_result(opened, NULL, &within_limit, &err, "I", &total));
    assert_int_equal(total, 328350);
    lithops_executor_close(opened);
    release(handle);
}

static void inputs_of_all_kinds_arrive(void **state)
{
    (void)state;
    lithops_executor *opened = open_detached("retry");
    const int64_t ints[] = {3, 1, 2};
    results_are(lithops_map(opened, square, lithops_ints(ints, 3), NULL, &err), "[9,1,4]");
    results_are(lithops_map(opened, square, lithops_pack("[i,i]", 5, 6), NULL, &err), "[25,36]");
    results_are(lithops_map(opened, square, lithops_pack("[{s:i},[i]]", "x", 5, 6), NULL, &err),
                "[25,36]");
    results_are(lithops_map(opened, square, lithops_value_list(), NULL, &err), "[]");
    lithops_executor_close(opened);
}

static void attached_read_as_often_as_they_like(void **state)
{
    (void)state;
    lithops_executor *opened = open_detached("retry");
    lithops_futures *futures = not_null(lithops_map(opened, text, lithops_range(0, 5), NULL, &err));
    lithops_value *handle = not_null(lithops_job_handle(futures, &err));
    lithops_futures_unref(futures);
    lithops_executor_close(opened);
    succeeds(lithops_job_wait(handle, LIMIT_MS, &err));
    lithops_job_state there = state_of(handle);
    assert_int_equal(there.calls, 5);
    assert_int_equal(there.success, 4);
    assert_int_equal(there.failed, 1);
    assert_true(there.is_done);
    assert_string_equal(there.function, "text");
    lithops_executor *attached[2];
    for (int i = 0; i < 2; i++) { /* two at once */
        attached[i] = not_null(lithops_attach(handle, NULL, &futures, &err));
        lithops_wait_options all = within_limit;
        all.throw_except = false;
        lithops_value *results;
        succeeds(lithops_get_result_value(attached[i], futures, &all, &results, &err));
        char *json = api_to_json(results);
        assert_string_equal(json, "[\"text 0\", \"text 1\", \"text 2\", null, \"text 4\"]");
        free(json);
        lithops_value_free(results);
        call_fails(lithops_futures_get(futures, 3), LITHOPS_ECALL, "three is refused");
        lithops_value *again = not_null(lithops_job_handle(futures, &err));
        assert_true(lithops_value_equal(handle, again));
        lithops_value_free(again);
        lithops_futures_unref(futures);
    }
    lithops_executor_close(attached[0]);
    lithops_executor_close(attached[1]);
    release(handle);
}

/* There is much to give back when they are dropped, and nobody to be told of that. */
static void futures_outlive_their_executor(void **state)
{
    (void)state;
    const int64_t calls = 300000;
    lithops_executor *opened = open_detached("retry");
    lithops_futures *futures =
        not_null(lithops_map(opened, square, lithops_range(0, calls), NULL, &err));
    lithops_value *handle = not_null(lithops_job_handle(futures, &err));
    lithops_executor_close(opened);
    call_fails(lithops_futures_get(futures, (size_t)calls - 1), LITHOPS_ECLOSED,
               "attach to its job");
    lithops_futures_unref(futures);
    succeeds(lithops_job_wait(handle, LIMIT_MS, &err));
    assert_int_equal(state_of(handle).success, calls);
    release(handle);
}

static void job_outlives_its_client(void **state)
{
    (void)state;
    enum { CALLS = 40 };
    int runs[CALLS];
    lithops_futures *futures;
    lithops_value *handle = leave_job("retry", CALLS);
    lithops_executor *attached = not_null(lithops_attach(handle, NULL, &futures, &err));
    assert_int_equal(lithops_futures_size(futures), CALLS);
    open_gate();
    lithops_value *results;
    succeeds(lithops_get_result_value(attached, futures, &within_limit, &results, &err));
    for (int i = 0; i < CALLS; i++)
        assert_int_equal(lithops_value_get_int(lithops_value_at(results, (size_t)i)), i * i);
    count_runs(runs, CALLS);
    for (int i = 0; i < CALLS; i++)
        assert_int_equal(runs[i], 1);
    lithops_future *one = lithops_futures_get(futures, 5);
    char *log = not_null(lithops_future_logs(one));
    assert_string_equal(log, "call 5\n");
    free(log);
    lithops_future_unref(one);
    lithops_value_free(results);
    lithops_futures_unref(futures);
    lithops_executor_close(attached);
    release(handle);
}

static void rest_runs_again_without_its_supervisor(void **state)
{
    (void)state;
    enum { CALLS = 20 };
    int runs[CALLS];
    lithops_value *handle = leave_job("retry", CALLS);
    uint64_t done = state_of(handle).success;
    end_supervisor(handle);
    assert_false(state_of(handle).is_supervised);
    assert_int_equal(state_of(handle).success, done);
    open_gate();
    succeeds(lithops_job_wait(handle, LIMIT_MS, &err));
    assert_int_equal(state_of(handle).success, CALLS);
    count_runs(runs, CALLS);
    for (int i = 0; i < 4; i++) /* what was done is not done again */
        assert_int_equal(runs[i], 1);
    for (int i = 4; i < CALLS; i++)
        assert_in_range(runs[i], 1, 2);
    lithops_futures *futures;
    lithops_executor *attached = not_null(lithops_attach(handle, NULL, &futures, &err));
    lithops_value *results;
    succeeds(lithops_get_result_value(attached, futures, &within_limit, &results, &err));
    for (int i = 0; i < CALLS; i++)
        assert_int_equal(lithops_value_get_int(lithops_value_at(results, (size_t)i)), i * i);
    lithops_value_free(results);
    lithops_futures_unref(futures);
    lithops_executor_close(attached);
    release(handle);
}

static void rest_fails_without_its_supervisor(void **state)
{
    (void)state;
    lithops_value *handle = leave_job("fail", 20);
    end_supervisor(handle);
    lithops_futures *futures;
    lithops_executor *attached = not_null(lithops_attach(handle, NULL, &futures, &err));
    call_fails(lithops_futures_get(futures, 19), LITHOPS_ECRASH, "supervisor of the job was lost");
    result_is(lithops_futures_get(futures, 3), "9");
    succeeds(lithops_job_wait(handle, LIMIT_MS, &err));
    assert_int_equal(state_of(handle).success + state_of(handle).failed, 20);
    lithops_futures_unref(futures);
    lithops_executor_close(attached);
    open_gate();
    release(handle);
}

static void reducer_reads_what_was_done_before(void **state)
{
    (void)state;
    close_gate();
    lithops_executor *opened = open_detached("retry");
    lithops_futures *futures = NULL;
    succeeds(lithops_map_reduce(opened, gated, lithops_range(0, 10), sum, NULL, &futures, &err));
    lithops_value *handle = not_null(lithops_job_handle(futures, &err));
    await_done(handle, 4);
    end_supervisor(handle);
    open_gate();
    int64_t total = 0;
    succeeds(lithops_get_result(opened, futures, &within_limit, &err, "I", &total));
    assert_int_equal(total, 285);
    lithops_futures_unref(futures);
    lithops_executor_close(opened);
    lithops_executor *attached = not_null(lithops_attach(handle, NULL, &futures, &err));
    succeeds(lithops_get_result(attached, futures, &within_limit, &err, "I", &total));
    assert_int_equal(total, 285);
    assert_int_equal(lithops_futures_size(futures), 11);
    lithops_futures_unref(futures);
    lithops_executor_close(attached);
    release(handle);
}

static void cancel_reaches_the_supervisor(void **state)
{
    (void)state;
    lithops_value *handle = leave_job("retry", 20);
    lithops_futures *futures;
    lithops_executor *attached = not_null(lithops_attach(handle, NULL, &futures, &err));
    lithops_future *one = lithops_futures_get(futures, 19);
    assert_true(lithops_future_cancel(one));
    call_fails(one, LITHOPS_ECANCELED, "cancelled");
    assert_false(state_of(handle).is_done);
    succeeds(lithops_job_cancel(handle, &err));
    succeeds(lithops_job_wait(handle, LIMIT_MS, &err));
    lithops_job_state there = state_of(handle);
    assert_int_equal(there.success, 4);
    assert_int_equal(there.canceled, 16);
    lithops_futures_unref(futures);
    lithops_executor_close(attached);
    open_gate();
    release(handle);
}

LITHOPS_FUNCTION(napping)
{
    int64_t x;
    if (lithops_args(call, "I", "x", &x) != 0)
        return LITHOPS_EARG;
    usleep(200);
    return lithops_return(call, "I", x * x);
}

/* Whenever the supervisor is killed, each call has one outcome in the end. */
static void supervisors_killed_at_any_moment(void **state)
{
    (void)state;
    const int64_t calls = 2000;
    lithops_executor *opened = open_detached("retry");
    lithops_futures *futures =
        not_null(lithops_map(opened, napping, lithops_range(0, calls), NULL, &err));
    lithops_value *handle = not_null(lithops_job_handle(futures, &err));
    for (int i = 0, kills = api_times(20); i < kills && !state_of(handle).is_done;) {
        (void)lithops_job_wait(handle, 1 + i * 2 % 17, &err);
        pid_t supervisor = supervisor_of(handle);
        if (state_of(handle).is_supervised && supervisor > 1)
            i += kill(supervisor, SIGKILL) == 0;
    }
    succeeds(lithops_job_wait(handle, LIMIT_MS, &err));
    assert_int_equal(state_of(handle).success, calls);
    lithops_value *results;
    succeeds(lithops_get_result_value(opened, futures, &within_limit, &results, &err));
    for (int64_t i = 0; i < calls; i++)
        assert_int_equal(lithops_value_get_int(lithops_value_at(results, (size_t)i)), i * i);
    lithops_value_free(results);
    lithops_futures_unref(futures);
    lithops_executor_close(opened);
    release(handle);
}

static lithops_value *changed(const lithops_value *handle, const char *key, lithops_value *value)
{
    lithops_value *copy = lithops_value_copy(handle);
    assert_int_equal(lithops_value_set(copy, key, value), 0);
    return copy;
}

static void check_refused(lithops_value *handle, int code, const char *message)
{
    lithops_futures *futures;
    lithops_job_state state = LITHOPS_JOB_STATE_INIT;
    is_refused(lithops_attach(handle, NULL, &futures, &err), code, message);
    fails(lithops_job_state_read(handle, &state, &err), code, message);
    fails(lithops_job_release(handle, &err), code, message);
    lithops_value_free(handle);
}

static size_t journals_mapped(void)
{
    char line[1024];
    size_t count = 0;
    FILE *file = not_null(fopen("/proc/self/maps", "r"));
    while (fgets(line, sizeof line, file))
        count += strstr(line, "/lithops/jobs/") && strstr(line, "/M0");
    fclose(file);
    return count;
}

/* Others submit and make handles while the executor is being closed. */
static void *submit_until_closed(void *user)
{
    lithops_executor *opened = user;
    lithops_error own = LITHOPS_ERROR_INIT;
    for (;;) {
        lithops_futures *futures = lithops_map(opened, square, lithops_range(0, 20), NULL, &own);
        lithops_value *handle = futures ? lithops_job_handle(futures, &own) : NULL;
        lithops_futures_unref(futures);
        if (!handle) {
            assert_int_equal(own.code, LITHOPS_ECLOSED);
            return NULL;
        }
        assert_int_equal(lithops_job_release(handle, &own), 0);
        lithops_value_free(handle);
    }
}

static void closed_while_others_submit(void **state)
{
    (void)state;
    for (int i = 0; i < api_times(10); i++) {
        pthread_t threads[2];
        lithops_executor *opened = open_detached("retry");
        lithops_futures *held =
            not_null(lithops_map(opened, square, lithops_range(0, 2), NULL, &err));
        for (int t = 0; t < 2; t++)
            assert_int_equal(pthread_create(&threads[t], NULL, submit_until_closed, opened), 0);
        usleep(i * 3000 % 7000);
        lithops_value *handle = not_null(lithops_job_handle(held, &err));
        lithops_executor_close(opened); /* what they use of it stays, as there are futures */
        is_refused(lithops_job_handle(held, &err), LITHOPS_ECLOSED, "handle of a job before");
        for (int t = 0; t < 2; t++)
            assert_int_equal(pthread_join(threads[t], NULL), 0);
        lithops_futures_unref(held);
        release(handle);
    }
}

static void handles_of_forked_futures_are_refused(void **state)
{
    (void)state;
    lithops_executor *opened = open_detached("retry");
    lithops_futures *futures =
        not_null(lithops_map(opened, square, lithops_range(0, 2), NULL, &err));
    lithops_value *handle = not_null(lithops_job_handle(futures, &err));
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        lithops_error own = LITHOPS_ERROR_INIT;
        _exit(lithops_job_handle(futures, &own) || own.code != LITHOPS_EFORKED);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    lithops_futures_unref(futures);
    lithops_executor_close(opened);
    release(handle);
}

/* Of jobs that are done and dropped nothing is kept, not even a mapping each. */
static void finished_jobs_leave_nothing(void **state)
{
    (void)state;
    enum { JOBS = 60 };
    lithops_executor *opened = open_detached("retry");
    size_t descriptors = 0, mappings = 0;
    for (int i = 0; i < 2 * JOBS; i++) {
        if (i == JOBS) {
            descriptors = api_open_descriptors();
            mappings = journals_mapped();
        }
        lithops_futures *futures =
            not_null(lithops_map(opened, square, lithops_range(0, 2), NULL, &err));
        lithops_value *handle = not_null(lithops_job_handle(futures, &err));
        results_are(futures, "[0,1]");
        succeeds(lithops_job_release(handle, &err));
        lithops_value_free(handle);
        succeeds(lithops_clean(opened, NULL, NULL, &err));
    }
    assert_in_range(api_open_descriptors(), 0, descriptors + 2);
    assert_in_range(journals_mapped(), 0, mappings + 2);
    lithops_executor_close(opened);
}

static void wrong_handles_are_refused(void **state)
{
    (void)state;
    lithops_executor *opened = open_detached("retry");
    lithops_futures *futures =
        not_null(lithops_map(opened, square, lithops_range(0, 5), NULL, &err));
    lithops_value *handle = not_null(lithops_job_handle(futures, &err));
    check_refused(changed(handle, "type", lithops_value_string("other")), LITHOPS_EPARSE, "type");
    check_refused(changed(handle, "compatible", lithops_value_int(2)), LITHOPS_EPARSE,
                  "needs a version");
    check_refused(changed(handle, "user", lithops_value_int(geteuid() + 1)), LITHOPS_EDENIED,
                  "belongs to user");
    lithops_value *elsewhere = changed(handle, "host", lithops_value_string("other"));
    check_refused(changed(elsewhere, "boot", lithops_value_string("0")), LITHOPS_ENOTFOUND,
                  "the job is on 'other'");
    lithops_value_free(elsewhere);
    check_refused(changed(handle, "folder", lithops_value_string("/")), LITHOPS_EPARSE, "folder");
    check_refused(changed(handle, "folder", lithops_value_string("/etc")),
                  geteuid() == 0 ? LITHOPS_ENOTFOUND : LITHOPS_EDENIED, "");
    check_refused(changed(handle, "jobs",
                          api_json("[{\"job\":\"../M0\",\"token\":\"0123456789abcdef\","
                                   "\"calls\":5,\"begin\":0,\"end\":5}]")),
                  LITHOPS_EPARSE, "not complete");
    check_refused(changed(handle, "jobs",
                          api_json("[{\"job\":\"M000\",\"token\":\"0123456789abcdef\","
                                   "\"calls\":5,\"begin\":0,\"end\":5}]")),
                  LITHOPS_ENOTFOUND, "not there any more");
    /* members of later versions are no reason */
    lithops_value *later = changed(handle, "later", lithops_value_int(1));
    lithops_value *later_version = changed(later, "version", lithops_value_int(7));
    assert_int_equal(state_of(later_version).calls, 5);
    lithops_value_free(later);
    lithops_value_free(later_version);
    results_are(futures, "[0,1,4,9,16]");
    succeeds(lithops_job_release(handle, &err));
    check_refused(handle, LITHOPS_ENOTFOUND, "not there any more");
    lithops_executor_close(opened);
    fexec = api_open("{}"); /* no job of this one is detached */
    futures = not_null(lithops_map(fexec, square, lithops_range(0, 2), NULL, &err));
    is_refused(lithops_job_handle(futures, &err), LITHOPS_EUSAGE, "detached");
    results_are(futures, "[0,1]");
    lithops_executor_close(fexec);
}

static void list_shows_what_is_there(void **state)
{
    (void)state;
    lithops_value *handle = leave_job("retry", 8);
    lithops_value *list = not_null(lithops_job_list(&err));
    assert_int_equal(lithops_value_size(list), 1);
    const lithops_value *one = lithops_value_at(list, 0);
    assert_string_equal(lithops_value_get_string(lithops_value_get(one, "function")), "gated");
    assert_int_equal(lithops_value_get_int(lithops_value_get(one, "calls")), 8);
    assert_true(lithops_value_equal(lithops_value_get(one, "handle"), handle));
    lithops_value_free(list);
    open_gate();
    succeeds(lithops_job_wait(handle, LIMIT_MS, &err));
    release(handle);
}

int main(int argc, char **argv)
{
    api_init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(results_come_as_always, prepare),
        cmocka_unit_test_setup(inputs_of_all_kinds_arrive, prepare),
        cmocka_unit_test_setup(attached_read_as_often_as_they_like, prepare),
        cmocka_unit_test_setup(futures_outlive_their_executor, prepare),
        cmocka_unit_test_setup(job_outlives_its_client, prepare),
        cmocka_unit_test_setup(rest_runs_again_without_its_supervisor, prepare),
        cmocka_unit_test_setup(rest_fails_without_its_supervisor, prepare),
        cmocka_unit_test_setup(reducer_reads_what_was_done_before, prepare),
        cmocka_unit_test_setup(cancel_reaches_the_supervisor, prepare),
        cmocka_unit_test_setup(supervisors_killed_at_any_moment, prepare),
        cmocka_unit_test_setup(closed_while_others_submit, prepare),
        cmocka_unit_test_setup(handles_of_forked_futures_are_refused, prepare),
        cmocka_unit_test_setup(finished_jobs_leave_nothing, prepare),
        cmocka_unit_test_setup(wrong_handles_are_refused, prepare),
        cmocka_unit_test_setup(list_shows_what_is_there, prepare),
    };
    return api_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
