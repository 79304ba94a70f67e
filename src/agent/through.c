/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/through.h"

#include "base/error.h"
#include "base/spawn.h"
#include "ipc/area.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define CONFIG "LITHOPS_CONFIG"

/* The environment of this program, with another configuration and without secrets. The first one is
 * for free(), as is the list. */
static char **make_environment(const char *config)
{
    static const char *const dropped[] = {CONFIG "=", CONFIG "_FILE=", "LITHOPS_WORKER_SECRET="};
    size_t count = 0, kept = 0;
    while (environ[count])
        count++;
    char **env = calloc(count + 2, sizeof *env);
    if (!env || asprintf(&env[kept++], CONFIG "=%s", config) < 0) {
        free(env);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        bool is_dropped = false;
        for (size_t k = 0; k < sizeof dropped / sizeof *dropped; k++)
            is_dropped |= strncmp(environ[i], dropped[k], strlen(dropped[k])) == 0;
        if (!is_dropped)
            env[kept++] = environ[i];
    }
    return env;
}

static void free_environment(char **env)
{
    explicit_bzero(env[0], strlen(env[0]));
    free(env[0]);
    free(env);
}

/* In the child, between fork() and exec(): nothing that takes a lock. All signals are blocked: one
 * that came before the handlers are gone would stop the server, whose handler this process has. */
static void become(const char *command, char *const *argv, char *const *env, int null_fd,
                   int log_fd, int watch_fd, pid_t parent)
{
    struct sigaction usual = {.sa_handler = SIG_DFL};
    sigset_t none;
    /* posix_spawn() could not do this. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent || setsid() < 0)
        return;
    for (int number = 1; number < NSIG; number++)
        (void)sigaction(number, &usual, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (dup2(null_fd, STDIN_FILENO) < 0 || dup2(log_fd, STDOUT_FILENO) < 0 ||
        dup2(log_fd, STDERR_FILENO) < 0 || (watch_fd >= 0 && dup2(watch_fd, 3) < 0))
        return;
    /* Connections of libcurl are not closed by exec(). One that a worker holds would look as if
     * this process lived on. */
    lithops__close_fds_from(watch_fd >= 0 ? 4 : 3);
    execve(command, argv, env);
    dprintf(STDERR_FILENO, "cannot run %s: error %d", command, errno);
}

static int run(const char *command, const char *key, char *const *env, int log_fd, int watch_fd,
               pid_t *ret_pid)
{
    char name[] = "lithops", argument[] = "worker", option[] = "--through";
    char *words = strdup(key);
    char *argv[] = {name, argument, option, words, NULL};
    int null_fd = lithops__high_fd(open("/dev/null", O_RDONLY | O_CLOEXEC));
    int failed = !words ? ENOMEM : null_fd < 0 ? errno : 0;
    sigset_t all, before;
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t parent = getpid(), pid = failed ? -1 : fork();
    if (pid == 0) {
        become(command, argv, env, null_fd, log_fd, watch_fd, parent);
        _exit(127);
    }
    if (!failed && pid < 0)
        failed = errno;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (null_fd >= 0)
        close(null_fd);
    free(words);
    *ret_pid = pid;
    return failed;
}

int lithops__through_start(struct lithops__child *child, const char *command, const char *key,
                           const char *config, bool keeps_log, lithops_error *err)
{
    int watch_fd = -1;
    pid_t pid = 0;
    *child = (struct lithops__child){.watch = {.fd = -1}, .log_fd = -1};
    char **env = make_environment(config);
    if (!env)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    int rc = lithops__watch_prepare(&child->watch, &watch_fd, err);
    if (rc != 0) {
        free_environment(env);
        return rc;
    }
    if (keeps_log)
        child->log_fd = lithops__high_fd(memfd_create("lithops-worker-stderr", MFD_CLOEXEC));
    int failed = keeps_log && child->log_fd < 0 ? errno : 0, log_fd = child->log_fd;
    if (!failed)
        failed = run(command, key, env, keeps_log ? log_fd : STDERR_FILENO, watch_fd, &pid);
    free_environment(env);
    if (watch_fd >= 0)
        close(watch_fd);
    rc = failed ? lithops__fail_errno(err, failed, "cannot start a worker (%s worker)", command)
                : lithops__watch_begin(&child->watch, pid, err);
    if (rc != 0) {
        lithops__watch_abandon(&child->watch);
        lithops__child_close_log(child);
    }
    return rc;
}

void lithops__through_end(struct lithops__child *child, char *ret_how, size_t size)
{
    siginfo_t status;
    lithops__watch_reap(&child->watch, &status);
    child->watch.pid = 0;
    lithops__child_tell_end(child, &status, ret_how, size);
}
