/* SPDX-License-Identifier: Apache-2.0 */
/* Kills on both sides of a link, with the transport that LITHOPS_TEST_TRANSPORT names: worker
 * processes, workers, clients. Every call has one outcome,
 * calls that had not begun run elsewhere, and nothing is left behind. */
#include "fault.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PROCESSES = 2 };

static lithops_executor *open_with(int workers, const char *command, int retries)
{
    lithops_value *settings =
        lithops_pack("{s:i,s:i}", "workers", workers, "worker_processes", PROCESSES);
    const char *transport = getenv("LITHOPS_TEST_TRANSPORT");
    if (transport)
        (void)lithops_value_set(settings, "transport", lithops_value_string(transport));
    if (command)
        (void)lithops_value_set(settings, "command", lithops_value_string(command));
    return fault_open_links("process", retries, settings);
}

static lithops_wait_options within_limit(void)
{
    lithops_wait_options options = LITHOPS_WAIT_OPTIONS_INIT;
    options.timeout_ms = FAULT_WAIT_MS;
    options.throw_except = false;
    return options;
}

static void nap_ms(int ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
}

LITHOPS_FUNCTION(kill_itself)
{
    (void)call;
    kill(getpid(), SIGKILL);
    return 0;
}

LITHOPS_FUNCTION(square_slowly)
{
    int64_t n = lithops_call_int(call);
    nap_ms((int)(n % 7));
    return lithops_return_int(call, n * n);
}

/* Wait for all. @return how many failed; the others' results are right */
static size_t check_all(lithops_futures *futures, size_t count, const char *text)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_wait_options options = within_limit();
    size_t failed = 0;
    CHECK_INT(lithops_wait(NULL, futures, &options, NULL, NULL, &err), 0);
    for (size_t i = 0; i < count; i++) {
        int64_t result = 0;
        int rc = lithops_futures_int(futures, i, &result, &err);
        if (rc == 0) {
            CHECK_INT(result, (int64_t)i * (int64_t)i);
            continue;
        }
        CHECK_INT(rc, LITHOPS_ECRASH);
        if (!strstr(err.message, text))
            fault_fail(__FILE__, __LINE__, err.message);
        failed++;
    }
    lithops_futures_unref(futures);
    return failed;
}

FAULT_CASE(process_of_a_worker)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = open_with(2, NULL, 0);
    for (int i = 0; i < 5; i++) {
        CHECK_INT(fault_call(fexec, kill_itself, lithops_value_null(), &err), LITHOPS_ECRASH);
        CHECK(strstr(err.message, "signal 9") != NULL);
        CHECK_INT(err.signal, SIGKILL);
        fault_check_works(fexec, 100);
    }
    lithops_executor_close(fexec);
}

/* Who ends all processes of a machine's job sends a signal to one after the other. */
LITHOPS_FUNCTION(ends_before_its_worker)
{
    (void)call;
    pid_t worker = getppid(), own = getpid();
    int ready[2];
    char byte;
    if (pipe(ready) != 0)
        return LITHOPS_EIO;
    if (fork() == 0) {
        setsid(); /* what is left of the call's group is killed */
        close(ready[0]);
        close(ready[1]);
        while (getppid() == own)
            sched_yield();
        nap_ms(20); /* so long the worker knows */
        kill(worker, SIGTERM);
        _exit(0);
    }
    close(ready[1]);
    (void)!read(ready[0], &byte, 1); /* its end: the child is ready */
    kill(own, SIGTERM);
    pause();
    return 0;
}

/* It is lost with its worker, and no crash of its own. */
FAULT_CASE(a_job_that_is_ended_there)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = open_with(1, NULL, 0);
    CHECK_INT(fault_call(fexec, ends_before_its_worker, lithops_value_null(), &err),
              LITHOPS_ECRASH);
    if (!strstr(err.message, "was lost"))
        fault_fail(__FILE__, __LINE__, err.message);
    fault_check_works(fexec, 100);
    lithops_executor_close(fexec);
}

static lithops_futures *start(lithops_executor *fexec, size_t count)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_futures *futures =
        lithops_map(fexec, square_slowly, lithops_range(0, (int64_t)count), NULL, &err);
    if (!futures)
        fault_fail(__FILE__, __LINE__, err.message);
    return futures;
}

static void await_done(const lithops_futures *futures, size_t count)
{
    while (lithops_futures_done(futures) < count)
        sched_yield();
}

