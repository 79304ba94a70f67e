/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that take too long or too much memory: each ends in time with TimeoutError or MemoryError,
 * and all others succeed. */
#include "compute/backends/localhost/pool.h"
#include "fault.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { TIMEOUT_MS = 200 * FAULT_SLOWER };

static volatile bool endless = true;

LITHOPS_FUNCTION(loop_forever)
{
    while (endless)
        ;
    return lithops_call_id(call) != 0;
}

LITHOPS_FUNCTION(stop_itself)
{
    raise(SIGSTOP);
    return lithops_call_id(call) != 0;
}

LITHOPS_FUNCTION(sleep_deaf)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    for (;;)
        pause();
    return lithops_call_id(call) != 0;
}

LITHOPS_FUNCTION(fork_and_loop)
{
    (void)!fork();
    while (endless)
        pause();
    return lithops_call_id(call) != 0;
}

/* Loops forever if the input ends in 5, else does nothing. */
LITHOPS_FUNCTION(loop_on_5)
{
    int64_t i = lithops_call_int(call);
    while (endless && i % 10 == 5)
        ;
    return lithops_return_int(call, i);
}

/* Touch that many MiB. */
LITHOPS_FUNCTION(fill_memory)
{
    size_t len = (size_t)lithops_call_int(call) << 20;
    char *memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        abort();
    for (size_t i = 0; i < len; i += 4096)
        memory[i] = 1;
    munmap(memory, len);
    return lithops_return_int(call, 1);
}

LITHOPS_FUNCTION(fill_heap)
{
    int64_t mb = lithops_call_int(call);
    char **blocks = calloc((size_t)mb, sizeof *blocks);
    for (int64_t i = 0; i < mb; i++) {
        blocks[i] = malloc(1 << 20);
        memset(blocks[i], 1, 1 << 20); /* crashes when out of memory, as much software does */
    }
    for (int64_t i = 0; i < mb; i++)
        free(blocks[i]);
    free(blocks);
    return lithops_return_int(call, 1);
}

LITHOPS_FUNCTION(large_result)
{
    size_t len = (size_t)lithops_call_int(call) << 20;
    char *room = lithops_call_alloc(call, len);
    if (!room)
        return LITHOPS_ENOSPACE;
    memset(room, 'x', len);
    return lithops_return_bytes(call, room, len);
}

/* ---- time
 * ------------------------------------------------------------------------------------------- */

static void check_ends_in_time(const lithops_function *function)
{
    lithops_error err;
    lithops_executor *fexec = fault_open(2, NULL);
    fault_check_works(fexec, 100);
    for (int round = 0; round < 3; round++) {
        double start = fault_now();
        int rc = fault_call_limited(fexec, function, lithops_value_int(0), TIMEOUT_MS,
                                    LITHOPS_DEFAULT, &err);
        double ms = (fault_now() - start) * 1e3;
        CHECK_INT(rc, LITHOPS_ETIMEOUT);
        CHECK(strstr(err.message, "timeout") != NULL);
        CHECK(ms >= TIMEOUT_MS - 1);
        CHECK(ms < TIMEOUT_MS + 5000);
        fault_check_works(fexec, 100);
    }
    lithops_executor_close(fexec);
}

FAULT_CASE(endless_loop_ends)
{
    check_ends_in_time(loop_forever);
}

FAULT_CASE(stopped_process_ends)
{
    check_ends_in_time(stop_itself);
}

FAULT_CASE(deaf_process_ends)
{
    check_ends_in_time(sleep_deaf);
}

FAULT_CASE(children_end_with_it)
{
    check_ends_in_time(fork_and_loop);
}

