/* SPDX-License-Identifier: Apache-2.0 */
/* Memory in the steady state: once results were handed over and their futures dropped, released or
 * cleaned, client, workers and shared memory are within 64 MiB of where they began. */
#include "api.h"

#include <lithops/plugin/runtime.h>

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { MIB = 1 << 20, BOUND_MIB = 64, PATIENCE_S = 20 };

LITHOPS_FUNCTION(increment)
{
    return lithops_return_int(call, lithops_call_int(call) + 1);
}

/* Return that many bytes. */
LITHOPS_FUNCTION(make)
{
    size_t len = (size_t)lithops_call_int(call);
    char *bytes = lithops_call_alloc(call, len);
    if (!bytes)
        return LITHOPS_ENOMEM;
    memset(bytes, 'x', len);
    return lithops_return_bytes(call, bytes, len);
}

LITHOPS_FUNCTION(make_10_mb)
{
    void *bytes = lithops_call_alloc(call, 10000000);
    return bytes ? lithops_return_bytes(call, memset(bytes, 'x', 10000000), 10000000)
                 : LITHOPS_ENOMEM;
}

LITHOPS_FUNCTION(make_some)
{
    puts("x"); /* so that the call has output */
    void *bytes = lithops_call_alloc(call, 10000);
    return bytes ? lithops_return_bytes(call, memset(bytes, 'x', 10000), 10000) : LITHOPS_ENOMEM;
}

/* 200 MB in small blocks, all freed but the last, which keeps the heap from shrinking. */
LITHOPS_FUNCTION(use_much)
{
    enum { COUNT = 200000, BYTES = 1000 };
    static void *blocks[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        if ((blocks[i] = malloc(BYTES)) != NULL)
            memset(blocks[i], 'x', BYTES);
    for (size_t i = 0; i + 1 < COUNT; i++)
        free(blocks[i]);
    return lithops_return_int(call, 0);
}

LITHOPS_FUNCTION(length)
{
    return lithops_return_int(call, (int64_t)lithops_value_get_bytes(lithops_call_input(call)).len);
}

LITHOPS_FUNCTION(fails_at_length)
{
    char text[900];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    return lithops_fail(call, "%s", text);
}

static void await_file(const char *path)
{
    while (access(path, F_OK) != 0)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
}

/* Wait for the file that the input names, note there that the wait is over, and fail with an error
 * of 2 MiB. */
LITHOPS_FUNCTION(fails_after)
{
    const char *path = lithops_value_get_string(lithops_call_input(call));
    await_file(path);
    FILE *file = fopen(path, "ae");
    fputc('.', file);
    fclose(file);
    lithops_error error = LITHOPS_ERROR_INIT;
    error.code = LITHOPS_ECALL;
    snprintf(error.message, sizeof error.message, "it was wrong");
    char *text = calloc(1, 2 * MIB);
    memset(text, 'x', 2 * MIB);
    int rc = lithops_fail_data(call, &error, (lithops_bytes){text, 2 * MIB});
    free(text);
    return rc;
}

/* ---- measuring ------------------------------------------------------------------------------- */

static size_t pss_kb(const char *pid)
{
    char path[300], line[256];
    size_t kb = 0;
    snprintf(path, sizeof path, "/proc/%s/smaps_rollup", pid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "Pss: %zu kB", &kb) == 1)
            break;
    if (file)
        fclose(file);
    return kb;
}

static bool is_child(const char *pid)
{
    char path[300], text[512] = "";
    snprintf(path, sizeof path, "/proc/%s/stat", pid);
    FILE *file = fopen(path, "re");
    size_t len = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file)
        fclose(file);
    const char *after = len ? strrchr(text, ')') : NULL;
    int parent = 0;
    return after && sscanf(after + 1, " %*c %d", &parent) == 1 && parent == getpid();
}

/* The memory that executors' memory files take, mapped or not. */
static size_t files_kb(void)
{
    size_t kb = 0;
    DIR *dir = opendir("/proc/self/fd");
    for (struct dirent *entry; dir && (entry = readdir(dir)) != NULL;) {
        char path[300], target[256] = "";
        struct stat status;
        snprintf(path, sizeof path, "/proc/self/fd/%s", entry->d_name);
        if (readlink(path, target, sizeof target - 1) > 0 && strstr(target, "memfd:lithops") &&
            stat(path, &status) == 0)
            kb += (size_t)status.st_blocks / 2;
    }
    if (dir)
        closedir(dir);
    return kb;
}

/* The memory of the client and its workers; a memory file counts once, including pages that no
 * process has touched. */
static size_t used_mib(void)
{
    size_t kb = pss_kb("self"), files = files_kb();
    DIR *dir = opendir("/proc");
    for (struct dirent *entry; dir && (entry = readdir(dir)) != NULL;)
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && is_child(entry->d_name))
            kb += pss_kb(entry->d_name);
    if (dir)
        closedir(dir);
    return (kb > files ? kb : files) / 1024;
}