FAULT_CASE(worker_in_the_middle)
{
    enum { CALLS = 400 };
    lithops_executor *fexec = open_with(2, NULL, 0);
    lithops_futures *futures = start(fexec, CALLS);
    pid_t workers[4];
    await_done(futures, CALLS / 4);
    CHECK_INT(fault_children(workers, 4), 2);
    CHECK_INT(kill(workers[0], SIGKILL), 0);
    /* Only what ran there is lost. */
    CHECK(check_all(futures, CALLS, "was lost: it ended; it was killed by signal 9") <= PROCESSES);
    fault_check_works(fexec, 100);
    CHECK_INT(fault_children(workers, 4), 2); /* another one has taken its place */
    lithops_executor_close(fexec);
}

FAULT_CASE(only_worker)
{
    enum { CALLS = 300 };
    lithops_executor *fexec = open_with(1, NULL, 0);
    lithops_futures *futures = start(fexec, CALLS);
    pid_t worker;
    await_done(futures, CALLS / 4);
    CHECK_INT(fault_children(&worker, 1), 1);
    CHECK_INT(kill(worker, SIGKILL), 0);
    CHECK(check_all(futures, CALLS, "worker process-0 was lost") <= PROCESSES);
    lithops_executor_close(fexec);
}

FAULT_CASE(calls_that_may_run_again)
{
    enum { CALLS = 400, KILLS = 3 };
    lithops_executor *fexec = open_with(2, NULL, KILLS);
    lithops_futures *futures = start(fexec, CALLS);
    for (int i = 1; i <= KILLS; i++) {
        pid_t workers[4];
        await_done(futures, CALLS / 5 * (size_t)i);
        if (fault_children(workers, 4) > 0)
            kill(workers[i % 2], SIGKILL);
    }
    CHECK_INT(check_all(futures, CALLS, ""), 0);
    lithops_executor_close(fexec);
}

/* Tiny calls, thousands of them on each link. */
FAULT_CASE(worker_with_many_calls)
{
    enum { CALLS = 200000 };
    lithops_executor *fexec = open_with(2, NULL, 0);
    lithops_error err = LITHOPS_ERROR_INIT;
    for (int i = 0; i < 10; i++) {
        lithops_futures *futures =
            lithops_map(fexec, fault_square, lithops_range(0, CALLS), NULL, &err);
        CHECK(futures != NULL);
        pid_t workers[4];
        await_done(futures, CALLS / 20 * (size_t)(i + 1));
        if (fault_children(workers, 4) > (size_t)(i % 2))
            kill(workers[i % 2], SIGKILL);
        (void)check_all(futures, CALLS, "was lost");
    }
    fault_check_works(fexec, 1000);
    lithops_executor_close(fexec);
}

FAULT_CASE(client)
{
    pid_t pids[2][2];
    int to_parent[2];
    CHECK(pipe(to_parent) == 0);
    pid_t child = fork();
    if (child == 0) {
        lithops_executor *fexec = open_with(2, NULL, 0);
        lithops_error err = LITHOPS_ERROR_INIT;
        for (int i = 0; i < 2; i++) {
            lithops_futures *naps =
                lithops_map(fexec, fault_nap, lithops_range(60000, 60002), NULL, &err);
            for (size_t c = 0; c < 2; c++)
                while (lithops_futures_state(naps, c) != LITHOPS_RUNNING)
                    sched_yield();
        }
        CHECK_INT(fault_children(pids[0], 2), 2);
        CHECK(write(to_parent[1], pids[0], sizeof pids[0]) == (ssize_t)sizeof pids[0]);
        for (;;)
            pause();
    }
    CHECK(read(to_parent[0], pids[0], sizeof pids[0]) == (ssize_t)sizeof pids[0]);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    for (int i = 0; i < 2; i++) /* their processes, too: the runner of the cases checks */
        CHECK(fault_is_gone(pids[0][i], 5000));
}

static int told[2];

static void stop_a_worker(void)
{
    pid_t worker;
    lithops_executor *fexec = open_with(1, NULL, 0);
    fault_check_works(fexec, 100);
    CHECK_INT(fault_children(&worker, 1), 1);
    CHECK_INT(kill(worker, SIGSTOP), 0);
    CHECK(write(told[1], &worker, sizeof worker) == (ssize_t)sizeof worker);
    pause();
}

/* What would never notice by itself, as it stands still, ends with the test. */
FAULT_CASE(a_test_that_is_killed)
{
    pid_t worker, test;
    CHECK(pipe(told) == 0);
    test = fork();
    if (test == 0)
        fault_run("stop_a_worker", stop_a_worker);
    CHECK(test > 0 && read(told[0], &worker, sizeof worker) == (ssize_t)sizeof worker);
    CHECK_INT(kill(test, SIGKILL), 0);
    CHECK_INT(waitpid(test, NULL, 0), test);
    CHECK(fault_is_gone(worker, FAULT_WAIT_MS));
}