FAULT_CASE(default_timeout_of_the_configuration)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    lithops_value *config = lithops_pack("{s:{s:i},s:{s:i}}", "lithops", "execution_timeout", 1,
                                         "localhost", "worker_processes", 1);
    options.config = config;
    lithops_executor *fexec = lithops_executor_open(&options, &err);
    CHECK(fexec != NULL);
    CHECK_INT(fault_call(fexec, loop_forever, lithops_value_int(0), &err), LITHOPS_ETIMEOUT);
    fault_check_works(fexec, 100);
    lithops_value_free(config);
    lithops_executor_close(fexec);
}

/* The results of a map with a timeout of each call, `bad` of them endless. */
FAULT_CASE(only_endless_calls_time_out)
{
    enum { COUNT = 60 };
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = fault_open(3, NULL);
    lithops_map_options options = LITHOPS_MAP_OPTIONS_INIT;
    options.timeout_ms = TIMEOUT_MS;
    lithops_wait_options wait = LITHOPS_WAIT_OPTIONS_INIT;
    wait.throw_except = false;
    wait.timeout_ms = FAULT_WAIT_MS;
    lithops_futures *futures =
        lithops_map(fexec, loop_on_5, lithops_range(0, COUNT), &options, &err);
    CHECK_INT(lithops_wait(NULL, futures, &wait, NULL, NULL, &err), 0);
    for (int i = 0; i < COUNT; i++) {
        int64_t result = -1;
        CHECK_INT(lithops_futures_int(futures, (size_t)i, &result, &err),
                  i % 10 == 5 ? LITHOPS_ETIMEOUT : 0);
    }
    lithops_futures_unref(futures);
    lithops_executor_close(fexec);
}

/* Tiny calls are timed together; a long call after them must still get its full time. */
LITHOPS_FUNCTION(tiny_then_long)
{
    int64_t i = lithops_call_int(call);
    if (i >= 20000)
        nanosleep(&(struct timespec){0, TIMEOUT_MS / 2 * 1000000L}, NULL);
    return lithops_return_int(call, i);
}

FAULT_CASE(long_calls_after_tiny_ones_get_their_time)
{
    enum { COUNT = 20012 };
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = fault_open(1, NULL);
    lithops_map_options options = LITHOPS_MAP_OPTIONS_INIT;
    options.timeout_ms = TIMEOUT_MS;
    for (int round = 0; round < 2; round++) {
        options.chunksize = round ? 100000 : LITHOPS_DEFAULT;
        lithops_wait_options wait = LITHOPS_WAIT_OPTIONS_INIT;
        wait.timeout_ms = FAULT_WAIT_MS;
        lithops_futures *futures =
            lithops_map(fexec, tiny_then_long, lithops_range(0, COUNT), &options, &err);
        int rc = lithops_wait(NULL, futures, &wait, NULL, NULL, &err);
        if (rc != 0)
            fprintf(stderr, "%s: %s\n", err.origin, err.message);
        CHECK_INT(rc, 0);
        lithops_futures_unref(futures);
    }
    lithops_executor_close(fexec);
}

/* Calls that take almost their whole timeout, one after the other, in one process. */
FAULT_CASE(calls_just_under_the_limit_succeed)
{
    lithops_error err;
    lithops_executor *fexec = fault_open(1, NULL);
    for (int i = 0; i < 4; i++) /* on a loaded machine a nap can be 100 ms longer */
        CHECK_INT(fault_call_limited(fexec, fault_nap, lithops_value_int(750), 1000,
                                     LITHOPS_DEFAULT, &err),
                  0);
    lithops_executor_close(fexec);
}

/* A short call with a timeout does not shorten that of a long one. */
FAULT_CASE(timeouts_of_jobs_are_their_own)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = fault_open(2, NULL);
    lithops_future *unlimited =
        lithops_call_async(fexec, fault_nap, lithops_value_int(TIMEOUT_MS * 3), NULL, &err);
    CHECK_INT(fault_call_limited(fexec, loop_forever, lithops_value_int(0), TIMEOUT_MS,
                                 LITHOPS_DEFAULT, &err),
              LITHOPS_ETIMEOUT);
    CHECK_INT(fault_outcome(unlimited, &err), 0);
    lithops_executor_close(fexec);
}

