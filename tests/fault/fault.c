/* SPDX-License-Identifier: Apache-2.0 */
/* Running cases, and what they need again and again. */
#include "fault.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SKIPPED = 77, LEFT_BEHIND_MS = 2000 * FAULT_SLOWER };

LITHOPS_FUNCTION(fault_square)
{
    int64_t x = lithops_call_int(call);
    return lithops_return_int(call, x * x);
}

LITHOPS_FUNCTION(fault_nap)
{
    int64_t ms = lithops_call_int(call);
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
    return lithops_return_int(call, getpid());
}

double fault_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* ---- cases
 * --------------------------------------------------------------------------------------- */

void fault_fail(const char *file, int line, const char *text)
{
    fprintf(stderr, "%s:%d: failed: %s\n", file, line, text);
    _exit(1);
}

void fault_check_int(const char *file, int line, const char *text, long long actual,
                     long long expected)
{
    if (actual == expected)
        return;
    fprintf(stderr, "%s:%d: %s is %lld, expected %lld\n", file, line, text, actual, expected);
    _exit(1);
}

void fault_skip(const char *reason)
{
    fprintf(stderr, "skipped: %s\n", reason);
    _exit(SKIPPED);
}

/* Orphans of the case come to this process. Wait for them to end; end those that do not.
 * @return how many did not */
static size_t collect_orphans(void)
{
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    double until = fault_now() + LEFT_BEHIND_MS / 1e3;
    for (;;) {
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
        if (waitpid(-1, NULL, WNOHANG) < 0) /* ECHILD: none is left */
            return 0;
        double left = until - fault_now();
        if (left <= 0)
            break;
        struct timespec time = {(time_t)left, (long)((left - (double)(time_t)left) * 1e9)};
        (void)sigtimedwait(&child, NULL, &time);
    }
    pid_t pids[64];
    size_t count = fault_children(pids, 64);
    for (size_t i = 0; i < count; i++) {
        char path[64], name[64] = "";
        snprintf(path, sizeof path, "/proc/%d/comm", (int)pids[i]);
        FILE *file = fopen(path, "r");
        if (file && fgets(name, sizeof name, file))
            name[strcspn(name, "\n")] = '\0';
        if (file)
            fclose(file);
        fprintf(stderr, "left behind: process %d (%s)\n", (int)pids[i], name);
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, 0);
    }
    return count;
}

void fault_run(const char *name, void (*body)(void))
{
    sigset_t child, old;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, &old);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    fflush(stdout);
    fflush(stderr);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        sigprocmask(SIG_SETMASK, &old, NULL);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        alarm(FAULT_CASE_S);
        body();
        exit(0); /* with what the sanitizers find at exit */
    }
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    size_t left = collect_orphans();
    sigprocmask(SIG_SETMASK, &old, NULL);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        print_error("%s hangs: it was ended after %d s\n", name, (int)FAULT_CASE_S);
    else if (WIFSIGNALED(status))
        print_error("%s ended by signal %d\n", name, WTERMSIG(status));
    if (left)
        print_error("%s left %zu processes behind\n", name, left);
    if (left == 0 && WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED)
        skip();
    assert_true(left == 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* ---- executors and calls
 * ------------------------------------------------------------------------- */

lithops_executor *fault_try_open(int workers, lithops_value *settings, lithops_error *err)
{
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    lithops_value *config = lithops_value_map();
    settings = settings ? settings : lithops_value_map();
    lithops_value_set(settings, "worker_processes", lithops_value_int(workers));
    options.config = config;
    options.settings = settings;
    lithops_executor *fexec = lithops_executor_open(&options, err);
    lithops_value_free(config);
    lithops_value_free(settings);
    return fexec;
}

lithops_executor *fault_open(int workers, lithops_value *settings)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = fault_try_open(workers, settings, &err);
    if (!fexec)
        fault_fail(__FILE__, __LINE__, err.message);
    return fexec;
}

int fault_outcome(lithops_future *future, lithops_error *ret_err)
{
    CHECK(future != NULL);
    *ret_err = (lithops_error)LITHOPS_ERROR_INIT;
    if (lithops_future_wait(future, FAULT_WAIT_MS, ret_err) != 0)
        fault_fail(__FILE__, __LINE__, ret_err->message);
    int code = lithops_future_error(future, ret_err);
    lithops_future_unref(future);
    return code;
}

int fault_call(lithops_executor *fexec, const lithops_function *function, lithops_value *input,
               lithops_error *ret_err)
{
    return fault_outcome(lithops_call_async(fexec, function, input, NULL, ret_err), ret_err);
}

int fault_call_limited(lithops_executor *fexec, const lithops_function *function,
                       lithops_value *input, int64_t timeout_ms, int64_t memory_mb,
                       lithops_error *ret_err)
{
    lithops_call_options options = LITHOPS_CALL_OPTIONS_INIT;
    options.timeout_ms = timeout_ms;
    options.runtime_memory_mb = memory_mb;
    return fault_outcome(lithops_call_async(fexec, function, input, &options, ret_err), ret_err);
}

void fault_check_works(lithops_executor *fexec, int count)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_futures *futures =
        lithops_map(fexec, fault_square, lithops_range(0, count), NULL, &err);
    if (!futures)
        fault_fail(__FILE__, __LINE__, err.message);
    lithops_wait_options wait = LITHOPS_WAIT_OPTIONS_INIT;
    wait.timeout_ms = FAULT_WAIT_MS;
    if (lithops_wait(NULL, futures, &wait, NULL, NULL, &err) != 0)
        fault_fail(__FILE__, __LINE__, err.message);
    for (int i = 0; i < count; i++) {
        int64_t result = -1;
        CHECK_INT(lithops_futures_int(futures, (size_t)i, &result, &err), 0);
        CHECK_INT(result, (int64_t)i * i);
    }
    lithops_futures_unref(futures);
}

/* ---- processes
 * ------------------------------------------------------------------------------------ */

size_t fault_children(pid_t *pids, size_t most)
{
    size_t count = 0;
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *task;
    while (tasks && (task = readdir(tasks)) != NULL) {
        char path[300];
        snprintf(path, sizeof path, "/proc/self/task/%s/children", task->d_name);
        FILE *file = task->d_name[0] == '.' ? NULL : fopen(path, "re");
        int pid;
        while (file && count < most && fscanf(file, "%d", &pid) == 1)
            pids[count++] = pid;
        if (file)
            fclose(file);
    }
    if (tasks)
        closedir(tasks);
    return count;
}

bool fault_is_gone(pid_t pid, int timeout_ms)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0)
        return true;
    struct pollfd watched = {fd, POLLIN, 0};
    int ended = poll(&watched, 1, timeout_ms);
    close(fd);
    return ended == 1;
}

size_t fault_open_descriptors(void)
{
    size_t count = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (dir && readdir(dir))
        count++;
    if (dir)
        closedir(dir);
    return count;
}
