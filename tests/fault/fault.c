/* SPDX-License-Identifier: Apache-2.0 */
/* Running cases, and helpers for them. */
#include "fault.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SKIPPED = 77, LEFT_BEHIND_MS = 10000 * FAULT_SLOWER };

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

LITHOPS_FUNCTION(fault_sum)
{
    int64_t total = 0, x;
    int rc;
    while ((rc = lithops_call_next_result(call, "I", &x)) > 0)
        total += x;
    return rc ? rc : lithops_return_int(call, total);
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

/* The keeper of a case: its parent, which adopts its orphans. When the test itself is killed, by
 * whatever signal, the keeper is told, and ends all of them. */

static void print_left(pid_t pid)
{
    char path[64], name[64] = "";
    snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
    FILE *file = fopen(path, "r");
    if (file && fgets(name, sizeof name, file))
        name[strcspn(name, "\n")] = '\0';
    if (file)
        fclose(file);
    fprintf(stderr, "left behind: process %d (%s)\n", (int)pid, name);
}

/* End all children; what these had started is adopted, and ended too. @return how many */
static size_t end_children(bool print)
{
    pid_t pids[64];
    size_t ended = 0, count;
    while ((count = fault_children(pids, 64)) > 0)
        for (size_t i = 0; i < count && i < 64; i++, ended++) {
            if (print)
                print_left(pids[i]);
            kill(pids[i], SIGKILL);
            waitpid(pids[i], NULL, 0);
        }
    return ended;
}

static void await_signal(const sigset_t *signals, double left_s)
{
    struct timespec time = {(time_t)left_s, (long)((left_s - (double)(time_t)left_s) * 1e9)};
    if (sigtimedwait(signals, NULL, &time) != SIGTERM)
        return;
    (void)end_children(false);
    _exit(1);
}

/* Wait for orphans to end, and kill those that do not. @return how many were killed */
static size_t collect_orphans(const sigset_t *signals)
{
    double until = fault_now() + LEFT_BEHIND_MS / 1e3, left;
    do {
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
        if (waitpid(-1, NULL, WNOHANG) < 0) /* ECHILD: none is left */
            return 0;
        left = until - fault_now();
        if (left > 0)
            await_signal(signals, left);
    } while (left > 0);
    return end_children(true);
}

static int explain(const char *name, int status, size_t left)
{
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        fprintf(stderr, "%s hangs: it was ended after %d s\n", name, (int)FAULT_CASE_S);
    else if (WIFSIGNALED(status))
        fprintf(stderr, "%s ended by signal %d\n", name, WTERMSIG(status));
    if (left)
        fprintf(stderr, "%s left %zu processes behind\n", name, left);
    return left || WIFSIGNALED(status) ? 1 : WEXITSTATUS(status);
}

/* In a process of its own. */
static int keep_case(const char *name, void (*body)(void), pid_t test, const sigset_t *old)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != test)
        return 1;
    pid_t keeper = getpid(), pid = fork();
    if (pid == 0) {
        sigprocmask(SIG_SETMASK, old, NULL);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != keeper)
            _exit(1);
        alarm(FAULT_CASE_S);
        body();
        exit(0); /* with what the sanitizers find at exit */
    }
    int status = 0;
    while (pid > 0 && waitpid(pid, &status, WNOHANG) == 0)
        await_signal(&signals, 3600);
    return pid < 0 ? 1 : explain(name, status, collect_orphans(&signals));
}