/* Memory is returned a moment after the last result. */
#define returns_to(start) check_return(start, __FILE__, __LINE__)
static void check_return(size_t start_mib, const char *file, int line)
{
    double end = api_now() + PATIENCE_S;
    size_t mib = used_mib();
    while (mib > start_mib + BOUND_MIB && api_now() < end) {
        nanosleep(&(struct timespec){0, 20000000}, NULL);
        mib = used_mib();
    }
    if (mib > start_mib + BOUND_MIB) {
        fprintf(stderr, "%zu MiB are used, %zu MiB were at the start\n", mib, start_mib);
        _fail(file, line);
    }
}

static size_t begin(void)
{
    result_is(lithops_call_async(fexec, increment, lithops_value_int(1), NULL, &err), "2");
    return used_mib();
}

static lithops_futures *map_of(const lithops_function *function, int64_t count)
{
    return not_null(lithops_map(fexec, function, lithops_range(0, count), NULL, &err));
}

/* ---- the last handle ----------------------------------------------------------------------------
 */

static void test_calls_and_unref(void **state)
{
    (void)state;
    size_t start = begin(), middle = 0;
    int count = api_times(2000000);
    for (int i = 0; i < count; i++) {
        lithops_future_unref(
            not_null(lithops_call_async(fexec, increment, lithops_value_int(i), NULL, &err)));
        if (i % 10000 == 0) /* waiting calls take memory */
            succeeds(lithops_wait(fexec, NULL, &within_limit, NULL, NULL, &err));
        if (i == count / 2)
            middle = used_mib();
    }
    succeeds(lithops_wait(fexec, NULL, &within_limit, NULL, NULL, &err));
    size_t end = used_mib();
    if (end >= start + 32 || end >= middle + 8)
        fail_msg("%zu MiB at the start, %zu in the middle, %zu at the end", start, middle, end);
}

/* A call with its own options is a job; what the engine remembers of jobs is bounded, too. */
static void test_jobs_of_one_call(void **state)
{
    (void)state;
    lithops_call_options options = LITHOPS_CALL_OPTIONS_INIT;
    options.timeout_ms = 1000000;
    size_t start = begin();
    int count = api_times(200000);
    for (int i = 0; i < count; i++) {
        lithops_future_unref(
            not_null(lithops_call_async(fexec, increment, lithops_value_int(i), &options, &err)));
        if (i % 1000 == 0)
            succeeds(lithops_wait(fexec, NULL, &within_limit, NULL, NULL, &err));
    }
    succeeds(lithops_wait(fexec, NULL, &within_limit, NULL, NULL, &err));
    size_t end = used_mib();
    if (end >= start + 40)
        fail_msg("%zu MiB at the start, %zu at the end", start, end);
}

/* Large results of calls whose futures were dropped are freed at once, unasked. */
static void test_big_results_dropped_before_they_come(void **state)
{
    (void)state;
    size_t start = begin();
    for (int i = 0; i < 100; i++)
        lithops_future_unref(
            not_null(lithops_call_async(fexec, make, lithops_value_int(10 * MIB), NULL, &err)));
    lithops_futures_unref(map_of(make_10_mb, 50));
    succeeds(lithops_wait(fexec, NULL, &within_limit, NULL, NULL, &err));
    returns_to(start);
}

static void test_maps_read_and_dropped(void **state)
{
    (void)state;
    size_t start = begin();
    for (int i = 0; i < 30; i++) {
        lithops_futures *futures = map_of(make_some, 1000);
        lithops_value *values;
        succeeds(lithops_get_result_value(NULL, futures, &within_limit, &values, &err));
        lithops_value_free(values);
        lithops_futures_unref(futures);
        if (i == 0)
            lithops_futures_unref(map_of(make_10_mb, 30)); /* and some that are never read */
    }
    returns_to(start);
}

static void test_failures_dropped(void **state)
{
    (void)state;
    size_t start = begin();
    for (int i = 0; i < 20; i++) {
        lithops_futures *futures = map_of(fails_at_length, 10000);
        lithops_wait_options options = within_limit;
        options.throw_except = false;
        succeeds(lithops_wait(NULL, futures, &options, NULL, NULL, &err));
        lithops_futures_unref(futures);
    }
    returns_to(start);
}

static void start_calls(const lithops_function *function, int count, bool as_map, const char *path)
{
    lithops_value *paths = lithops_value_list();
    for (int i = 0; i < count; i++) {
        lithops_value *one = lithops_value_string(path);
        if (as_map)
            succeeds(lithops_value_append(paths, one));
        else
            lithops_future_unref(not_null(lithops_call_async(fexec, function, one, NULL, &err)));
    }
    if (as_map)
        lithops_futures_unref(not_null(lithops_map(fexec, function, paths, NULL, &err)));
    else
        lithops_value_free(paths);
}

