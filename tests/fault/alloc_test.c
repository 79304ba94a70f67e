/* SPDX-License-Identifier: Apache-2.0 */
/* Lack of memory in client and worker: each operation is repeated with its first, second, third ...
 * allocation failing, until none fails. Each time it returns the right result or LITHOPS_ENOMEM; it
 * never loses a part of the request, and the executor goes on.
 *
 * The linker hands the allocations of the engine's objects to the __wrap_ functions below. They
 * count on the thread that armed them: the client's main thread, or a worker's only one. */
#include "fault.h"

#include <lithops/plugin/runtime.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *ptr, size_t size);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *ptr, size_t size);
char *__wrap_strdup(const char *s);

static _Thread_local long until_failure = -1; /* allocations that still succeed; negative: all */
static _Thread_local long failures;

static bool fails(void)
{
    if (until_failure < 0 || until_failure-- > 0)
        return false;
    until_failure = -1; /* one failure only; the code after it must cope, and may allocate */
    failures++;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *ptr, size_t size)
{
    return fails() ? NULL : __real_realloc(ptr, size);
}

char *__wrap_strdup(const char *s)
{
    return fails() ? NULL : __real_strdup(s);
}

static const lithops_error no_memory = {.code = LITHOPS_ENOMEM, .message = "NULL"};

/* ---- functions ------------------------------------------------------------------------------- */

/* Needs more than its input: fails without its environment or extra_args. */
LITHOPS_FUNCTION(scaled)
{
    int64_t x, factor;
    int rc = lithops_args(call, "II", "x", &x, "factor", &factor);
    if (rc != 0)
        return rc;
    const char *offset = getenv("ALLOC_TEST_OFFSET");
    if (!offset)
        return lithops_fail(call, "the environment is missing");
    return lithops_return_int(call, x * factor + atoi(offset));
}

LITHOPS_FUNCTION(with_environment)
{
    const char *text = getenv("ALLOC_TEST_OFFSET");
    lithops_value *value =
        lithops_pack("{s:s,s:[iii]}", "offset", text ? text : "missing", "list", 1, 2, 3);
    return value ? lithops_return_value(call, value) : lithops_fail_error(call, &no_memory);
}

LITHOPS_FUNCTION(sum)
{
    int64_t total = 0, x;
    int rc;
    while ((rc = lithops_call_next_result(call, "I", &x)) > 0)
        total += x;
    return rc < 0 ? rc : lithops_return_int(call, total);
}

LITHOPS_FUNCTION(total)
{
    const lithops_value *list = lithops_call_input(call);
    if (!list)
        return LITHOPS_EARG;
    int64_t all = 0;
    for (size_t i = 0; i < lithops_value_size(list); i++)
        all += lithops_value_get_int(lithops_value_at(list, i));
    return lithops_return_int(call, all);
}

LITHOPS_FUNCTION(count_lines)
{
    lithops_stream *stream = lithops_call_object(call);
    lithops_bytes line;
    int64_t lines = 0;
    while (stream && lithops_stream_next_line(stream, &line))
        lines++;
    return stream ? lithops_return_int(call, lines) : lithops_call_error(call)->code;
}

/* Make the worker's `n`-th allocation from here fail. */
LITHOPS_FUNCTION(arm)
{
    until_failure = lithops_call_int(call);
    failures = 0;
    return 0;
}

LITHOPS_FUNCTION(disarm)
{
    until_failure = -1;
    return lithops_return_int(call, failures);
}

/* ---- operations of the client ---------------------------------------------------------------- */

static lithops_executor *fexec;
static lithops_value *env, *factor; /* {"ALLOC_TEST_OFFSET": "3"}, {"factor": 10} */

/* Lets an operation make its inputs before it is armed. */
static long fail_at;
static void begin(void)
{
    until_failure = fail_at;
}

static void settle(void) /* the rest belongs to the test */
{
    until_failure = -1;
}

static int open_and_close(lithops_error *err)
{
    begin();
    lithops_executor *other = fault_try_open(1, NULL, err);
    settle();
    lithops_executor_close(other);
    return other ? 0 : err->code;
}

static int close_executor(lithops_error *err)
{
    (void)err;
    lithops_executor *other = fault_open(1, NULL);
    lithops_future *f = lithops_call_async(other, fault_square, lithops_value_int(3), NULL, err);
    begin();
    lithops_executor_close(other);
    settle();
    lithops_future_unref(f);
    return 0;
}

static int call_plain(lithops_error *err)
{
    lithops_value *input = lithops_pack("[III]", (int64_t)1, (int64_t)2, (int64_t)3);
    int64_t x = -1;
    begin();
    lithops_future *f = lithops_call_async(fexec, total, input, NULL, err);
    int rc = f ? lithops_future_result(f, FAULT_WAIT_MS, err, "I", &x) : err->code;
    settle();
    lithops_future_unref(f);
    if (rc == 0)
        CHECK_INT(x, 6);
    return rc;
}

