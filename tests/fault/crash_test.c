/* SPDX-License-Identifier: Apache-2.0 */
/* Functions that end their process: the call fails with an error that says how, the calls around it
 * succeed, and the executor goes on. */
#include "fault.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static volatile int zero;
static char *volatile nowhere = (char *)16;

LITHOPS_FUNCTION(segfault)
{
    *nowhere = 1;
    return lithops_return_int(call, *nowhere);
}

LITHOPS_FUNCTION(failed_assertion)
{
    (void)call;
    fprintf(stderr, "wombat.c:7: assertion `wombats > 3' failed\n");
    abort();
}

LITHOPS_FUNCTION(buffered_words)
{
    (void)call;
    printf("the last words\n");
    abort();
}

LITHOPS_FUNCTION(divide)
{
#if defined(__x86_64__)
    return lithops_return_int(call, 1000 / zero); /* no trap on all machines */
#else
    (void)call;
    return raise(SIGFPE);
#endif
}

static volatile bool endless = true;

static int recurse(volatile char *above)
{
    volatile char frame[1000];
    frame[0] = above ? above[0] : 0;
    return endless ? recurse(frame) + frame[0] : 0;
}

LITHOPS_FUNCTION(overflow)
{
    return lithops_return_int(call, recurse(NULL));
}

LITHOPS_FUNCTION(leave)
{
    exit((int)lithops_call_int(call));
}

LITHOPS_FUNCTION(leave_quickly)
{
    _exit((int)lithops_call_int(call));
}

LITHOPS_FUNCTION(raise_signal)
{
    raise((int)lithops_call_int(call));
    return 0;
}

LITHOPS_FUNCTION(kill_self)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
    return lithops_call_id(call) != 0;
}

static void *crash_thread(void *unused)
{
    (void)unused;
    *nowhere = 1;
    return NULL;
}

/* While this thread holds the lock of stdout. */
LITHOPS_FUNCTION(crash_in_thread)
{
    pthread_t thread;
    flockfile(stdout);
    if (pthread_create(&thread, NULL, crash_thread, NULL) == 0)
        pthread_join(thread, NULL);
    return lithops_call_id(call) != 0;
}

LITHOPS_FUNCTION(crash_in_handler)
{
    signal(SIGSEGV, SIG_IGN);
    signal(SIGABRT, SIG_IGN);
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    *nowhere = 1;
    return lithops_call_id(call) != 0;
}

/* A crash after a result was given. */
LITHOPS_FUNCTION(return_and_crash)
{
    lithops_return(call, "s", "never seen");
    *nowhere = 1;
    return 0;
}

LITHOPS_FUNCTION(free_twice)
{
    char *volatile block = malloc(100);
    char *volatile again = block;
    free(block);
    free(again); /* NOLINT: that is the point */
    return lithops_call_id(call) != 0;
}

LITHOPS_FUNCTION(crash_on_7)
{
    int64_t i = lithops_call_int(call);
    if (i % 10 == 7)
        *nowhere = 1;
    return lithops_return_int(call, i * i);
}

/* ---- cases
 * ---------------------------------------------------------------------------------------- */

/* The call fails as a crash, with these words in its message and traceback, by this signal (0:
 * none); the executor goes on. */
static void check_crash(const lithops_function *function, int64_t input, int signal,
                        const char *message, const char *traceback)
{
    lithops_error err;
    lithops_executor *fexec = fault_open(2, NULL);
    for (int round = 0; round < 3; round++) {
        int code = fault_call(fexec, function, lithops_value_int(input), &err);
        if (code != LITHOPS_ECRASH || !strstr(err.message, message) ||
            !strstr(err.traceback, traceback))
            fprintf(stderr, "%d: %s\n%s\n", code, err.message, err.traceback);
        CHECK_INT(code, LITHOPS_ECRASH);
        CHECK(strstr(err.message, message) != NULL);
        CHECK(strchr(err.message, '\n') == NULL);
        CHECK(strstr(err.traceback, traceback) != NULL);
        CHECK_INT(err.signal, signal);
        CHECK(strncmp(err.origin, "call ", 5) == 0);
        fault_check_works(fexec, 100);
    }
    lithops_executor_close(fexec);
}