void fault_run(const char *name, void (*body)(void))
{
    sigset_t term, old;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM); /* for the keeper, from its start on */
    fflush(stdout);
    fflush(stderr);
    pid_t test = getpid();
    sigprocmask(SIG_BLOCK, &term, &old);
    pid_t keeper = fork();
    if (keeper == 0)
        _exit(keep_case(name, body, test, &old));
    sigprocmask(SIG_SETMASK, &old, NULL);
    assert_true(keeper > 0);
    int status = 0;
    while (waitpid(keeper, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED)
        skip();
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
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

lithops_executor *fault_open_links(const char *backend, int call_retries, lithops_value *settings)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    lithops_value *config =
        lithops_pack("{s:{s:s,s:i}}", "lithops", "backend", backend, "call_retries", call_retries);
    options.config = config;
    options.settings = settings;
    lithops_executor *fexec = lithops_executor_open(&options, &err);
    if (!fexec)
        fault_fail(__FILE__, __LINE__, err.message);
    lithops_value_free(config);
    lithops_value_free(settings);
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

void fault_await_all(lithops_futures *futures)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_wait_options options = LITHOPS_WAIT_OPTIONS_INIT;
    options.timeout_ms = FAULT_WAIT_MS;
    options.throw_except = false;
    if (lithops_wait(NULL, futures, &options, NULL, NULL, &err) != 0)
        fault_fail(__FILE__, __LINE__, err.message);
}

size_t fault_check_squares(lithops_futures *futures, size_t count, int allowed)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    size_t failed = 0;
    for (size_t i = 0; i < count; i++) {
        int64_t result = 0;
        int rc = lithops_futures_int(futures, i, &result, &err);
        if (rc == 0)
            CHECK_INT(result, (int64_t)(i * i));
        else if (rc != allowed)
            fault_fail(__FILE__, __LINE__, err.message);
        failed += rc != 0;
    }
    return failed;
}

void fault_many_kills(lithops_executor *fexec, size_t calls, int usual,
                      bool (*kill_one)(unsigned *seed))
{
    const char *text = getenv("FAULT_KILLS");
    int kills = 0, most = text ? atoi(text) : usual / FAULT_SLOWER;
    size_t all = 0, failed = 0;
    unsigned seed = 1;
    fault_check_works(fexec, 1000);
    if (text)
        alarm(0);
    while (kills < most || all < (size_t)most * 1000) {
        lithops_error err = LITHOPS_ERROR_INIT;
        lithops_futures *futures =
            lithops_map(fexec, fault_square, lithops_range(0, (int64_t)calls), NULL, &err);
        size_t after = (size_t)rand_r(&seed) % calls;
        CHECK(futures != NULL);
        while (lithops_futures_done(futures) < after)
            sched_yield();
        if (kills < most)
            kills += kill_one(&seed);
        fault_await_all(futures);
        failed += fault_check_squares(futures, calls, LITHOPS_ECRASH);
        all += calls;
        lithops_futures_unref(futures);
        CHECK_INT(lithops_clean(fexec, NULL, NULL, &err), 0);
    }
    fprintf(stderr, "%d kills among %zu calls cost %zu\n", kills, all, failed);
    fault_check_works(fexec, 1000);
}

/* ---- processes
 * ------------------------------------------------------------------------------------ */

size_t fault_children(pid_t *pids, size_t most)
{
    return fault_children_of(getpid(), pids, most);
}

size_t fault_children_of(pid_t pid, pid_t *pids, size_t most)
{
    size_t count = 0;
    char path[300];
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *tasks = opendir(path);
    struct dirent *task;
    while (tasks && (task = readdir(tasks)) != NULL) {
        snprintf(path, sizeof path, "/proc/%d/task/%s/children", (int)pid, task->d_name);
        FILE *file = task->d_name[0] == '.' ? NULL : fopen(path, "re");
        int child;
        while (file && (!pids || count < most) && fscanf(file, "%d", &child) == 1) {
            if (pids)
                pids[count] = child;
            count++;
        }
        if (file)
            fclose(file);
    }
    if (tasks)
        closedir(tasks);
    return count;
}

pid_t fault_pid_in(const char *folder, const char *name)
{
    char path[512];
    long pid = 0;
    snprintf(path, sizeof path, "%s/%s.pid", folder, name);
    FILE *file = fopen(path, "re");
    CHECK(file && fscanf(file, "%ld", &pid) == 1 && pid > 1);
    fclose(file);
    return (pid_t)pid;
}

