/* SPDX-License-Identifier: Apache-2.0 */
/* Starting a worker process: the program itself, once more.
 *
 * posix_spawn does not copy the client's memory (fork of a 1 GiB client takes 12 ms). In the new
 * process everything but the shared memory (3) and the log (0 is /dev/null, 1, 2, 4) is closed,
 * signals are at their defaults, and it leads a process group, so that a Ctrl-C at the terminal is
 * the client's to handle, and killing the group ends what the function has started. */
#include "base/spawn.h"
#include "base/error.h"
#include "compute/backends/localhost/pool.h"
#include "compute/watch.h"
#include "ipc/area.h"
#include "worker/init.h"
#include "worker/leftovers.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Both source descriptors are 10 or more, so no dup2 overwrites what a later one needs. */
static int make_actions(posix_spawn_file_actions_t *actions, int area_fd, int log_fd, int lifeline,
                        int watch_fd)
{
    int last = watch_fd >= 0 ? LITHOPS__WORKER_WATCH_FD : LITHOPS__WORKER_LIFELINE_FD;
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
        rc = posix_spawn_file_actions_adddup2(actions, lifeline, LITHOPS__WORKER_LIFELINE_FD);
    if (rc == 0 && watch_fd >= 0)
        rc = posix_spawn_file_actions_adddup2(actions, watch_fd, LITHOPS__WORKER_WATCH_FD);
    if (rc == 0)
        rc = lithops__close_from(actions, last + 1);
    return rc;
}

/* This program, even if its file was replaced. Under valgrind, /proc/self/exe is valgrind itself;
 * readlink() gives the program's name. */
static const char *own_program(char *buf, size_t size)
{
    const char *preloaded = getenv("LD_PRELOAD");
    ssize_t len = preloaded && strstr(preloaded, "vgpreload")
                      ? readlink("/proc/self/exe", buf, size - 1)
                      : -1;
    if (len < 0)
        return "/proc/self/exe";
    buf[len] = '\0';
    return buf;
}

/* The client's environment and the mark; for free(). */
static char **make_environment(char *mark)
{
    size_t count = 0, kept = 0;
    while (environ && environ[count])
        count++;
    char **made = malloc((count + 2) * sizeof *made);
    for (size_t i = 0; made && i < count; i++)
        if (strncmp(environ[i], LITHOPS__MARK, sizeof LITHOPS__MARK - 1) != 0)
            made[kept++] = environ[i];
    if (made) {
        made[kept++] = mark;
        made[kept] = NULL;
    }
    return made;
}

int lithops__spawn_worker(const struct lithops__area *area, uint32_t slot, int log_fd, int lifeline,
                          uint32_t start, char *const *command, struct lithops__watch *ret_watch,
                          lithops_error *err)
{
    int watch_fd = -1, rc = lithops__watch_prepare(ret_watch, &watch_fd, err);
    if (rc != 0)
        return rc;
    atomic_store(&area->control->has_watch_pipes, watch_fd >= 0);
    pid_t pid;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t actions;
    char argument[64];
    snprintf(argument, sizeof argument, "%s%u", LITHOPS__WORKER_ARGUMENT, slot);
    char name[] = "lithops-worker", *argv[LITHOPS__MOST_COMMAND + 2] = {name};
    char own[4096];
    const char *program = command && command[0] ? command[0] : own_program(own, sizeof own);
    int argc = command ? 0 : 1;
    for (; command && command[argc]; argc++)
        argv[argc] = command[argc];
    argv[argc] = argument;
    char mark[96];
    lithops__mark_write(mark, sizeof mark, area->control->executor_id, start);
    char **environment = make_environment(mark);
    rc = lithops__child_attributes(&attributes, POSIX_SPAWN_SETPGROUP);
    if (rc == 0)
        rc = make_actions(&actions, area->fd, log_fd, lifeline, watch_fd);
    if (rc == 0)
        rc = lithops__spawn(&pid, program, &actions, &attributes, argv,
                            environment ? environment : environ);
    free(environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (watch_fd >= 0)
        close(watch_fd);
    if (rc == 0)
        return lithops__watch_begin(ret_watch, pid, err);
    lithops__watch_abandon(ret_watch);
    if (rc == ENOENT && !strchr(program, '/'))
        return lithops__fail(err, LITHOPS_ENOTFOUND,
                             "there is no %s where workers run: the image that is their runtime "
                             "must have it, of just that version",
                             program);
    return lithops__fail_errno(err, rc, "cannot start a worker process (%s)", program);
}
