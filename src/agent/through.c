/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/through.h"

#include "base/error.h"
#include "base/module.h"
#include "base/spawn.h"
#include "ipc/area.h"
#include "net/http.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIG "LITHOPS_CONFIG"
#define TRACE "_X_AMZN_TRACE_ID" /* of each event of Lambda */
#define TEXTS_FD 3               /* in the child: the memory file with what it is told */

/* ---- the child's environment ----------------------------------------------------------------- */

/* The environment of this program, without the secret of requests, and without a configuration: the
 * child is told its own, and sets CONFIG itself. */
static char **make_environment(void)
{
    static const char *const dropped[] = {CONFIG "=", CONFIG "_FILE=", "LITHOPS_WORKER_SECRET="};
    size_t count = 0, kept = 0;
    while (environ[count])
        count++;
    char **env = calloc(count + 1, sizeof *env);
    for (size_t i = 0; env && i < count; i++) {
        bool is_dropped = false;
        for (size_t k = 0; k < sizeof dropped / sizeof *dropped; k++)
            is_dropped |= strncmp(environ[i], dropped[k], strlen(dropped[k])) == 0;
        if (!is_dropped)
            env[kept++] = environ[i];
    }
    return env;
}

/* ---- starting it ----------------------------------------------------------------------------- */

/* In the child, between fork() and exec(): nothing that takes a lock. All signals are blocked: one
 * that came before the handlers are gone would stop the server, whose handler this process has. */
static void become(const char *command, char *const *argv, char *const *env, const int in[2],
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
    if (dup2(in[0], STDIN_FILENO) < 0 || dup2(log_fd, STDOUT_FILENO) < 0 ||
        dup2(log_fd, STDERR_FILENO) < 0 || dup2(in[1], TEXTS_FD) < 0 ||
        (watch_fd >= 0 && dup2(watch_fd, TEXTS_FD + 1) < 0))
        return;
    /* Connections of libcurl are not closed by exec(). One that a worker holds would look as if
     * this process lived on. */
    lithops__close_fds_from(TEXTS_FD + (watch_fd >= 0 ? 2 : 1));
    execve(command, argv, env);
    dprintf(STDERR_FILENO, "cannot run %s: error %d", command, errno);
}

/* @param in  its standard input, and its memory file */
static int run(const char *command, char *const *env, const int in[2], int log_fd, int watch_fd,
               pid_t *ret_pid)
{
    char name[] = "lithops", argument[] = "worker", option[] = "--through", standby[] = "-";
    char *argv[] = {name, argument, option, standby, NULL};
    sigset_t all, before;
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        become(command, argv, env, in, log_fd, watch_fd, parent);
        _exit(127);
    }
    int failed = pid < 0 ? errno : 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    *ret_pid = pid;
    return failed;
}

/* The pipe that is its standard input, the child's end and ours, and the memory file. */
static int make_input(int fds[3])
{
    if (pipe2(fds, O_CLOEXEC) != 0)
        return errno;
    fds[2] = memfd_create("lithops-worker-texts", MFD_CLOEXEC);
    int failed = fds[2] < 0 ? errno : 0;
    for (size_t i = 0; !failed && i < 3; i++) {
        fds[i] = lithops__high_fd(fds[i]);
        failed = fds[i] < 0 ? EMFILE : 0;
    }
    return failed;
}

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

int lithops__through_prepare(struct lithops__standby *standby, const char *command, bool keeps_log,
                             lithops_error *err)
{
    struct lithops__child *child = &standby->child;
    int watch_fd = -1, in[3] = {-1, -1, -1};
    pid_t pid = 0;
    if (standby->fd >= 0)
        return 0;
    *standby = (struct lithops__standby)LITHOPS__STANDBY_NONE;
    char **env = make_environment();
    if (!env)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    int rc = lithops__watch_prepare(&child->watch, &watch_fd, err);
    if (rc != 0) {
        free(env);
        return rc;
    }
    if (keeps_log)
        child->log_fd = lithops__high_fd(memfd_create("lithops-worker-stderr", MFD_CLOEXEC));
    int failed = keeps_log && child->log_fd < 0 ? errno : 0;
    if (!failed)
        failed = make_input(in);
    if (!failed)
        failed = run(command, env, (const int[2]){in[0], in[2]},
                     keeps_log ? child->log_fd : STDERR_FILENO, watch_fd, &pid);
    free(env);
    close_fd(watch_fd);
    close_fd(in[0]);
    rc = failed ? lithops__fail_errno(err, failed, "cannot start a worker (%s worker)", command)
                : lithops__watch_begin(&child->watch, pid, err);
    if (rc == 0) {
        standby->fd = in[1];
        standby->texts_fd = in[2];
        return 0;
    }
    close_fd(in[1]);
    close_fd(in[2]);
    lithops__watch_abandon(&child->watch);
    lithops__child_close_log(child);
    return rc;
}

void lithops__through_drop(struct lithops__standby *standby)
{
    siginfo_t status;
    if (standby->fd < 0)
        return;
    close(standby->fd);
    close(standby->texts_fd);
    lithops__watch_signal(&standby->child.watch, SIGKILL);
    lithops__watch_reap(&standby->child.watch, &status);
    lithops__child_close_log(&standby->child);
    *standby = (struct lithops__standby)LITHOPS__STANDBY_NONE;
}