static int call_with_options(lithops_error *err)
{
    lithops_call_options options = LITHOPS_CALL_OPTIONS_INIT;
    options.extra_env = env;
    options.timeout_ms = 60000;
    lithops_value *input = lithops_value_int(1);
    const char *offset = NULL;
    const lithops_value *value = NULL;
    begin();
    lithops_future *f = lithops_call_async(fexec, with_environment, input, &options, err);
    int rc = f ? lithops_future_value(f, FAULT_WAIT_MS, &value, err) : err->code;
    settle();
    if (rc == 0)
        offset = lithops_value_get_string(lithops_value_get(value, "offset"));
    CHECK(rc != 0 || (offset && strcmp(offset, "3") == 0));
    lithops_future_unref(f);
    return rc;
}

static int map_with_options(lithops_error *err)
{
    lithops_map_options options = LITHOPS_MAP_OPTIONS_INIT;
    options.extra_env = env;
    options.extra_args = factor;
    options.timeout_ms = 60000;
    lithops_value *inputs = lithops_pack("[{s:i},{s:i},{s:i}]", "x", 1, "x", 2, "x", 3);
    int64_t a = 0, b = 0, c = 0;
    begin();
    lithops_futures *fs = lithops_map(fexec, scaled, inputs, &options, err);
    int rc = fs ? lithops_get_result(NULL, fs, NULL, err, "[III]", &a, &b, &c) : err->code;
    settle();
    lithops_futures_unref(fs);
    CHECK(rc != 0 || (a == 13 && b == 23 && c == 33));
    return rc;
}

static int map_and_reduce(lithops_error *err)
{
    lithops_map_reduce_options options = LITHOPS_MAP_REDUCE_OPTIONS_INIT;
    options.extra_env = env;
    lithops_futures *fs = NULL;
    lithops_value *inputs = lithops_range(0, 10);
    int64_t x = -1;
    begin();
    int rc = lithops_map_reduce(fexec, fault_square, inputs, sum, &options, &fs, err);
    if (rc == 0)
        rc = lithops_get_result(NULL, fs, NULL, err, "I", &x);
    settle();
    CHECK(rc != 0 || x == 285);
    lithops_futures_unref(fs);
    return rc;
}

static int map_over_futures(lithops_error *err)
{
    lithops_futures *inputs = lithops_map(fexec, fault_square, lithops_range(1, 4), NULL, err);
    CHECK(inputs != NULL);
    lithops_value *value = NULL;
    begin();
    lithops_futures *fs = lithops_map_futures(fexec, fault_square, inputs, NULL, err);
    int rc = fs ? lithops_get_result_value(NULL, fs, NULL, &value, err) : err->code;
    settle();
    CHECK(rc != 0 || lithops_value_get_int(lithops_value_at(value, 2)) == 81);
    lithops_value_free(value);
    lithops_futures_unref(inputs);
    lithops_futures_unref(fs);
    return rc;
}

static int map_over_objects(lithops_error *err)
{
    lithops_map_options options = LITHOPS_MAP_OPTIONS_INIT;
    options.obj_chunk_number = 2;
    char path[] = "/tmp/lithops-alloc-XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0 && write(fd, "a\nb\nc\nd\n", 8) == 8);
    close(fd);
    lithops_value *inputs = lithops_pack("[s]", path);
    lithops_value *value = NULL;
    begin();
    lithops_futures *fs = lithops_map(fexec, count_lines, inputs, &options, err);
    int rc = fs ? lithops_get_result_value(NULL, fs, NULL, &value, err) : err->code;
    settle();
    unlink(path);
    int64_t lines = 0;
    for (size_t i = 0; i < lithops_value_size(value); i++)
        lines += lithops_value_get_int(lithops_value_at(value, i));
    CHECK(rc != 0 || lines == 4);
    lithops_value_free(value);
    lithops_futures_unref(fs);
    return rc;
}

static int wait_for_some(lithops_error *err)
{
    lithops_futures *fs = lithops_map(fexec, fault_square, lithops_range(0, 4), NULL, err);
    CHECK(fs != NULL);
    lithops_futures *done = NULL, *rest = NULL;
    lithops_wait_options options = LITHOPS_WAIT_OPTIONS_INIT;
    options.return_when = LITHOPS_ANY;
    size_t index = 9;
    begin();
    int rc = lithops_wait(NULL, fs, &options, &done, &rest, err);
    if (rc == 0)
        CHECK_INT(lithops_futures_size(done) + lithops_futures_size(rest), 4);
    for (int i = 0; rc == 0 && i < 4; i++)
        rc = lithops_futures_next(fs, NULL, &index, err);
    if (rc == 0)
        rc = lithops_wait(fexec, NULL, NULL, NULL, NULL, err);
    settle();
    lithops_futures_unref(done);
    lithops_futures_unref(rest);
    lithops_futures_unref(fs);
    return rc;
}

