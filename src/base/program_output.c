/* SPDX-License-Identifier: Apache-2.0 */
#include "base/program_output.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LIMIT_S = 60, LOOK_MS = 100, END_LOOK_MS = 5 };

/* Its output in *ret_fd. 0 or an errno. */
static int start(char *const *words, char *const *env, pid_t *ret_pid, int *ret_fd)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return errno;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                              POSIX_SPAWN_SETSIGDEF);
    int failed = lithops__spawn(ret_pid, words[0], &actions, &attributes, words, env);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (failed)
        close(ends[0]);
    *ret_fd = ends[0];
    return failed;
}

static int read_output(int fd, uint64_t end_ns, const struct lithops__bounds *bounds, char *text,
                       size_t size, size_t *ret_len, lithops_error *err)
{
    struct pollfd output = {.fd = fd, .events = POLLIN};
    size_t len = 0;
    ssize_t got = 1;
    while (got > 0 && len < size) {
        int rc = lithops__bounds_check(bounds, err);
        if (rc)
            return rc;
        if (lithops__now_ns() >= end_ns)
            return lithops__fail(err, LITHOPS_ETIMEDOUT, "it has not ended after %d s", LIMIT_S);
        if (poll(&output, 1, LOOK_MS) <= 0)
            continue;
        got = read(fd, text + len, size - len);
        if (got < 0 && errno == EINTR)
            got = 1; /* again */
        else
            len += got > 0 ? (size_t)got : 0;
    }
    *ret_len = len;
    return 0;
}

/* How it ended; 0 where this program waits for all its children itself. One that has closed its
 * output need not end: it is killed, with its group, when the time is up. */
static int take_status(pid_t pid, uint64_t end_ns)
{
    siginfo_t info = {.si_pid = 0};
    int status = 0, rc;
    /* While it is not reaped its id is that of its group, and of no other. */
    while ((rc = waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT)) == 0 &&
           info.si_pid == 0 && lithops__now_ns() < end_ns)
        (void)poll(NULL, 0, END_LOOK_MS);
    if (rc == 0 && lithops__now_ns() >= end_ns)
        kill(-pid, SIGKILL);
    pid_t ended;
    while ((ended = waitpid(pid, &status, 0)) < 0 && errno == EINTR)
        ;
    return ended == pid ? status : 0;
}

int lithops__program_output(char *const *argv, char *const *env,
                            const struct lithops__bounds *bounds, char *ret_text, size_t size,
                            size_t *ret_len, lithops_error *err)
{
    pid_t pid;
    int fd;
    int failed = start(argv, env, &pid, &fd);
    if (failed)
        return lithops__fail_errno(err, failed, "it cannot be started");
    const uint64_t end_ns = lithops__now_ns() + LIMIT_S * 1000000000ull;
    int rc = read_output(fd, end_ns, bounds, ret_text, size, ret_len, err);
    close(fd);
    int status = take_status(pid, rc ? 0 : end_ns);
    if (rc == 0 && status != 0)
        rc = lithops__fail(err, LITHOPS_EDENIED, "it ended with %s %d; run it by hand to see why",
                           WIFSIGNALED(status) ? "signal" : "exit status",
                           WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    return rc;
}