/* Results that come after the last handle was dropped are freed without another job, wait or
 * clean. */
static void test_abandoned_calls_that_end_later(void **state)
{
    (void)state;
    enum { COUNT = 100 };
    for (int as_map = 0; as_map < 2; as_map++) {
        size_t start = begin();
        char path[100];
        snprintf(path, sizeof path, "%s/go%d", folder, as_map);
        start_calls(fails_after, COUNT, as_map, path);
        (void)api_write_file(path + strlen(folder) + 1, "", 0);
        struct stat status = {.st_size = 0};
        for (double end = api_now() + PATIENCE_S; status.st_size < COUNT && api_now() < end;)
            assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_size, COUNT);
        returns_to(start);
    }
}

static void test_inputs(void **state)
{
    (void)state;
    size_t start = begin();
    static char bytes[MIB];
    lithops_future *held[200];
    for (int i = 0; i < 200; i++) {
        held[i] = not_null(lithops_call_async(
            fexec, length, lithops_value_bytes(bytes, sizeof bytes), NULL, &err));
        int64_t len;
        succeeds(lithops_future_result(held[i], LIMIT_MS, &err, "I", &len));
        assert_int_equal(len, sizeof bytes);
    }
    returns_to(start); /* although the futures are held */
    for (int i = 0; i < 200; i++)
        lithops_future_unref(held[i]);
}

static void test_one_huge_result_after_the_other(void **state)
{
    (void)state;
    size_t start = begin();
    for (int i = 0; i < 3; i++) {
        lithops_future *future =
            not_null(lithops_call_async(fexec, make, lithops_value_int(300 * MIB), NULL, &err));
        lithops_bytes bytes;
        succeeds(lithops_future_bytes(future, LIMIT_MS, &bytes, &err));
        assert_int_equal(bytes.len, 300 * MIB);
        lithops_future_unref(future);
    }
    returns_to(start);
}

static void test_memory_of_calls(void **state)
{
    (void)state;
    size_t start = begin();
    for (int i = 0; i < 5; i++)
        result_is(lithops_call_async(fexec, use_much, lithops_value_null(), NULL, &err), "0");
    returns_to(start);
}

/* ---- while handles are held
 * -------------------------------------------------------------------- */

static void test_release_of_a_whole_map(void **state)
{
    (void)state;
    size_t start = begin();
    for (int i = 0; i < 10; i++) {
        lithops_futures *futures = map_of(make_some, 2000);
        succeeds(lithops_wait(NULL, futures, &within_limit, NULL, NULL, &err));
        lithops_futures *again = lithops_futures_ref(futures);
        assert_null(lithops_futures_release(futures));
        lithops_bytes bytes;
        fails(lithops_futures_bytes(again, 7, &bytes, &err), LITHOPS_ECLOSED, "released");
        lithops_futures_unref(again);
    }
    returns_to(start);
    assert_null(lithops_futures_release(NULL));
}

/* A stream needs the memory of results not yet taken. */
static void test_stream(void **state)
{
    (void)state;
    size_t start = begin();
    lithops_futures *futures = map_of(make_some, 20000);
    lithops_future *future;
    size_t count = 0;
    while ((future = lithops_futures_as_completed(futures, LIMIT_MS)) != NULL) {
        lithops_bytes bytes;
        succeeds(lithops_future_bytes(future, LIMIT_MS, &bytes, &err));
        lithops_future_release(future);
        if (++count == 10000)
            assert_true(used_mib() < start + BOUND_MIB);
    }
    assert_int_equal(count, 20000);
    returns_to(start); /* with the sequence held */
    lithops_futures_unref(futures);
}

static void test_clean_and_close(void **state)
{
    (void)state;
    size_t start = begin();
    lithops_executor *other = api_open("{\"worker_processes\":1}");
    lithops_futures *futures =
        not_null(lithops_map(other, make_10_mb, lithops_range(0, 30), NULL, &err));
    succeeds(lithops_wait(NULL, futures, &within_limit, NULL, NULL, &err));
    succeeds(lithops_clean(other, NULL, NULL, &err));
    lithops_bytes bytes;
    succeeds(lithops_futures_bytes(futures, 29, &bytes, &err)); /* they are held */
    assert_true(used_mib() > start + 200);
    lithops_executor_close(other);
    succeeds(lithops_futures_bytes(futures, 0, &bytes, &err));
    assert_int_equal(((const char *)bytes.ptr)[9999999], 'x');
    lithops_futures_unref(futures);
    returns_to(start);
}