/* Under a sanitizer, that ends the process. */
#define SKIP_SANITIZED()                                                                           \
    do {                                                                                           \
        if (UNDER_SANITIZER)                                                                       \
            fault_skip("the sanitizer handles the signal");                                        \
    } while (0)

FAULT_CASE(segfault_is_named)
{
    SKIP_SANITIZED();
    check_crash(segfault, 0, SIGSEGV, "address 0x10", "");
}

FAULT_CASE(assertion_text_is_in_the_traceback)
{
    check_crash(failed_assertion, 0, SIGABRT, "Aborted", "wombats > 3");
}

FAULT_CASE(buffered_output_is_in_the_traceback)
{
    SKIP_SANITIZED();
    check_crash(buffered_words, 0, SIGABRT, "Aborted", "the last words");
}

FAULT_CASE(division_by_zero_is_named)
{
    SKIP_SANITIZED();
    check_crash(divide, 0, SIGFPE, "Floating point exception", "");
}

FAULT_CASE(stack_overflow_is_a_crash)
{
    SKIP_SANITIZED();
    check_crash(overflow, 0, SIGSEGV, "Segmentation fault", "");
}

FAULT_CASE(exit_status_is_named)
{
    check_crash(leave, 3, 0, "exit status 3", "");
}

FAULT_CASE(exit_0_is_a_crash)
{
    check_crash(leave_quickly, 0, 0, "exit status 0", "");
}

FAULT_CASE(signals_are_named)
{
    check_crash(raise_signal, SIGTERM, SIGTERM, "Terminated", "");
    check_crash(raise_signal, SIGPIPE, SIGPIPE, "Broken pipe", "");
    check_crash(raise_signal, SIGXCPU, SIGXCPU, "CPU time limit", "");
    check_crash(raise_signal, SIGRTMIN + 1, SIGRTMIN + 1, "Real-time signal", "");
}

FAULT_CASE(sigkill_is_a_crash)
{
    check_crash(kill_self, 0, SIGKILL, "Killed", "");
}

FAULT_CASE(crash_of_a_thread_while_stdout_is_locked)
{
    SKIP_SANITIZED();
    check_crash(crash_in_thread, 0, SIGSEGV, "address 0x10", "");
}

FAULT_CASE(crash_with_signals_blocked_and_ignored)
{
    SKIP_SANITIZED();
    check_crash(crash_in_handler, 0, SIGSEGV, "Segmentation fault", "");
}

FAULT_CASE(result_of_a_call_that_crashes_is_dropped)
{
    SKIP_SANITIZED();
    check_crash(return_and_crash, 0, SIGSEGV, "Segmentation fault", "");
}

FAULT_CASE(damaged_heap_is_a_crash)
{
    SKIP_SANITIZED();
    check_crash(free_twice, 0, SIGABRT, "Aborted", "double free");
}

FAULT_CASE(backtrace_names_the_place)
{
    SKIP_SANITIZED();
    lithops_error err;
    lithops_executor *fexec = fault_open(1, NULL);
    for (int i = 0; i < 20; i++) { /* each is the first call of its process */
        CHECK_INT(fault_call(fexec, segfault, lithops_value_int(0), &err), LITHOPS_ECRASH);
        CHECK(strstr(err.traceback, "lithops-worker+0x") != NULL);
    }
    lithops_executor_close(fexec);
}

/* A map in which every tenth call crashes: those fail, all others succeed. */
FAULT_CASE(each_crash_costs_one_call)
{
    enum { COUNT = 300 };
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = fault_open(3, NULL);
    lithops_wait_options wait = LITHOPS_WAIT_OPTIONS_INIT;
    wait.throw_except = false;
    wait.timeout_ms = FAULT_WAIT_MS;
    for (int64_t chunk = 0; chunk < 3; chunk++) {
        lithops_map_options options = LITHOPS_MAP_OPTIONS_INIT;
        options.chunksize = chunk ? chunk * 16 : LITHOPS_DEFAULT;
        lithops_futures *futures =
            lithops_map(fexec, crash_on_7, lithops_range(0, COUNT), &options, &err);
        CHECK(futures != NULL);
        CHECK_INT(lithops_wait(NULL, futures, &wait, NULL, NULL, &err), 0);
        for (int i = 0; i < COUNT; i++) {
            int64_t result = -1;
            int rc = lithops_futures_int(futures, (size_t)i, &result, &err);
            CHECK_INT(rc, i % 10 == 7 ? LITHOPS_ECRASH : 0);
            CHECK(rc != 0 || result == (int64_t)i * i);
        }
        lithops_futures_unref(futures);
    }
    lithops_executor_close(fexec);
}