int fault_command(const char *command, const char *folder, const char *yaml, const char *arguments,
                  char *buf, size_t size)
{
    char path[512], line[2048];
    snprintf(path, sizeof path, "%s/command.yaml", folder);
    FILE *file = fopen(path, "we");
    CHECK(file && fputs(yaml, file) >= 0);
    fclose(file);
    snprintf(line, sizeof line, "LITHOPS_CONFIG_FILE='%s' '%s' %s 2>&1", path, command, arguments);
    FILE *said = popen(line, "re");
    CHECK(said);
    buf[fread(buf, 1, size - 1, said)] = '\0';
    int status = pclose(said);
    CHECK(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* The key of the newest job with `mark` in its line, if so many of its calls run at least; else "".
 */
static void find_job(char *list, const char *mark, int running, char *key, size_t size)
{
    static const char count[] = "\"running\": ";
    char *rest = NULL;
    key[0] = '\0';
    for (char *line = strtok_r(list, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        const char *job = strstr(line, "\"job\": \""), *runs = strstr(line, count);
        if (job && runs && strstr(line, mark) &&
            strtol(runs + sizeof count - 1, NULL, 10) >= running)
            snprintf(key, size, "%.*s", (int)strcspn(job + 8, "\""), job + 8);
    }
}

/* A job of `calls` calls of this process is stopped by `command`, whose list has `mark` in its
 * line.
 * @return what that says */
static const char *stop_job(const char *command, const char *folder, const char *yaml,
                            lithops_executor *fexec, int calls, int running, const char *mark)
{
    static char list[1 << 20];
    char key[64] = "", arguments[96];
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_futures *futures =
        lithops_map(fexec, fault_nap, lithops_range(600000, 600000 + calls), NULL, &err);
    double limit = fault_now() + FAULT_WAIT_MS / 1000.0;
    while (!key[0]) {
        CHECK(fault_now() < limit);
        if (fault_command(command, folder, yaml, "job list --json", list, sizeof list) != 0)
            fault_fail(__FILE__, __LINE__, list);
        find_job(list, mark, running, key, sizeof key);
    }
    snprintf(arguments, sizeof arguments, "job stop %s", key);
    if (fault_command(command, folder, yaml, arguments, list, sizeof list) != 0)
        fault_fail(__FILE__, __LINE__, list);
    fault_await_all(futures);
    for (int i = 0; i < calls; i++) {
        int64_t result;
        CHECK_INT(lithops_futures_int(futures, (size_t)i, &result, &err), LITHOPS_ECANCELED);
    }
    lithops_futures_unref(futures);
    return list;
}

void fault_stops_job(const char *command, const char *folder, const char *yaml,
                     lithops_executor *fexec, int calls, int running)
{
    char mark[64], expected[64];
    snprintf(mark, sizeof mark, "\"pid\": %d,", (int)getpid());
    const char *said = stop_job(command, folder, yaml, fexec, calls, running, mark);
    snprintf(expected, sizeof expected, "%d calls stopped\n", calls);
    if (strcmp(said, expected) != 0)
        fault_fail(__FILE__, __LINE__, said);
}

void fault_stops_job_elsewhere(const char *command, const char *folder, const char *yaml,
                               lithops_executor *fexec, int calls, int running)
{
    char path[512];
    snprintf(path, sizeof path, "%s/elsewhere", folder);
    FILE *file = fopen(path, "we");
    CHECK(file);
    fprintf(file, "#!/bin/sh\nexec unshare --pid --fork --kill-child --mount-proc '%s' \"$@\"\n",
            command);
    CHECK(fchmod(fileno(file), 0700) == 0 && fclose(file) == 0);
    const char *said = stop_job(path, folder, yaml, fexec, calls, running, "\"is_part\": true");
    if (!strstr(said, "calls stopped; their client, which is elsewhere, stops the rest\n"))
        fault_fail(__FILE__, __LINE__, said);
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
