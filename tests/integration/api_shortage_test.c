/* SPDX-License-Identifier: Apache-2.0 */
/* Results larger than shared memory: workers ahead of the reader wait until it releases results,
 * but not for ever. */
#include "api.h"

#include <lithops/plugin/runtime.h>

#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { TEN_MB = 10000000, FIT = 9, SMALL = 100 };

LITHOPS_FUNCTION(own_pid)
{
    return lithops_return_int(call, getpid());
}

/* Return that many bytes. */
LITHOPS_FUNCTION(make)
{
    size_t len = (size_t)lithops_call_int(call);
    void *bytes = lithops_call_alloc(call, len);
    return bytes ? lithops_return_bytes(call, memset(bytes, 'x', len), len) : LITHOPS_ENOSPACE;
}

static int return_10_mb(lithops_call *call)
{
    char *bytes = lithops_call_alloc(call, TEN_MB);
    if (!bytes)
        return LITHOPS_ENOSPACE;
    memset(bytes, (char)lithops_call_int(call), TEN_MB);
    return lithops_return_bytes(call, bytes, TEN_MB);
}

LITHOPS_FUNCTION(number_in_10_mb)
{
    return return_10_mb(call);
}

/* The same, but some calls come to their result long after later ones did. */
LITHOPS_FUNCTION(number_in_10_mb_late)
{
    if (lithops_call_int(call) % 7 == 0)
        nanosleep(&(struct timespec){0, 50000000}, NULL);
    return return_10_mb(call);
}

/* Fail, with a message of that length. */
LITHOPS_FUNCTION(fail_at_length)
{
    size_t len = (size_t)lithops_call_int(call);
    char *text = calloc(1, len);
    lithops_error error = LITHOPS_ERROR_INIT;
    error.code = LITHOPS_ECALL;
    snprintf(error.message, sizeof error.message, "it was wrong");
    int rc = lithops_fail_data(call, &error, (lithops_bytes){text, len});
    free(text);
    return rc;
}

static lithops_executor *open_100_mb(int processes)
{
    char settings[100];
    snprintf(settings, sizeof settings, "{\"worker_processes\":%d,\"shared_memory\":100}",
             processes);
    return api_open(settings);
}

/* ---- a worker that waits --------------------------------------------------------------------- */

static pid_t pid_of_worker(lithops_executor *own)
{
    int64_t pid = 0;
    lithops_future *future =
        not_null(lithops_call_async(own, own_pid, lithops_value_null(), NULL, &err));
    succeeds(lithops_future_result(future, LIMIT_MS, &err, "I", &pid));
    lithops_future_unref(future);
    return (pid_t)pid;
}

static bool is_asleep(pid_t pid)
{
    char path[64], text[512] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    size_t len = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file)
        fclose(file);
    const char *after = len ? strrchr(text, ')') : NULL;
    return after && after[2] == 'S';
}

static void await_done(const lithops_futures *futures, size_t count)
{
    double end = api_now() + 30;
    while (lithops_futures_done(futures) < count && api_now() < end)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    assert_int_equal(lithops_futures_done(futures), count);
}

/* The call runs in the process and waits. */
static void await_sleep(const lithops_futures *futures, size_t index, pid_t pid)
{
    double end = api_now() + 30;
    bool sleeps = false;
    while (!sleeps && api_now() < end) {
        nanosleep(&(struct timespec){0, 1000000}, NULL);
        sleeps = lithops_futures_state(futures, index) == LITHOPS_RUNNING && is_asleep(pid);
    }
    assert_true(sleeps);
}

/* More results than fit, from one process, which then cannot go on. */
static lithops_futures *fill(lithops_executor *own, pid_t pid, const lithops_map_options *options)
{
    lithops_futures *futures =
        not_null(lithops_map(own, number_in_10_mb, lithops_range(0, 20), options, &err));
    await_done(futures, FIT);
    await_sleep(futures, FIT, pid);
    assert_int_equal(lithops_futures_done(futures), FIT);
    return futures;
}