/* ---- telling it ------------------------------------------------------------------------------ */

/* All of it, with the NUL. */
static int write_text(int fd, const char *text)
{
    for (size_t left = strlen(text) + 1; left > 0;) {
        ssize_t n = write(fd, text, left);
        if (n < 0 && errno != EINTR)
            return errno;
        text += n > 0 ? n : 0;
        left -= n > 0 ? (size_t)n : 0;
    }
    return 0;
}

/* This waits for nobody: the texts are in memory, and the pipe has room for a byte. */
static int tell(const struct lithops__standby *standby, const char *key, const char *config)
{
    const char *trace = getenv(TRACE);
    int failed = write_text(standby->texts_fd, key);
    if (!failed)
        failed = write_text(standby->texts_fd, trace ? trace : "");
    if (!failed)
        failed = write_text(standby->texts_fd, config);
    return failed ? failed : write_text(standby->fd, "");
}

int lithops__through_start(struct lithops__standby *standby, const char *command, bool keeps_log,
                           const char *key, const char *config, struct lithops__child *ret_child,
                           lithops_error *err)
{
    if (standby->fd >= 0 && lithops__watch_has_ended(&standby->child.watch))
        lithops__through_drop(standby);
    int failed = standby->fd >= 0 ? tell(standby, key, config) : 0;
    if (failed) /* it has ended just now */
        lithops__through_drop(standby);
    if (standby->fd < 0) {
        int rc = lithops__through_prepare(standby, command, keeps_log, err);
        if (rc != 0)
            return rc;
        failed = tell(standby, key, config);
    }
    if (failed) {
        lithops__through_drop(standby);
        return lithops__fail_errno(err, failed, "cannot tell a worker what it is");
    }
    close(standby->fd);
    close(standby->texts_fd);
    *ret_child = standby->child;
    *standby = (struct lithops__standby)LITHOPS__STANDBY_NONE;
    return 0;
}

void lithops__through_end(struct lithops__child *child, char *ret_how, size_t size)
{
    siginfo_t status;
    lithops__watch_reap(&child->watch, &status);
    child->watch.pid = 0;
    lithops__child_tell_end(child, &status, ret_how, size);
}

/* ---- in the child ---------------------------------------------------------------------------- */

static bool is_told(void)
{
    struct pollfd fd = {STDIN_FILENO, POLLIN, 0};
    return poll(&fd, 1, 0) != 0;
}

/* What a worker needs whose storage is reached by a network. What is missing is explained to who
 * needs it. */
static void load_ahead(void)
{
    lithops_error err;
    if (!is_told())
        (void)lithops__module_symbol("yaml", "lithops__yaml_parse", &err);
    const struct lithops__http_api *http =
        is_told() ? NULL : lithops__module_symbol("http", "lithops__http", &err);
    if (http && !is_told())
        http->prepare();
}

/* The next of the texts; NULL: there is none. */
static const char *next_text(lithops_bytes all, size_t *at)
{
    const char *text = (const char *)all.ptr + *at;
    const char *end = *at < all.len ? memchr(text, '\0', all.len - *at) : NULL;
    if (!end)
        return NULL;
    *at += (size_t)(end - text) + 1;
    return text;
}

static int not_told(lithops_error *err)
{
    return lithops__fail(err, LITHOPS_EUSAGE,
                         "lithops worker --through - is told what it is by the lithops worker that "
                         "starts it");
}

static int take_texts(lithops_bytes all, char ret_key[LITHOPS__CARRIER_KEY], lithops_error *err)
{
    size_t at = 0;
    const char *key = next_text(all, &at), *trace = key ? next_text(all, &at) : NULL;
    const char *config = trace ? next_text(all, &at) : NULL;
    if (!config || strlen(key) >= LITHOPS__CARRIER_KEY)
        return not_told(err);
    memcpy(ret_key, key, strlen(key) + 1);
    if (setenv(CONFIG, config, 1) != 0 || (*trace && setenv(TRACE, trace, 1) != 0))
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    if (!*trace)
        unsetenv(TRACE);
    return 0;
}

int lithops__through_await(char ret_key[LITHOPS__CARRIER_KEY], lithops_error *err)
{
    struct stat about;
    char byte;
    ssize_t n;
    load_ahead();
    while ((n = read(STDIN_FILENO, &byte, 1)) < 0 && errno == EINTR)
        continue;
    if (n <= 0)
        return lithops__fail(err, LITHOPS_ECANCELED, "it was not wanted");
    if (fstat(TEXTS_FD, &about) != 0 || !S_ISREG(about.st_mode) || about.st_size == 0)
        return not_told(err);
    size_t len = (size_t)about.st_size;
    void *all = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, TEXTS_FD, 0);
    if (all == MAP_FAILED)
        return lithops__fail_errno(err, errno, "cannot read what this worker is told");
    int rc = take_texts((lithops_bytes){all, len}, ret_key, err);
    explicit_bzero(all, len); /* the file, of which there is no copy */
    munmap(all, len);
    close(TEXTS_FD);
    return rc;
}
