/* SPDX-License-Identifier: Apache-2.0 */
/* Functions that disturb their process, run too long or take too much: only their own call is
 * harmed, and the next calls in the same process find everything in its place. There is one worker
 * process, so that the next calls run in it. */
#include "fault.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* ---- what a call needs from its process
 * -------------------------------------------------------------- */

LITHOPS_FUNCTION(print_words)
{
    printf("out %d\n", (int)lithops_call_int(call));
    fprintf(stderr, "err %d\n", (int)lithops_call_int(call));
    return 0;
}

LITHOPS_FUNCTION(large_result)
{
    size_t len = (size_t)lithops_call_int(call);
    char *room = lithops_call_alloc(call, len);
    if (!room)
        return LITHOPS_ENOSPACE;
    memset(room, 'x', len);
    return lithops_return_bytes(call, room, len);
}

LITHOPS_FUNCTION(where)
{
    char folder[4096];
    return lithops_return(call, "s", getcwd(folder, sizeof folder));
}

static void check_folder(lithops_executor *fexec)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    char folder[4096];
    const char *its_folder;
    CHECK(getcwd(folder, sizeof folder) != NULL);
    lithops_future *future = lithops_call_async(fexec, where, lithops_value_null(), NULL, &err);
    CHECK_INT(lithops_future_result(future, FAULT_WAIT_MS, &err, "s", &its_folder), 0);
    CHECK(strcmp(folder, its_folder) == 0);
    lithops_future_unref(future);
}

/* Whatever a function did, the next calls print, return large results, and run in the right
 * folder. */
static void check_undisturbed(lithops_executor *fexec)
{
    static int64_t size = 5 << 20;
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_future *future =
        lithops_call_async(fexec, print_words, lithops_value_int(7), NULL, &err);
    CHECK_INT(lithops_future_wait(future, FAULT_WAIT_MS, &err), 0);
    char *logs = lithops_future_logs(future);
    bool complete =
        logs && strstr(logs, "out 7\n") && strstr(logs, "err 7\n") && strlen(logs) == 12;
    if (!complete)
        fprintf(stderr, "output: %s\n", logs ? logs : "none");
    CHECK(complete);
    free(logs);
    lithops_future_unref(future);

    size += 1 << 20; /* each one larger, so that the region must grow */
    future = lithops_call_async(fexec, large_result, lithops_value_int(size), NULL, &err);
    lithops_bytes bytes;
    int rc = lithops_future_bytes(future, FAULT_WAIT_MS, &bytes, &err);
    if (rc != 0)
        fprintf(stderr, "%s\n", err.message);
    CHECK_INT(rc, 0);
    CHECK_INT(bytes.len, size);
    lithops_future_unref(future);

    check_folder(fexec);
    fault_check_works(fexec, 100);
}

/* Run the function several times, alone and among others; its calls end with `code`. */
static void check_harmless(const lithops_function *function, int64_t input, int code)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = fault_open(1, NULL);
    for (int round = 0; round < 3; round++) {
        int rc = fault_call(fexec, function, lithops_value_int(input), &err);
        if (rc != code)
            fprintf(stderr, "%s: %s\n", function->name, err.message);
        CHECK_INT(rc, code);
        check_undisturbed(fexec);
    }
    lithops_wait_options wait = LITHOPS_WAIT_OPTIONS_INIT;
    wait.throw_except = false;
    wait.timeout_ms = FAULT_WAIT_MS;
    lithops_futures *futures =
        lithops_map(fexec, function, lithops_range(input, input + 20), NULL, &err);
    CHECK_INT(lithops_wait(NULL, futures, &wait, NULL, NULL, &err), 0);
    lithops_futures_unref(futures);
    check_undisturbed(fexec);
    lithops_executor_close(fexec);
}

/* ---- descriptors and streams
 * ----------------------------------------------------------------------- */

LITHOPS_FUNCTION(close_all)
{
    for (int fd = (int)lithops_call_int(call); fd < 1024; fd++)
        close(fd);
    return lithops_return_int(call, 1);
}

LITHOPS_FUNCTION(close_stdout_and_stderr)
{
    close(1);
    close(2);
    return lithops_return_int(call, 1);
}

