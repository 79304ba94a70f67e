/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/child.h"

#include "base/error.h"
#include "base/spawn.h"
#include "ipc/area.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TAIL_BYTES = 300 };

/* What the other side can take at once; the system may give less. */
static const int send_bytes = 1 << 20;

static int open_ends(int ends[2], int *ret_log)
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return errno;
    for (int i = 0; i < 2; i++) {
        if ((ends[i] = lithops__high_fd(ends[i])) < 0)
            return errno;
        (void)setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &send_bytes, sizeof send_bytes);
    }
    *ret_log = lithops__high_fd(memfd_create("lithops-worker-stderr", MFD_CLOEXEC));
    return *ret_log < 0 ? errno : 0;
}

static int spawn(const char *program, char *const *argv, char *const *env, int socket, int log_fd,
                 int watch_fd, pid_t *ret_pid)
{
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t actions;
    int rc = lithops__child_attributes(&attributes, POSIX_SPAWN_SETSID);
    posix_spawn_file_actions_init(&actions);
    for (int fd = 0; rc == 0 && fd < 3; fd++)
        rc = posix_spawn_file_actions_adddup2(&actions, fd == 2 ? log_fd : socket, fd);
    if (rc == 0 && watch_fd >= 0)
        rc = posix_spawn_file_actions_adddup2(&actions, watch_fd, 3);
    if (rc == 0)
        rc = lithops__close_from(&actions, watch_fd >= 0 ? 4 : 3);
    if (rc == 0)
        rc = lithops__spawn(ret_pid, program, &actions, &attributes, argv, env);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return rc;
}

int lithops__child_start(struct lithops__child *child, const char *program, char *const *argv,
                         char *const *env, int *ret_fd, lithops_error *err)
{
    int ends[2] = {-1, -1}, watch_fd = -1;
    pid_t pid = 0;
    lithops__child_close_log(child);
    int rc = lithops__watch_prepare(&child->watch, &watch_fd, err);
    if (rc != 0)
        return rc;
    rc = open_ends(ends, &child->log_fd);
    if (rc == 0)
        rc = spawn(program, argv, env, ends[1], child->log_fd, watch_fd, &pid);
    if (ends[1] >= 0)
        close(ends[1]);
    if (watch_fd >= 0)
        close(watch_fd);
    if (rc == 0 && (rc = lithops__watch_begin(&child->watch, pid, err)) == 0) {
        *ret_fd = ends[0];
        return 0;
    }
    if (ends[0] >= 0)
        close(ends[0]);
    lithops__watch_abandon(&child->watch);
    lithops__child_close_log(child);
    return rc;
}

void lithops__child_reap(struct lithops__child *child, int wait_ms, siginfo_t *ret_status)
{
    struct pollfd fd = {child->watch.fd, POLLIN, 0};
    if (child->watch.fd < 0 || poll(&fd, 1, wait_ms) == 0)
        lithops__watch_signal(&child->watch, SIGKILL);
    lithops__watch_reap(&child->watch, ret_status);
    child->watch.pid = 0;
}

void lithops__child_said(const struct lithops__child *child, char *buf, size_t size)
{
    off_t end = lseek(child->log_fd, 0, SEEK_END), most = (off_t)size - 1;
    off_t begin = end > most ? end - most : 0;
    ssize_t len = end > 0 ? pread(child->log_fd, buf, (size_t)(end - begin), begin) : 0;
    buf[len > 0 ? len : 0] = '\0';
}

void lithops__child_log_tail(const struct lithops__child *child, char *buf, size_t size)
{
    char text[TAIL_BYTES];
    lithops__child_said(child, text, sizeof text);
    if (!text[0])
        return;
    lithops__one_line(text, sizeof text - 1);
    size_t used = strlen(buf);
    snprintf(buf + used, size - used, ": %s", text);
}

void lithops__line_at(const char *text, const char *part, char *buf, size_t size)
{
    const char *begin = part;
    while (begin > text && begin[-1] != '\n' && begin[-1] != '\r')
        begin--;
    size_t len = strcspn(begin, "\r\n");
    snprintf(buf, size, "%.*s", (int)(len < 200 ? len : 200), begin);
}

void lithops__child_close_log(struct lithops__child *child)
{
    if (child->log_fd >= 0)
        close(child->log_fd);
    child->log_fd = -1;
}

void lithops__child_tell_end(struct lithops__child *child, const siginfo_t *status, char *ret_how,
                             size_t size)
{
    if (status->si_pid == 0)
        snprintf(ret_how, size, "it is gone");
    else if (status->si_code == CLD_EXITED)
        snprintf(ret_how, size, "it ended with exit status %d", status->si_status);
    else
        snprintf(ret_how, size, "it was killed by signal %d", status->si_status);
    lithops__child_log_tail(child, ret_how, size);
    lithops__child_close_log(child);
}