/* Also with the executor alone. */
static int results_of_executor(lithops_error *err)
{
    lithops_clean_options clean = LITHOPS_CLEAN_OPTIONS_INIT;
    CHECK_INT(lithops_clean(fexec, NULL, &clean, err), 0);
    lithops_call_options options = LITHOPS_CALL_OPTIONS_INIT;
    options.extra_env = env;
    lithops_future *f =
        lithops_call_async(fexec, with_environment, lithops_value_int(0), &options, err);
    CHECK(f != NULL);
    const char *text = NULL;
    const lithops_value *list = NULL;
    begin();
    int rc =
        lithops_get_result(fexec, NULL, NULL, err, "{s:s,s:o}", "offset", &text, "list", &list);
    settle();
    CHECK(rc != 0 || (strcmp(text, "3") == 0 && lithops_value_size(list) == 3));
    lithops_future_unref(f);
    return rc;
}

/* Cancelling needs no memory: a call reported as cancelled ends as cancelled. */
static int cancel_running(lithops_error *err)
{
    lithops_future *f = lithops_call_async(fexec, fault_nap, lithops_value_int(600000), NULL, err);
    CHECK(f != NULL);
    while (lithops_future_state(f) != LITHOPS_RUNNING)
        usleep(100);
    begin();
    bool canceled = lithops_future_cancel(f);
    settle();
    CHECK(canceled);
    lithops_error outcome = LITHOPS_ERROR_INIT;
    CHECK_INT(fault_outcome(f, &outcome), LITHOPS_ECANCELED);
    return 0;
}

static int clean_up(lithops_error *err)
{
    lithops_futures *fs = lithops_map(fexec, fault_square, lithops_range(0, 4), NULL, err);
    CHECK(fs != NULL);
    lithops_clean_options options = LITHOPS_CLEAN_OPTIONS_INIT;
    options.force = true;
    begin();
    int rc = lithops_clean(fexec, fs, &options, err);
    settle();
    lithops_futures_unref(fs);
    return rc;
}

static int say_what_was(lithops_error *err)
{
    lithops_future *f = lithops_call_async(fexec, fault_square, lithops_value_int(5), NULL, err);
    CHECK(f != NULL && lithops_future_wait(f, FAULT_WAIT_MS, err) == 0);
    char *csv = NULL;
    begin();
    lithops_value *stats = lithops_future_stats(f);
    int rc = lithops_job_summary(fexec, 0, NULL, &csv, err);
    lithops_value *config = lithops_executor_config(fexec);
    settle();
    bool complete = stats && lithops_value_get(stats, "worker_peak_memory_end") &&
                    lithops_value_get(stats, "func_name");
    CHECK(!stats || complete);
    CHECK(!config || lithops_value_size(config) > 0);
    if (rc == 0 && (!stats || !config))
        rc = LITHOPS_ENOMEM, *err = no_memory; /* they can report it only by NULL */
    free(csv);
    lithops_value_free(stats);
    lithops_value_free(config);
    lithops_future_unref(f);
    return rc;
}

static int plot(lithops_error *err)
{
    lithops_futures *fs = lithops_map(fexec, fault_square, lithops_range(0, 4), NULL, err);
    CHECK(fs && lithops_wait(NULL, fs, NULL, NULL, NULL, err) == 0);
    char prefix[] = "/tmp/lithops-alloc-plot-XXXXXX", path[80];
    CHECK(mkdtemp(prefix) != NULL);
    snprintf(path, sizeof path, "%s/p", prefix);
    begin();
    int rc = lithops_plot(NULL, fs, path, NULL, err);
    settle();
    snprintf(path, sizeof path, "%s/p_timeline.png", prefix);
    unlink(path);
    snprintf(path, sizeof path, "%s/p_histogram.png", prefix);
    unlink(path);
    rmdir(prefix);
    lithops_futures_unref(fs);
    return rc;
}

static void note_done(lithops_future *future, void *user)
{
    (void)future;
    atomic_store((atomic_int *)user, 1);
}

static int call_back(lithops_error *err)
{
    atomic_int done = 0;
    lithops_future *f = lithops_call_async(fexec, fault_square, lithops_value_int(5), NULL, err);
    CHECK(f != NULL);
    begin();
    int rc = lithops_future_on_done(f, note_done, &done, err);
    settle();
    while (rc == 0 && !atomic_load(&done))
        usleep(100);
    lithops_future_unref(f);
    return rc;
}

/* ---- running them ---------------------------------------------------------------------------- */