LITHOPS_FUNCTION(slow_reducer)
{
    int64_t one;
    while (lithops_call_next_result(call, "I", &one) == 1)
        ;
    while (endless)
        ;
    return 0;
}

FAULT_CASE(endless_reducer_ends)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = fault_open(2, NULL);
    lithops_map_reduce_options options = LITHOPS_MAP_REDUCE_OPTIONS_INIT;
    options.timeout_ms = TIMEOUT_MS;
    lithops_wait_options wait = LITHOPS_WAIT_OPTIONS_INIT;
    wait.timeout_ms = FAULT_WAIT_MS;
    int64_t sum;
    CHECK_INT(lithops_map_reduce(fexec, fault_square, lithops_range(0, 50), slow_reducer, &options,
                                 NULL, &err),
              0);
    CHECK_INT(lithops_get_result(fexec, NULL, &wait, &err, "I", &sum), LITHOPS_ETIMEOUT);
    fault_check_works(fexec, 100);
    lithops_executor_close(fexec);
}

FAULT_CASE(cancelled_loop_ends)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = fault_open(2, NULL);
    for (int i = 0; i < 10; i++) {
        lithops_future *future =
            lithops_call_async(fexec, loop_forever, lithops_value_int(0), NULL, &err);
        if (i % 2)
            while (lithops_future_state(future) != LITHOPS_RUNNING)
                sched_yield();
        CHECK(lithops_future_cancel(future));
        CHECK_INT(fault_outcome(future, &err), LITHOPS_ECANCELED);
        fault_check_works(fexec, 20);
    }
    lithops_executor_close(fexec);
}

FAULT_CASE(close_ends_what_runs)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = fault_open(2, NULL);
    lithops_futures *futures = lithops_map(fexec, loop_forever, lithops_range(0, 10), NULL, &err);
    lithops_future *first = lithops_futures_get(futures, 0);
    while (lithops_future_state(first) != LITHOPS_RUNNING)
        sched_yield();
    double start = fault_now();
    lithops_executor_close(fexec);
    CHECK(fault_now() - start < 5 * FAULT_SLOWER);
    for (size_t i = 0; i < 10; i++)
        CHECK_INT(lithops_futures_state(futures, i), LITHOPS_CANCELED);
    lithops_future_unref(first);
    lithops_futures_unref(futures);
}

/* ---- memory
 * ----------------------------------------------------------------------------------------- */