LITHOPS_FUNCTION(crash_reducer)
{
    int64_t one, count = 0;
    while (lithops_call_next_result(call, "I", &one) == 1)
        if (++count == 3)
            *nowhere = 1;
    return 0;
}

FAULT_CASE(crash_of_a_reducer_and_of_its_map_calls)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = fault_open(2, NULL);
    lithops_wait_options wait = LITHOPS_WAIT_OPTIONS_INIT;
    wait.timeout_ms = FAULT_WAIT_MS;
    int64_t sum;
    lithops_futures *futures;
    CHECK_INT(lithops_map_reduce(fexec, fault_square, lithops_range(0, 5), crash_reducer, NULL,
                                 &futures, &err),
              0);
    CHECK_INT(lithops_get_result(NULL, futures, &wait, &err, "I", &sum), LITHOPS_ECRASH);
    CHECK_INT(lithops_futures_done(futures), 6);
    for (size_t i = 0; i < 5; i++)
        CHECK_INT(lithops_futures_state(futures, i), LITHOPS_SUCCESS);
    lithops_futures_unref(futures);

    wait.throw_except = false;
    CHECK_INT(lithops_map_reduce(fexec, crash_on_7, lithops_range(0, 20), crash_reducer, NULL,
                                 &futures, &err),
              0);
    CHECK_INT(lithops_wait(NULL, futures, &wait, NULL, NULL, &err), 0);
    CHECK_INT(lithops_futures_state(futures, 7), LITHOPS_FAILED);
    CHECK_INT(lithops_futures_state(futures, 17), LITHOPS_FAILED);
    CHECK_INT(lithops_futures_state(futures, 20), LITHOPS_FAILED);
    lithops_futures_unref(futures);
    fault_check_works(fexec, 100);
    lithops_executor_close(fexec);
}

/* Crashes leave no descriptor and no memory of the client behind. */
FAULT_CASE(a_hundred_crashes_leave_nothing)
{
    lithops_error err;
    lithops_executor *fexec = fault_open(2, NULL);
    CHECK_INT(fault_call(fexec, leave_quickly, lithops_value_int(1), &err), LITHOPS_ECRASH);
    fault_check_works(fexec, 100);
    size_t before = fault_open_descriptors();
    for (int i = 0; i < 100; i++)
        CHECK_INT(fault_call(fexec, leave_quickly, lithops_value_int(1), &err), LITHOPS_ECRASH);
    fault_check_works(fexec, 100);
    /* Both worker processes may have just been starting then: each has a pidfd and a log. */
    double until = fault_now() + 5;
    while (fault_open_descriptors() > before + 4 && fault_now() < until)
        sched_yield();
    CHECK(fault_open_descriptors() <= before + 4);
    lithops_executor_close(fexec);
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segfault_is_named),
        cmocka_unit_test(assertion_text_is_in_the_traceback),
        cmocka_unit_test(buffered_output_is_in_the_traceback),
        cmocka_unit_test(division_by_zero_is_named),
        cmocka_unit_test(stack_overflow_is_a_crash),
        cmocka_unit_test(exit_status_is_named),
        cmocka_unit_test(exit_0_is_a_crash),
        cmocka_unit_test(signals_are_named),
        cmocka_unit_test(sigkill_is_a_crash),
        cmocka_unit_test(crash_of_a_thread_while_stdout_is_locked),
        cmocka_unit_test(crash_with_signals_blocked_and_ignored),
        cmocka_unit_test(result_of_a_call_that_crashes_is_dropped),
        cmocka_unit_test(damaged_heap_is_a_crash),
        cmocka_unit_test(backtrace_names_the_place),
        cmocka_unit_test(each_crash_costs_one_call),
        cmocka_unit_test(crash_of_a_reducer_and_of_its_map_calls),
        cmocka_unit_test(a_hundred_crashes_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