LITHOPS_FUNCTION(close_streams)
{
    fclose(stdout);
    fclose(stderr);
    return lithops_return_int(call, 1);
}

LITHOPS_FUNCTION(redirect)
{
    (void)call;
    int fd = open("/dev/null", O_WRONLY);
    dup2(fd, 1);
    dup2(fd, 2);
    close(fd);
    printf("to nobody\n");
    return 0;
}

/* To a file longer than the earlier output. */
LITHOPS_FUNCTION(redirect_to_file)
{
    char path[] = "/tmp/lithops-fault-XXXXXX";
    int fd = mkstemp(path);
    unlink(path);
    dup2(fd, 1);
    dup2(fd, 2);
    close(fd);
    for (int i = 0; i < 1000; i++)
        printf("into a file, call %d\n", (int)lithops_call_int(call));
    fflush(stdout);
    return 0;
}

/* Without closing them, so that all numbers that the worker uses are taken. */
LITHOPS_FUNCTION(close_and_open)
{
    for (int fd = 3; fd < 1024; fd++)
        close(fd);
    for (int i = 0; i < 100; i++)
        (void)!open("/dev/null", O_RDWR);
    return lithops_return_int(call, 1);
}

LITHOPS_FUNCTION(use_up_descriptors)
{
    while (dup(0) >= 0)
        ;
    return lithops_return_int(call, 1);
}

FAULT_CASE(all_descriptors_closed)
{
    check_harmless(close_all, 0, 0);
}

FAULT_CASE(descriptors_from_3_closed)
{
    check_harmless(close_all, 3, 0);
}

FAULT_CASE(stdout_and_stderr_closed)
{
    check_harmless(close_stdout_and_stderr, 0, 0);
}

FAULT_CASE(streams_closed)
{
    check_harmless(close_streams, 0, 0);
}

FAULT_CASE(streams_redirected)
{
    check_harmless(redirect, 0, 0);
}

FAULT_CASE(streams_redirected_to_a_file)
{
    check_harmless(redirect_to_file, 0, 0);
}

FAULT_CASE(descriptors_replaced)
{
    check_harmless(close_and_open, 0, 0);
}

FAULT_CASE(descriptors_used_up)
{
    check_harmless(use_up_descriptors, 0, 0);
}

/* The engine does not write to a file that a function opened at the number of one that it
 * closed. */
LITHOPS_FUNCTION(keep_a_file)
{
    for (int fd = 3; fd < 1024; fd++)
        close(fd);
    char path[] = "/tmp/lithops-fault-XXXXXX";
    int first = mkstemp(path);
    unlink(path);
    while (dup(first) < 1000)
        ;
    return lithops_return_int(call, getpid());
}

LITHOPS_FUNCTION(size_of_kept_file)
{
    struct stat status;
    return lithops_return_int(call, fstat(5, &status) == 0 ? (int64_t)status.st_size : -1);
}

FAULT_CASE(file_at_a_number_of_ours)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = fault_open(1, NULL);
    CHECK_INT(fault_call(fexec, keep_a_file, lithops_value_int(0), &err), 0);
    check_undisturbed(fexec);
    lithops_future *future =
        lithops_call_async(fexec, size_of_kept_file, lithops_value_null(), NULL, &err);
    int64_t size = 0;
    CHECK_INT(lithops_future_result(future, FAULT_WAIT_MS, &err, "I", &size), 0);
    CHECK(size <= 0); /* empty, or a fresh process without it */
    lithops_future_unref(future);
    lithops_executor_close(fexec);
}

LITHOPS_FUNCTION(print_much)
{
    char line[100];
    memset(line, 'w', sizeof line);
    line[99] = '\n';
    for (size_t sent = 0; sent < (size_t)lithops_call_int(call); sent += sizeof line)
        fwrite(line, 1, sizeof line, stdout);
    return 0;
}

FAULT_CASE(ten_megabytes_printed)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = fault_open(1, NULL);
    for (int round = 0; round < 3; round++) {
        lithops_future *future =
            lithops_call_async(fexec, print_much, lithops_value_int(10000000), NULL, &err);
        CHECK_INT(lithops_future_wait(future, FAULT_WAIT_MS, &err), 0);
        char *logs = lithops_future_logs(future);
        CHECK(logs != NULL);
        CHECK_INT(strlen(logs), 10000000);
        free(logs);
        lithops_future_unref(future);
    }
    check_undisturbed(fexec);
    setenv("TMPDIR", "/tmp/lithops-fault-nowhere", 1); /* this leaves no log file */
    lithops_executor_close(fexec);
}