static void has_room(lithops_executor *own)
{
    const int64_t sizes[] = {TEN_MB, 5 * TEN_MB, SMALL, TEN_MB, 5 * TEN_MB};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        lithops_bytes bytes;
        lithops_future *future =
            not_null(lithops_call_async(own, make, lithops_value_int(sizes[i]), NULL, &err));
        succeeds(lithops_future_bytes(future, LIMIT_MS, &bytes, &err));
        assert_int_equal(bytes.len, sizes[i]);
        lithops_future_unref(future);
    }
}

/* ---- streams --------------------------------------------------------------------------------- */

static size_t read_stream(lithops_futures *futures, bool in_order)
{
    size_t size = lithops_futures_size(futures), count = 0;
    lithops_future *future;
    while (count < size && (future = in_order ? lithops_futures_get(futures, count)
                                              : lithops_futures_as_completed(futures, LIMIT_MS))) {
        lithops_bytes bytes;
        succeeds(lithops_future_bytes(future, LIMIT_MS, &bytes, &err));
        assert_int_equal(bytes.len, TEN_MB);
        assert_int_equal(((const char *)bytes.ptr)[0], ((const char *)bytes.ptr)[TEN_MB - 1]);
        if (in_order)
            assert_int_equal(((const char *)bytes.ptr)[0], count);
        lithops_future_release(future);
        count++;
    }
    return count;
}

static void test_streams(void **state)
{
    (void)state;
    for (int processes = 1; processes <= 2; processes++) {
        lithops_executor *own = open_100_mb(processes);
        for (int round = 0; round < 3; round++) {
            lithops_futures *futures =
                not_null(lithops_map(own, number_in_10_mb, lithops_range(0, 30), NULL, &err));
            if (round == 1) /* the reader begins late */
                await_done(futures, FIT);
            assert_int_equal(read_stream(futures, round == 2 && processes == 1), 30);
            lithops_futures_unref(futures);
        }
        has_room(own);
        lithops_executor_close(own);
    }
}

/* Single calls, each a job of its own. */
static void test_stream_of_single_calls(void **state)
{
    (void)state;
    lithops_executor *own = open_100_mb(2);
    lithops_future *futures[30];
    for (int i = 0; i < 30; i++)
        futures[i] =
            not_null(lithops_call_async(own, number_in_10_mb, lithops_value_int(i), NULL, &err));
    lithops_futures *all = not_null(lithops_futures_new(futures, 30));
    for (int i = 0; i < 30; i++)
        lithops_future_unref(futures[i]);
    assert_int_equal(read_stream(all, false), 30);
    lithops_futures_unref(all);
    lithops_executor_close(own);
}

/* A reader who takes one after the other needs the memory of those that he has not taken: the call
 * that he waits for finds room, however slow it is and whatever lacked memory before it. */
static void read_in_order(lithops_executor *own, const lithops_function *function)
{
    enum { COUNT = 60 };
    lithops_future *futures[COUNT];
    for (int i = 0; i < COUNT; i++)
        futures[i] = not_null(lithops_call_async(own, function, lithops_value_int(i), NULL, &err));
    for (int i = 0; i < COUNT; i++) {
        const lithops_value *result;
        succeeds(lithops_future_value(futures[i], LIMIT_MS, &result, &err));
        assert_int_equal(lithops_value_get_bytes(result).len, TEN_MB);
        lithops_future_unref(futures[i]);
    }
    lithops_futures *map =
        not_null(lithops_map(own, function, lithops_range(0, COUNT), NULL, &err));
    assert_int_equal(read_stream(map, true), COUNT);
    lithops_futures_unref(map);
}

