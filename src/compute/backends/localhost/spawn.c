/* SPDX-License-Identifier: Apache-2.0 */
/* Starting a worker process: the program itself, once more.
 *
 * posix_spawn does not copy the client's memory (fork of a 1 GiB client takes 12 ms). In the new
 * process everything but the shared memory (3) and the log (0 is /dev/null, 1, 2, 4) is closed,
 * signals are at their defaults, and it leads a process group, so that a Ctrl-C at the terminal is
 * the client's to handle, and killing the group ends what the function has started. */
#include "base/error.h"
#include "compute/backends/localhost/pool.h"
#include "worker/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int make_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int rc = posix_spawnattr_init(attributes);
    if (rc == 0)
        rc = posix_spawnattr_setsigmask(attributes, &none);
    if (rc == 0)
        rc = posix_spawnattr_setsigdefault(attributes, &all);
    if (rc == 0)
        rc = posix_spawnattr_setpgroup(attributes, 0);
    if (rc == 0)
        rc = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                                      POSIX_SPAWN_SETPGROUP);
    return rc;
}

/* Both source descriptors are 10 or more, so no dup2 overwrites what a later one needs. */
static int make_actions(posix_spawn_file_actions_t *actions, int area_fd, int log_fd)
{
    int rc = posix_spawn_file_actions_init(actions);
    if (rc == 0)
        rc = posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(actions, log_fd, 1);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(actions, log_fd, 2);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(actions, area_fd, LITHOPS__WORKER_AREA_FD);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(actions, log_fd, LITHOPS__WORKER_LOG_FD);
    if (rc == 0)
        rc = posix_spawn_file_actions_addclosefrom_np(actions, LITHOPS__WORKER_LOG_FD + 1);
    return rc;
}

int lithops__high_fd(int fd)
{
    int high = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 10);
    if (fd >= 0) {
        int saved = errno;
        close(fd);
        errno = saved;
    }
    return high;
}

int lithops__spawn_worker(const struct lithops__area *area, uint32_t slot, int log_fd,
                          char *const *command, pid_t *ret_pid, int *ret_pidfd, lithops_error *err)
{
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t actions;
    char argument[64];
    snprintf(argument, sizeof argument, "%s%u", LITHOPS__WORKER_ARGUMENT, slot);
    char name[] = "lithops-worker", *argv[LITHOPS__MOST_COMMAND + 2] = {name};
    const char *program = command && command[0] ? command[0] : "/proc/self/exe";
    int argc = command ? 0 : 1;
    for (; command && command[argc]; argc++)
        argv[argc] = command[argc];
    argv[argc] = argument;
    int rc = make_attributes(&attributes);
    if (rc == 0)
        rc = make_actions(&actions, area->fd, log_fd);
    if (rc == 0)
        rc = posix_spawnp(ret_pid, program, &actions, &attributes, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (rc != 0)
        return lithops__fail_errno(err, rc, "cannot start a worker process (%s)", program);
    *ret_pidfd = lithops__high_fd((int)syscall(SYS_pidfd_open, *ret_pid, 0));
    if (*ret_pidfd < 0 && errno != ESRCH) {
        rc = errno;
        kill(*ret_pid, SIGKILL);
        waitpid(*ret_pid, NULL, 0);
        return lithops__fail_errno(err, rc, "cannot watch a worker process");
    }
    return 0;
}