FAULT_CASE(closed_while_calls_run)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = open_with(2, NULL, 0);
    lithops_futures *naps = lithops_map(fexec, fault_nap, lithops_range(60000, 60100), NULL, &err);
    while (lithops_futures_state(naps, 0) != LITHOPS_RUNNING)
        sched_yield();
    double begin = fault_now();
    lithops_executor_close(fexec);
    CHECK(fault_now() - begin < 5 * FAULT_SLOWER);
    for (size_t i = 0; i < 100; i++) {
        int64_t result;
        CHECK_INT(lithops_futures_int(naps, i, &result, &err), LITHOPS_ECANCELED);
    }
    lithops_futures_unref(naps);
}

/* Workers do not hold the program's files open. */
FAULT_CASE(descriptors_of_the_client)
{
    int ends[2];
    CHECK(pipe(ends) == 0); /* without close-on-exec */
    lithops_executor *fexec = open_with(2, NULL, 0);
    fault_check_works(fexec, 100);
    close(ends[1]);
    struct pollfd reader = {ends[0], POLLIN, 0};
    CHECK_INT(poll(&reader, 1, 5000), 1);
    CHECK(reader.revents & POLLHUP);
    lithops_executor_close(fexec);
}

/* Anonymous memory of a process, KiB. */
static long memory_kb(pid_t pid)
{
    char path[64], line[256];
    long kb = -1;
    snprintf(path, sizeof path, "/proc/%ld/status", (long)pid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, "RssAnon:", 8) == 0)
            kb = strtol(line + 8, NULL, 10);
    if (file)
        fclose(file);
    CHECK(kb >= 0);
    return kb;
}

/* What a worker knows of a job goes when the job is gone. */
FAULT_CASE(jobs_that_are_gone)
{
    enum { JOBS = 60, ENV_KB = 512, ROUNDS = 3 };
    if (UNDER_SANITIZER)
        fault_skip("a sanitizer keeps what was freed");
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = open_with(1, NULL, 0);
    lithops_futures *futures[JOBS];
    pid_t worker;
    char *text = malloc((ENV_KB << 10) + 1);
    CHECK(text != NULL);
    memset(text, 'x', ENV_KB << 10);
    text[ENV_KB << 10] = '\0';
    lithops_value *env = lithops_pack("{s:s}", "LONG", text);
    lithops_map_options options = LITHOPS_MAP_OPTIONS_INIT;
    options.extra_env = env;
    fault_check_works(fexec, 100);
    CHECK_INT(fault_children(&worker, 1), 1);
    long before_kb = memory_kb(worker);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < JOBS; i++) {
            futures[i] = lithops_map(fexec, fault_square, lithops_range(0, 2), &options, &err);
            CHECK(futures[i] != NULL);
            CHECK_INT(lithops_wait(fexec, futures[i], NULL, NULL, NULL, &err), 0);
        }
        CHECK(memory_kb(worker) > before_kb + JOBS * ENV_KB / 2);
        for (int i = 0; i < JOBS; i++) {
            CHECK_INT(lithops_clean(fexec, futures[i], NULL, &err), 0);
            lithops_futures_unref(futures[i]);
        }
        while (memory_kb(worker) > before_kb + JOBS * ENV_KB / 4) /* or the case's limit */
            sched_yield();
    }
    lithops_value_free(env);
    free(text);
    lithops_executor_close(fexec);
}

static void fails_at_start(const char *command, const char *text)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = open_with(2, command, 0);
    for (int i = 0; i < 2; i++) { /* the second call starts another try */
        CHECK(fault_call(fexec, fault_square, lithops_value_int(1), &err) != 0);
        if (!strstr(err.message, text))
            fault_fail(__FILE__, __LINE__, err.message);
    }
    lithops_executor_close(fexec);
}

FAULT_CASE(no_such_command)
{
    fails_at_start("/no/such/lithops", "cannot start a worker (/no/such/lithops worker)");
}

FAULT_CASE(command_that_ends)
{
    fails_at_start("/bin/true", "it ended with exit status 0");
}

FAULT_CASE(command_that_is_another)
{
    fails_at_start("/usr/bin/yes", getenv("LITHOPS_TEST_TRANSPORT")
                                       ? "unrecognized option"
                                       : "not the protocol of a worker");
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(process_of_a_worker),
        cmocka_unit_test(a_job_that_is_ended_there),
        cmocka_unit_test(worker_in_the_middle),
        cmocka_unit_test(only_worker),
        cmocka_unit_test(calls_that_may_run_again),
        cmocka_unit_test(worker_with_many_calls),
        cmocka_unit_test(client),
        cmocka_unit_test(a_test_that_is_killed),
        cmocka_unit_test(closed_while_calls_run),
        cmocka_unit_test(no_such_command),
        cmocka_unit_test(descriptors_of_the_client),
        cmocka_unit_test(jobs_that_are_gone),
        cmocka_unit_test(command_that_ends),
        cmocka_unit_test(command_that_is_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