/* ---- the process
 * ------------------------------------------------------------------------------------ */

LITHOPS_FUNCTION(go_elsewhere)
{
    (void)!chdir("/");
    return lithops_return_int(call, 1);
}

LITHOPS_FUNCTION(block_signals)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    return lithops_return_int(call, 1);
}

LITHOPS_FUNCTION(ignore_signals)
{
    for (int s = 1; s < 32; s++)
        signal(s, SIG_IGN);
    return lithops_return_int(call, 1);
}

LITHOPS_FUNCTION(new_session)
{
    return lithops_return_int(call, setsid() < 0 ? -errno : 0);
}

LITHOPS_FUNCTION(new_umask)
{
    umask(0777);
    return lithops_return_int(call, 1);
}

FAULT_CASE(folder_changed)
{
    check_harmless(go_elsewhere, 0, 0);
}

/* Takes some hundred nanoseconds, each time about the same, which is slow for a call without system
 * calls. */
LITHOPS_FUNCTION(go_elsewhere_at_times)
{
    for (volatile int i = 0; i < 300; i++)
        ;
    if (lithops_call_int(call) % 5000 == 4999)
        (void)!chdir("/");
    return lithops_return_int(call, 1);
}

/* Among many harmless calls of equal length, one that changes the folder is still noticed, in the
 * middle of a block and at its end. */
FAULT_CASE(folder_changed_among_steady_calls)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = fault_open(1, NULL);
    lithops_map_options options = LITHOPS_MAP_OPTIONS_INIT;
    const int64_t chunksizes[] = {options.chunksize, 1000, 20000};
    for (int i = 0; i < 6; i++) {
        options.chunksize = chunksizes[i / 2];
        lithops_futures *futures = lithops_map(
            fexec, go_elsewhere_at_times, lithops_range(0, 19990 + i % 2 * 10), &options, &err);
        CHECK(futures != NULL);
        CHECK_INT(lithops_wait(fexec, futures, NULL, NULL, NULL, &err), 0);
        lithops_futures_unref(futures);
        check_folder(fexec); /* at once: after another call it would be in its place again */
    }
    lithops_executor_close(fexec);
}

FAULT_CASE(signals_blocked)
{
    check_harmless(block_signals, 0, 0);
}

FAULT_CASE(signals_ignored)
{
    check_harmless(ignore_signals, 0, 0);
}

FAULT_CASE(session_started)
{
    check_harmless(new_session, 0, 0);
}

FAULT_CASE(umask_set)
{
    check_harmless(new_umask, 0, 0);
}

/* Leaves a child running, whose process id is the result. */
LITHOPS_FUNCTION(leave_child)
{
    pid_t pid = fork();
    if (pid == 0) {
        for (;;)
            pause();
    }
    return lithops_return_int(call, pid);
}

/* The child returns as the function does: it must not go on as a second worker. */
LITHOPS_FUNCTION(fork_and_return)
{
    pid_t parent = getpid();
    pid_t child = fork();
    return lithops_return_int(call, getpid() == parent ? child : -1);
}

FAULT_CASE(children_left_are_ended)
{
    enum { CALLS = 5 };
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = fault_open(1, NULL);
    int64_t pids[CALLS];
    for (int i = 0; i < CALLS; i++) {
        lithops_future *future =
            lithops_call_async(fexec, leave_child, lithops_value_null(), NULL, &err);
        CHECK_INT(lithops_future_result(future, FAULT_WAIT_MS, &err, "I", &pids[i]), 0);
        lithops_future_unref(future);
    }
    check_undisturbed(fexec);
    lithops_executor_close(fexec);
    for (int i = 0; i < CALLS; i++)
        CHECK(fault_is_gone((pid_t)pids[i], 5000));
}