static void test_streams_in_order(void **state)
{
    (void)state;
    for (int processes = 2; processes <= 6; processes += 2) {
        lithops_executor *own = open_100_mb(processes);
        for (int round = 0; round < api_times(4); round++) {
            read_in_order(own, number_in_10_mb);
            read_in_order(own, number_in_10_mb_late);
        }
        lithops_executor_close(own);
    }
}

static void test_small_results_go_on(void **state)
{
    (void)state;
    lithops_executor *own = open_100_mb(2);
    lithops_value *sizes = lithops_value_list();
    for (int i = 0; i < 30; i++)
        succeeds(lithops_value_append(sizes, lithops_value_int(i <= FIT ? TEN_MB : SMALL)));
    lithops_futures *futures = not_null(lithops_map(own, make, sizes, NULL, &err));
    await_done(futures, 29); /* all but one of the large ones */
    size_t large = 0;
    for (size_t i = 0; i <= FIT; i++)
        large += lithops_futures_state(futures, i) == LITHOPS_SUCCESS;
    assert_int_equal(large, FIT);
    lithops_future_release(
        lithops_futures_get(futures, lithops_futures_state(futures, 0) == LITHOPS_SUCCESS ? 0 : 1));
    succeeds(lithops_wait(NULL, futures, &within_limit, NULL, NULL, &err));
    lithops_futures_unref(futures);
    lithops_executor_close(own);
}

static void test_an_error_with_much_to_say(void **state)
{
    (void)state;
    lithops_executor *own = open_100_mb(1);
    pid_t pid = pid_of_worker(own);
    lithops_futures *full =
        not_null(lithops_map(own, number_in_10_mb, lithops_range(0, FIT), NULL, &err));
    succeeds(lithops_wait(NULL, full, &within_limit, NULL, NULL, &err));
    lithops_value *sizes = not_null(lithops_pack("[i]", 2 * TEN_MB));
    lithops_futures *failing = not_null(lithops_map(own, fail_at_length, sizes, NULL, &err));
    await_sleep(failing, 0, pid);
    lithops_futures_release(full);
    fails(lithops_wait(NULL, failing, &within_limit, NULL, NULL, &err), LITHOPS_ECALL,
          "it was wrong");
    assert_int_equal(lithops_futures_error_data(failing, 0).len, 2 * TEN_MB);
    lithops_futures_unref(failing);
    lithops_executor_close(own);
}

/* ---- where it cannot work -------------------------------------------------------------------- */

static void test_a_wait_for_too_much_ends(void **state)
{
    (void)state;
    lithops_executor *own = open_100_mb(2);
    lithops_futures *futures =
        not_null(lithops_map(own, number_in_10_mb, lithops_range(0, 30), NULL, &err));
    lithops_wait_options options = within_limit;
    options.throw_except = false;
    double start = api_now();
    succeeds(lithops_wait(NULL, futures, &options, NULL, NULL, &err));
    assert_true(api_now() - start < 20); /* calls that lack memory wait at the same time */
    fails(lithops_wait(NULL, futures, &within_limit, NULL, NULL, &err), LITHOPS_ENOSPACE,
          api_backend() ? "no shared memory left for a result of 10000000 bytes: release or clean "
                          "results, or raise process.shared_memory"
                        : "no shared memory left for a result of 10000000 bytes: release or clean "
                          "results, or raise localhost.shared_memory");
    /* Nothing was released since, so no call waits again. */
    start = api_now();
    call_fails(lithops_call_async(own, make, lithops_value_int(TEN_MB), NULL, &err),
               LITHOPS_ENOSPACE, ".shared_memory");
    assert_true(api_now() - start < 4);
    lithops_futures_unref(futures);
    has_room(own);
    lithops_executor_close(own);
}

static void test_what_never_fits_fails_at_once(void **state)
{
    (void)state;
    lithops_executor *own = open_100_mb(1);
    double start = api_now();
    call_fails(lithops_call_async(own, make, lithops_value_int(12 * TEN_MB), NULL, &err),
               LITHOPS_ENOSPACE, "120000000 bytes");
    assert_true(api_now() - start < 4);
    has_room(own);
    lithops_executor_close(own);
}