/* Where memory groups cannot be made: another user's process. */
static void lose_memory_groups(void)
{
    if (getuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
        fault_skip("cannot change to another user");
    if (access("/proc/self/exe", X_OK) != 0)
        fault_skip("other users cannot run the test program");
}

/* Whether worker processes get memory groups here: an ordinary user often cannot make any. */
static bool has_memory_groups(void)
{
    char folder[256];
    lithops__group_find("probe", folder, sizeof folder);
    return folder[0] != '\0';
}

/* `mapped`: also request memory in one piece. Without groups the kernel simply refuses it, and the
 * function's reaction looks like any other crash. */
static void check_memory(bool mapped)
{
    lithops_error err;
    lithops_executor *fexec = fault_open(2, NULL);
    fault_check_works(fexec, 100);
    for (int round = 0; round < 3; round++) {
        const lithops_function *function = mapped && round != 1 ? fill_memory : fill_heap;
        int rc =
            fault_call_limited(fexec, function, lithops_value_int(300), LITHOPS_DEFAULT, 64, &err);
        if (rc != LITHOPS_EMEMORY)
            fprintf(stderr, "%d: %s\n%s\n", rc, err.message, err.traceback);
        CHECK_INT(rc, LITHOPS_EMEMORY);
        CHECK(strstr(err.message, "runtime_memory") != NULL);
        /* a call that needs less succeeds, as does one without a limit */
        CHECK_INT(
            fault_call_limited(fexec, function, lithops_value_int(20), LITHOPS_DEFAULT, 64, &err),
            0);
        CHECK_INT(fault_call(fexec, function, lithops_value_int(300), &err), 0);
        fault_check_works(fexec, 100);
    }
    lithops_executor_close(fexec);
}

FAULT_CASE(memory_limit_is_kept)
{
    if (UNDER_SANITIZER)
        fault_skip("a sanitizer itself takes too much memory");
    check_memory(has_memory_groups());
}

FAULT_CASE(memory_limit_is_kept_without_groups)
{
    if (UNDER_SANITIZER)
        fault_skip("a sanitizer itself takes too much memory");
    lose_memory_groups();
    check_memory(false);
}

/* Results in shared memory are not the call's memory. */
FAULT_CASE(results_do_not_count_as_runtime_memory)
{
    if (UNDER_SANITIZER)
        fault_skip("a sanitizer itself takes too much memory");
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = fault_open(1, NULL);
    lithops_call_options options = LITHOPS_CALL_OPTIONS_INIT;
    options.runtime_memory_mb = 32;
    for (int i = 0; i < 4; i++) {
        lithops_future *future =
            lithops_call_async(fexec, large_result, lithops_value_int(40), &options, &err);
        lithops_bytes bytes;
        int rc = lithops_future_bytes(future, FAULT_WAIT_MS, &bytes, &err);
        if (rc != 0)
            fprintf(stderr, "%s\n", err.message);
        CHECK_INT(rc, 0);
        CHECK_INT(bytes.len, 40 << 20);
        lithops_future_unref(future);
    }
    lithops_executor_close(fexec);
}

FAULT_CASE(only_the_greedy_call_fails)
{
    if (UNDER_SANITIZER)
        fault_skip("a sanitizer itself takes too much memory");
    enum { COUNT = 40 };
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = fault_open(2, NULL);
    lithops_map_options options = LITHOPS_MAP_OPTIONS_INIT;
    options.runtime_memory_mb = 64;
    lithops_wait_options wait = LITHOPS_WAIT_OPTIONS_INIT;
    wait.throw_except = false;
    wait.timeout_ms = FAULT_WAIT_MS;
    int64_t sizes[COUNT];
    for (int i = 0; i < COUNT; i++)
        sizes[i] = i % 10 == 3 ? 200 : 10;
    lithops_futures *futures = lithops_map(fexec, has_memory_groups() ? fill_memory : fill_heap,
                                           lithops_ints(sizes, COUNT), &options, &err);
    CHECK_INT(lithops_wait(NULL, futures, &wait, NULL, NULL, &err), 0);
    for (int i = 0; i < COUNT; i++) {
        int64_t one;
        CHECK_INT(lithops_futures_int(futures, (size_t)i, &one, &err),
                  i % 10 == 3 ? LITHOPS_EMEMORY : 0);
    }
    lithops_futures_unref(futures);
    lithops_executor_close(fexec);
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(endless_loop_ends),
        cmocka_unit_test(stopped_process_ends),
        cmocka_unit_test(deaf_process_ends),
        cmocka_unit_test(children_end_with_it),
        cmocka_unit_test(default_timeout_of_the_configuration),
        cmocka_unit_test(only_endless_calls_time_out),
        cmocka_unit_test(long_calls_after_tiny_ones_get_their_time),
        cmocka_unit_test(calls_just_under_the_limit_succeed),
        cmocka_unit_test(timeouts_of_jobs_are_their_own),
        cmocka_unit_test(endless_reducer_ends),
        cmocka_unit_test(cancelled_loop_ends),
        cmocka_unit_test(close_ends_what_runs),
        cmocka_unit_test(memory_limit_is_kept),
        cmocka_unit_test(memory_limit_is_kept_without_groups),
        cmocka_unit_test(results_do_not_count_as_runtime_memory),
        cmocka_unit_test(only_the_greedy_call_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