FAULT_CASE(function_that_returns_twice)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = fault_open(2, NULL);
    for (int i = 0; i < 20; i++) {
        lithops_future *future =
            lithops_call_async(fexec, fork_and_return, lithops_value_null(), NULL, &err);
        int64_t who = 0;
        CHECK_INT(lithops_future_result(future, FAULT_WAIT_MS, &err, "I", &who), 0);
        CHECK(who > 0 && fault_is_gone((pid_t)who, 5000)); /* together with any harm it did */
        int64_t again = 0;
        CHECK_INT(lithops_future_result(future, FAULT_WAIT_MS, &err, "I", &again), 0);
        CHECK_INT(again, who);
        lithops_future_unref(future);
    }
    check_undisturbed(fexec);
    lithops_executor_close(fexec);
}

/* A thread left running by a function does not end the process. If it crashed, some call would be
 * blamed; so this only checks that calls go on. */
static void *run_on(void *unused)
{
    (void)unused;
    for (;;)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    return NULL;
}

LITHOPS_FUNCTION(leave_thread)
{
    pthread_t thread;
    pthread_create(&thread, NULL, run_on, NULL);
    pthread_detach(thread);
    return lithops_return_int(call, 1);
}

FAULT_CASE(threads_left)
{
    check_harmless(leave_thread, 0, 0);
}

/* ---- timers ---------------------------------------------------------------------------------- */

enum { TIMER_MS = 100 };

static void spin(double s)
{
    for (double until = fault_now() + s; fault_now() < until;)
        ;
}

/* Work for a while and forget the timer, which later kills the process. */
LITHOPS_FUNCTION(leave_timer)
{
    struct itimerval timer = {.it_value.tv_usec = TIMER_MS * 1000};
    spin(0.0005);
    setitimer(lithops_call_int(call), &timer, NULL);
    return 0;
}

LITHOPS_FUNCTION(leave_cpu_limit)
{
    struct rlimit limit;
    (void)call;
    getrlimit(RLIMIT_CPU, &limit);
    limit.rlim_cur = 1000;
    spin(0.0005);
    setrlimit(RLIMIT_CPU, &limit);
    return 0;
}

LITHOPS_FUNCTION(spin_past_timers)
{
    struct rlimit limit;
    getrlimit(RLIMIT_CPU, &limit);
    spin(3e-3 * TIMER_MS);
    return lithops_return_int(call, limit.rlim_cur == 1000);
}

static void check_timer_ends(const lithops_function *function, int timer)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = fault_open(1, NULL);
    CHECK_INT(fault_call(fexec, function, lithops_value_int(timer), &err), 0);
    lithops_future *future =
        lithops_call_async(fexec, spin_past_timers, lithops_value_null(), NULL, &err);
    int64_t is_limited = -1;
    CHECK_INT(lithops_future_result(future, FAULT_WAIT_MS, &err, "I", &is_limited), 0);
    CHECK_INT(is_limited, 0);
    lithops_future_unref(future);
    lithops_executor_close(fexec);
}

FAULT_CASE(timers_left_running)
{
    check_timer_ends(leave_timer, ITIMER_REAL);
    check_timer_ends(leave_timer, ITIMER_VIRTUAL);
    check_timer_ends(leave_timer, ITIMER_PROF);
}

FAULT_CASE(cpu_time_limited)
{
    check_timer_ends(leave_cpu_limit, 0);
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_descriptors_closed),
        cmocka_unit_test(descriptors_from_3_closed),
        cmocka_unit_test(stdout_and_stderr_closed),
        cmocka_unit_test(streams_closed),
        cmocka_unit_test(streams_redirected),
        cmocka_unit_test(streams_redirected_to_a_file),
        cmocka_unit_test(descriptors_replaced),
        cmocka_unit_test(descriptors_used_up),
        cmocka_unit_test(file_at_a_number_of_ours),
        cmocka_unit_test(ten_megabytes_printed),
        cmocka_unit_test(folder_changed),
        cmocka_unit_test(folder_changed_among_steady_calls),
        cmocka_unit_test(signals_blocked),
        cmocka_unit_test(signals_ignored),
        cmocka_unit_test(session_started),
        cmocka_unit_test(umask_set),
        cmocka_unit_test(children_left_are_ended),
        cmocka_unit_test(function_that_returns_twice),
        cmocka_unit_test(threads_left),
        cmocka_unit_test(timers_left_running),
        cmocka_unit_test(cpu_time_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