/* ---- the end of a wait ----------------------------------------------------------------------- */

/* Over links the call has done its work, and it is its result that waits. */
#define NOT_OVER_LINKS()                                                                           \
    do {                                                                                           \
        if (api_backend())                                                                         \
            skip();                                                                                \
    } while (0)

static void test_a_waiting_worker_is_killed(void **state)
{
    (void)state;
    NOT_OVER_LINKS();
    lithops_executor *own = open_100_mb(1);
    pid_t pid = pid_of_worker(own);
    lithops_futures *futures = fill(own, pid, NULL);
    assert_int_equal(kill(pid, SIGKILL), 0);
    await_done(futures, FIT + 1);
    lithops_future *killed = lithops_futures_get(futures, FIT);
    lithops_error why;
    (void)lithops_future_error(killed, &why);
    assert_int_equal(why.code, LITHOPS_ECRASH);
    lithops_future_unref(killed);
    for (size_t i = 0; i < 20; i++) {
        lithops_future *future = lithops_futures_get(futures, i);
        if (i != FIT)
            succeeds(lithops_future_wait(future, LIMIT_MS, &err));
        lithops_future_release(future);
    }
    lithops_futures_unref(futures);
    has_room(own);
    lithops_executor_close(own);
}

static void test_a_waiting_call_is_cancelled(void **state)
{
    (void)state;
    lithops_executor *own = open_100_mb(1);
    lithops_futures *futures = fill(own, pid_of_worker(own), NULL);
    double start = api_now();
    assert_int_equal(lithops_futures_cancel(futures), 20 - FIT);
    lithops_wait_options options = within_limit;
    options.throw_except = false;
    succeeds(lithops_wait(NULL, futures, &options, NULL, NULL, &err));
    assert_true(api_now() - start < 20);
    assert_int_equal(lithops_futures_state(futures, FIT), LITHOPS_CANCELED);
    lithops_futures_unref(futures);
    has_room(own);
    lithops_executor_close(own);
}

static void test_a_waiting_call_has_its_timeout(void **state)
{
    (void)state;
    NOT_OVER_LINKS();
    lithops_executor *own = open_100_mb(1);
    pid_t pid = pid_of_worker(own);
    lithops_map_options options = LITHOPS_MAP_OPTIONS_INIT;
    options.timeout_ms = 2000;
    lithops_futures *futures = fill(own, pid, &options);
    await_done(futures, FIT + 1);
    lithops_future *late = lithops_futures_get(futures, FIT);
    lithops_error why;
    (void)lithops_future_error(late, &why);
    assert_int_equal(why.code, LITHOPS_ETIMEOUT);
    lithops_future_unref(late);
    lithops_futures_cancel(futures);
    lithops_futures_unref(futures);
    has_room(own);
    lithops_executor_close(own);
}

static void test_close_ends_the_wait(void **state)
{
    (void)state;
    lithops_executor *own = open_100_mb(1);
    lithops_futures *futures = fill(own, pid_of_worker(own), NULL);
    double start = api_now();
    lithops_executor_close(own);
    assert_true(api_now() - start < 4);
    lithops_futures_unref(futures);
}

int main(int argc, char **argv)
{
    api_init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_stream_of_single_calls),
        cmocka_unit_test(test_streams_in_order),
        cmocka_unit_test(test_small_results_go_on),
        cmocka_unit_test(test_an_error_with_much_to_say),
        cmocka_unit_test(test_a_wait_for_too_much_ends),
        cmocka_unit_test(test_what_never_fits_fails_at_once),
        cmocka_unit_test(test_a_waiting_worker_is_killed),
        cmocka_unit_test(test_a_waiting_call_is_cancelled),
        cmocka_unit_test(test_a_waiting_call_has_its_timeout),
        cmocka_unit_test(test_close_ends_the_wait),
    };
    return api_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