static void make_inputs(void)
{
    env = lithops_pack("{s:s}", "ALLOC_TEST_OFFSET", "3");
    factor = lithops_pack("{s:i}", "factor", 10);
}

static void drop_inputs(void)
{
    lithops_value_free(env);
    lithops_value_free(factor);
}

static void check_outcome(const char *name, long n, int rc, const lithops_error *err)
{
    if (rc == 0 || (rc == LITHOPS_ENOMEM && err->code == LITHOPS_ENOMEM && err->message[0]))
        return;
    fprintf(stderr, "%s, allocation %ld: %d, error %d \"%s\"\n", name, n, rc, err->code,
            err->message);
    fault_fail(__FILE__, __LINE__, name);
}

/* Let each allocation of `operation` fail once. @return how many there are */
static long torture(const char *name, int (*operation)(lithops_error *err))
{
    make_inputs();
    for (fail_at = 0;; fail_at++) {
        lithops_error err = LITHOPS_ERROR_INIT;
        fexec = fault_open(1, NULL);
        failures = 0;
        int rc = operation(&err);
        bool over = failures == 0;
        check_outcome(name, fail_at, rc, &err);
        fault_check_works(fexec, 10);
        lithops_executor_close(fexec);
        CHECK(!over || rc == 0);
        if (over)
            break;
    }
    drop_inputs();
    return fail_at;
}

#define TORTURE(operation)                                                                         \
    FAULT_CASE(client_##operation)                                                                 \
    {                                                                                              \
        CHECK(torture(#operation, operation) > 0);                                                 \
    }
TORTURE(open_and_close)
TORTURE(call_plain)
TORTURE(call_with_options)
TORTURE(map_with_options)
TORTURE(map_and_reduce)
TORTURE(map_over_futures)
TORTURE(map_over_objects)
TORTURE(wait_for_some)
TORTURE(results_of_executor)
TORTURE(clean_up)
TORTURE(say_what_was)
TORTURE(plot)
TORTURE(call_back)

FAULT_CASE(client_cancel_and_close)
{
    (void)torture("cancel_running", cancel_running); /* zero allocations is best */
    (void)torture("close_executor", close_executor);
}

/* ---- the worker ------------------------------------------------------------------------------ */

static void tell_worker(const lithops_function *function, int64_t n, int64_t *ret)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_future *f = lithops_call_async(fexec, function, lithops_value_int(n), NULL, &err);
    CHECK(f != NULL);
    if (lithops_future_wait(f, FAULT_WAIT_MS, &err) != 0 ||
        (ret && lithops_future_result(f, FAULT_WAIT_MS, &err, "I", ret) != 0))
        fault_fail(__FILE__, __LINE__, err.message);
    lithops_future_unref(f);
}

/* The worker's n-th allocation after `arm` fails, while it runs what `operation` starts. */
static void torture_worker(const char *name, int (*operation)(lithops_error *err))
{
    make_inputs();
    fail_at = -1; /* not here */
    int64_t failed = 1;
    fexec = fault_open(1, NULL);
    for (long n = 0; failed; n++) {
        lithops_error err = LITHOPS_ERROR_INIT;
        tell_worker(arm, n, NULL);
        int rc = operation(&err);
        tell_worker(disarm, 0, &failed);
        check_outcome(name, n, rc, &err);
        CHECK(failed || rc == 0);
        err.code = 0;
        CHECK_INT(operation(&err), 0); /* the failed one left nothing behind */
    }
    lithops_executor_close(fexec);
    drop_inputs();
}

FAULT_CASE(worker_runs_calls)
{
    torture_worker("call_plain", call_plain);
    torture_worker("call_with_options", call_with_options);
    torture_worker("map_with_options", map_with_options);
}

FAULT_CASE(worker_reduces)
{
    torture_worker("map_and_reduce", map_and_reduce);
    torture_worker("map_over_futures", map_over_futures);
}

FAULT_CASE(worker_reads_objects)
{
    torture_worker("map_over_objects", map_over_objects);
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(client_open_and_close),      cmocka_unit_test(client_call_plain),
        cmocka_unit_test(client_call_with_options),   cmocka_unit_test(client_map_with_options),
        cmocka_unit_test(client_map_and_reduce),      cmocka_unit_test(client_map_over_futures),
        cmocka_unit_test(client_map_over_objects),    cmocka_unit_test(client_wait_for_some),
        cmocka_unit_test(client_results_of_executor), cmocka_unit_test(client_clean_up),
        cmocka_unit_test(client_say_what_was),        cmocka_unit_test(client_plot),
        cmocka_unit_test(client_call_back),           cmocka_unit_test(client_cancel_and_close),
        cmocka_unit_test(worker_runs_calls),          cmocka_unit_test(worker_reduces),
        cmocka_unit_test(worker_reads_objects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
