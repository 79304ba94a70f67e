/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/watch.h"

#include "base/clock.h"
#include "base/error.h"
#include "ipc/area.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef P_PIDFD /* glibc before 2.36 */
#define P_PIDFD 3
#endif

enum {
    LOOK_MS = 100,     /* interval of looks at a child without pidfd */
    HUNG_UP_MS = 1,    /* the same for one that has closed its pipe: it is most likely ending ... */
    HUNG_UP_FOR = 500, /* ... unless it has not by then */
};

static int wait_for(const struct lithops__watch *watch, siginfo_t *ret_status, int options)
{
    memset(ret_status, 0, sizeof *ret_status);
    int rc;
    do
        rc = watch->has_pidfd ? waitid((idtype_t)P_PIDFD, (id_t)watch->fd, ret_status, options)
                              : waitid(P_PID, (id_t)watch->pid, ret_status, options);
    while (rc != 0 && errno == EINTR);
    return rc;
}

/* The three system calls needed were added in different kernel versions. */
static bool has_pidfds(void)
{
    siginfo_t status;
    int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (fd < 0)
        return errno != ENOSYS && errno != EPERM;
    bool has =
        syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0) == 0 &&
        (waitid((idtype_t)P_PIDFD, (id_t)fd, &status, WEXITED | WNOHANG) == 0 || errno == ECHILD);
    close(fd);
    return has;
}

int lithops__watch_prepare(struct lithops__watch *watch, int *ret_child_end, lithops_error *err)
{
    int ends[2];
    *watch = (struct lithops__watch){.fd = -1, .has_pidfd = has_pidfds()};
    *ret_child_end = -1;
    if (watch->has_pidfd)
        return 0;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return lithops__fail_errno(err, errno, "cannot watch a worker process");
    watch->fd = lithops__high_fd(ends[0]);
    *ret_child_end = lithops__high_fd(ends[1]);
    if (watch->fd >= 0 && *ret_child_end >= 0)
        return 0;
    int rc = lithops__fail_errno(err, errno, "cannot watch a worker process");
    lithops__watch_abandon(watch);
    if (*ret_child_end >= 0)
        close(*ret_child_end);
    return rc;
}

int lithops__watch_begin(struct lithops__watch *watch, pid_t pid, lithops_error *err)
{
    watch->pid = pid;
    if (!watch->has_pidfd)
        return 0;
    watch->fd = lithops__high_fd((int)syscall(SYS_pidfd_open, pid, 0));
    watch->is_over = watch->fd < 0 && errno == ESRCH;
    if (watch->fd >= 0 || watch->is_over)
        return 0;
    int rc = errno;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return lithops__fail_errno(err, rc, "cannot watch a worker process");
}

void lithops__watch_abandon(struct lithops__watch *watch)
{
    if (watch->fd >= 0)
        close(watch->fd);
    *watch = (struct lithops__watch){.fd = -1};
}

void lithops__watch_signal(const struct lithops__watch *watch, int signal)
{
    siginfo_t status;
    if (watch->has_pidfd)
        (void)syscall(SYS_pidfd_send_signal, watch->fd, signal, NULL, 0);
    else if (wait_for(watch, &status, WEXITED | WNOHANG | WNOWAIT) == 0)
        (void)kill(watch->pid, signal); /* it is a child of ours, dead or alive */
}

bool lithops__watch_has_stopped(const struct lithops__watch *watch)
{
    siginfo_t status;
    return wait_for(watch, &status, WSTOPPED | WEXITED | WNOWAIT | WNOHANG) != 0 ||
           status.si_pid != 0;
}

bool lithops__watch_has_ended(const struct lithops__watch *watch)
{
    siginfo_t status;
    return watch->is_over || wait_for(watch, &status, WEXITED | WNOWAIT | WNOHANG) != 0 ||
           status.si_pid != 0;
}

bool lithops__watch_is_over(struct lithops__watch *watch, short revents)
{
    siginfo_t status;
    if (watch->has_pidfd)
        return revents != 0;
    if (wait_for(watch, &status, WEXITED | WNOWAIT | WNOHANG) != 0 || status.si_pid != 0)
        return true;
    if (revents && watch->fd >= 0) { /* it has not exited yet, or has closed the pipe */
        watch->hung_up = lithops__now_ns();
        close(watch->fd);
        watch->fd = -1;
    }
    return false;
}

uint64_t lithops__watch_look_again(const struct lithops__watch *watch)
{
    uint64_t now = lithops__now_ns();
    if (watch->has_pidfd)
        return UINT64_MAX;
    bool ends = watch->hung_up && now - watch->hung_up < HUNG_UP_FOR * 1000000ull;
    return now + (ends ? HUNG_UP_MS : LOOK_MS) * 1000000ull;
}

void lithops__watch_reap(struct lithops__watch *watch, siginfo_t *ret_status)
{
    if (wait_for(watch, ret_status, WEXITED | WNOWAIT) == 0) {
        /* Kill what the function started, before the id can be reused. */
        kill(-watch->pid, SIGKILL);
        wait_for(watch, ret_status, WEXITED);
    } else {
        memset(ret_status, 0, sizeof *ret_status);
    }
    if (watch->fd >= 0)
        close(watch->fd);
    watch->fd = -1;
}

int lithops__child_attributes(posix_spawnattr_t *attributes, short apart)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int rc = posix_spawnattr_init(attributes);
    if (rc == 0)
        rc = posix_spawnattr_setsigmask(attributes, &none);
    if (rc == 0)
        rc = posix_spawnattr_setsigdefault(attributes, &all);
    if (rc == 0) /* group 0 (the default): a new group, led by the child */
        rc = posix_spawnattr_setflags(
            attributes, (short)(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | apart));
    return rc;
}

#if __GLIBC__ > 2 || (__GLIBC__ == 2 && __GLIBC_MINOR__ >= 34)
int lithops__close_from(posix_spawn_file_actions_t *actions, int first)
{
    return posix_spawn_file_actions_addclosefrom_np(actions, first);
}
#else
/* Older C libraries, and musl, lack posix_spawn_file_actions_addclosefrom_np(): add a close action
 * for each descriptor open now. One that another thread opens meanwhile without O_CLOEXEC is
 * inherited, as in any such program. */
int lithops__close_from(posix_spawn_file_actions_t *actions, int first)
{
    DIR *folder = opendir("/proc/self/fd");
    if (!folder)
        return errno;
    int rc = 0;
    for (struct dirent *entry; rc == 0 && (entry = readdir(folder));) {
        int fd = (int)strtol(entry->d_name, NULL, 10), flags = fcntl(fd, F_GETFD);
        if (fd >= first && flags >= 0 && !(flags & FD_CLOEXEC))
            rc = posix_spawn_file_actions_addclose(actions, fd);
    }
    closedir(folder);
    return rc;
}
#endif
