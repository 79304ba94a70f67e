/* SPDX-License-Identifier: Apache-2.0 */
/* Processes that functions have started, and that nobody ends any more.
 *
 * A worker process leads a process group, and its client kills the group when the worker has ended.
 * When the client itself was killed, the kernel ends the workers, and what their functions had
 * started goes on. Such a group is known by two things: its leader is gone, and one of its
 * processes has a worker's log as its standard output or error. A process that has left the group
 * (as daemons do) is meant to stay. One that was started with other output is not found unless
 * another one of its group is. */
#include "compute/backends/localhost/pool.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static bool writes_to_log(pid_t pid)
{
    static const char log[] = "/memfd:" LITHOPS__LOG_NAME;
    for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++) {
        char path[64], target[64];
        snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, fd);
        ssize_t len = readlink(path, target, sizeof target);
        if (len >= (ssize_t)sizeof log - 1 && memcmp(target, log, sizeof log - 1) == 0)
            return true;
    }
    return false;
}

/* Gone, or dead and not reaped. */
static bool is_gone(pid_t pid)
{
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return errno == ENOENT;
    const char *name_end = fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
    fclose(file);
    return !name_end || strncmp(name_end, ") Z", 3) == 0 || strncmp(name_end, ") X", 3) == 0;
}

/* Kill a group, and wait a moment until it is gone: its memory group can be removed then. */
static bool kill_group(pid_t group)
{
    if (kill(-group, SIGKILL) != 0)
        return false;
    for (int i = 0; i < 100 && kill(-group, 0) == 0; i++)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    return true;
}

uint64_t lithops__orphans_kill(void)
{
    DIR *folder = opendir("/proc");
    const struct dirent *entry;
    uint64_t killed = 0;
    while (folder && (entry = readdir(folder)) != NULL) {
        char *end;
        pid_t pid = (pid_t)strtol(entry->d_name, &end, 10);
        if (*end || pid <= 0)
            continue;
        pid_t group = getpgid(pid);
        if (group > 1 && group != pid && writes_to_log(pid) && is_gone(group))
            killed += kill_group(group);
    }
    if (folder)
        closedir(folder);
    return killed;
}