static void test_shared_memory_that_ran_out_is_there_again(void **state)
{
    (void)state;
    lithops_executor *own = api_open("{\"worker_processes\":2,\"shared_memory\":100}");
    for (int round = 0; round < 2; round++) {
        lithops_futures *futures =
            not_null(lithops_map(own, make_10_mb, lithops_range(0, 30), NULL, &err));
        assert_int_equal(lithops_wait(NULL, futures, &within_limit, NULL, NULL, &err),
                         LITHOPS_ENOSPACE);
        lithops_wait_options options = within_limit;
        options.throw_except = false;
        succeeds(lithops_wait(NULL, futures, &options, NULL, NULL, &err));
        lithops_futures_unref(futures);
        if (round == 0)
            succeeds(lithops_clean(own, NULL, NULL, &err));
        for (int i = 0; i < 20; i++) {
            lithops_future *one =
                not_null(lithops_call_async(own, make, lithops_value_int(30 * MIB), NULL, &err));
            lithops_bytes bytes;
            succeeds(lithops_future_bytes(one, LIMIT_MS, &bytes, &err));
            lithops_future_unref(one);
        }
    }
    lithops_executor_close(own);
}

/* ---- released while another map reads ---------------------------------------------------------
 */

static void test_inputs_of_a_chained_map_released(void **state)
{
    (void)state;
    for (int round = 0; round < api_times(200); round++) {
        lithops_futures *first = map_of(make_some, 16);
        lithops_futures *second = not_null(lithops_map_futures(fexec, length, first, NULL, &err));
        for (size_t i = 0; i < 16; i++) {
            lithops_future *future = lithops_futures_get(first, i);
            if (round % 2)
                succeeds(lithops_future_wait(future, LIMIT_MS, &err));
            lithops_future_release(future);
        }
        lithops_futures_release(first);
        lithops_value *lengths;
        succeeds(lithops_get_result_value(NULL, second, &within_limit, &lengths, &err));
        for (size_t i = 0; i < 16; i++)
            assert_int_equal(lithops_value_get_int(lithops_value_at(lengths, i)), 10000);
        lithops_value_free(lengths);
        lithops_futures_unref(second);
    }
}

/* Several threads start, read and drop jobs, while another one cleans. */
static void *use(void *user)
{
    _Atomic bool *stop = user;
    while (!*stop) {
        lithops_error own = LITHOPS_ERROR_INIT;
        lithops_futures *map = lithops_map(fexec, make, lithops_range(1000, 1020), NULL, &own);
        lithops_future *one = lithops_call_async(fexec, make, lithops_value_int(999), NULL, &own);
        lithops_future *other = lithops_call_async(fexec, make, lithops_value_int(9), NULL, &own);
        lithops_future_unref(other);
        lithops_bytes bytes = {NULL, 0};
        if (!map || lithops_future_bytes(one, LIMIT_MS, &bytes, &own) != 0 || bytes.len != 999 ||
            lithops_wait(NULL, map, &within_limit, NULL, NULL, &own) != 0 ||
            lithops_futures_bytes(map, 19, &bytes, &own) != 0 || bytes.len != 1019)
            return (void *)stop;
        lithops_future_unref(one);
        lithops_futures_unref(map);
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    _Atomic bool stop = false;
    pthread_t threads[4];
    size_t start = begin();
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use, (void *)&stop), 0);
    for (int i = 0; i < api_times(300); i++) {
        succeeds(lithops_clean(fexec, NULL, NULL, &err));
        lithops_value *all;
        lithops_wait_options options = within_limit;
        options.throw_except = false;
        (void)lithops_wait(fexec, NULL, &options, NULL, NULL, &err);
        succeeds(lithops_get_result_value(fexec, NULL, &options, &all, &err));
        lithops_value_free(all);
    }
    stop = true;
    for (int i = 0; i < 4; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    returns_to(start);
}

int main(int argc, char **argv)
{
    api_init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls_and_unref),
        cmocka_unit_test(test_jobs_of_one_call),
        cmocka_unit_test(test_big_results_dropped_before_they_come),
        cmocka_unit_test(test_maps_read_and_dropped),
        cmocka_unit_test(test_failures_dropped),
        cmocka_unit_test(test_abandoned_calls_that_end_later),
        cmocka_unit_test(test_inputs),
        cmocka_unit_test(test_one_huge_result_after_the_other),
        cmocka_unit_test(test_memory_of_calls),
        cmocka_unit_test(test_release_of_a_whole_map),
        cmocka_unit_test(test_stream),
        cmocka_unit_test(test_clean_and_close),
        cmocka_unit_test(test_shared_memory_that_ran_out_is_there_again),
        cmocka_unit_test(test_inputs_of_a_chained_map_released),
        cmocka_unit_test(test_threads),
    };
    return api_finish(cmocka_run_group_tests(tests, api_open_group, api_close_group));
}
