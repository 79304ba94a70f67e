/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/leftovers.h"

#include "base/clock.h"
#include "base/process_stat.h"
#include "base/read_text.h"
#include "ipc/slotlog.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { MOST_GROUPS = 256, ENVIRONMENT_BYTES = 1 << 20, EXEC_WAIT_MS = 1000, EXEC_LOOK_US = 100 };

void lithops__mark_write(char *buf, size_t size, const char *executor_id, uint32_t start)
{
    snprintf(buf, size, LITHOPS__MARK "%s/%u/%d", executor_id, start, (int)getsid(0));
}

void lithops__mark_remove(void)
{
    for (char **at = environ; at && *at; at++)
        if (strncmp(*at, LITHOPS__MARK, sizeof LITHOPS__MARK - 1) == 0)
            memset(*at, '-', sizeof LITHOPS__MARK - 2); /* where /proc reads it */
}

/* ---- whose a process is ---------------------------------------------------------------------- */

static bool parse_mark(const char *text, struct lithops__origin *ret)
{
    unsigned start;
    int session;
    if (sscanf(text, "%31[^/]/%u/%d", ret->executor_id, &start, &session) != 3)
        return false;
    ret->start = start;
    ret->session = session;
    return true;
}

/* Read a file of the process, NUL-terminated; 0 when it is empty or not for us to read. */
static size_t read_of(pid_t pid, const char *name, char *room, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    ssize_t len = lithops__read_text(path, room, size);
    return len > 0 ? (size_t)len : 0;
}

/* In the middle of an exec there is no environment to read. What the kernel writes after it is
 * where the code begins: so the environment is empty only if this is there. Kernel threads have
 * none, nor memory. */
static bool is_in_exec(pid_t pid)
{
    char code[24], memory[24];
    return lithops__process_stat(pid, LITHOPS__STAT_CODE_START, code, sizeof code) &&
           strcmp(code, "0") == 0 &&
           lithops__process_stat(pid, LITHOPS__STAT_MEMORY, memory, sizeof memory) &&
           strcmp(memory, "0") != 0;
}

/* `room` is ENVIRONMENT_BYTES. */
static bool has_mark(pid_t pid, char *room, struct lithops__origin *ret)
{
    size_t len = read_of(pid, "environ", room, ENVIRONMENT_BYTES);
    bool in_exec = len == 0;
    uint64_t deadline_ns = in_exec ? lithops__now_ns() + EXEC_WAIT_MS * UINT64_C(1000000) : 0;
    while (len == 0 && in_exec && lithops__now_ns() < deadline_ns) {
        in_exec = is_in_exec(pid); /* if not, it may have been until just now */
        if (in_exec)
            nanosleep(&(struct timespec){0, EXEC_LOOK_US * 1000}, NULL);
        len = read_of(pid, "environ", room, ENVIRONMENT_BYTES);
    }
    const size_t prefix = sizeof LITHOPS__MARK - 1;
    for (const char *at = room; at < room + len; at += strlen(at) + 1)
        if (strncmp(at, LITHOPS__MARK, prefix) == 0)
            return parse_mark(at + prefix, ret);
    return false;
}

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

static bool origin_of(pid_t pid, char *room, struct lithops__origin *ret)
{
    *ret = (struct lithops__origin){.start = 0};
    if (has_mark(pid, room, ret))
        return getsid(pid) == ret->session;
    pid_t group = getpgid(pid);
    return group > 1 && group != pid && writes_to_log(pid) && lithops__is_gone(group);
}

/* ---- killing --------------------------------------------------------------------------------- */

struct groups {
    pid_t ids[MOST_GROUPS];
    size_t count;
};

static void note_group(struct groups *groups, pid_t group)
{
    for (size_t i = 0; i < groups->count; i++)
        if (groups->ids[i] == group)
            return;
    if (groups->count < MOST_GROUPS)
        groups->ids[groups->count++] = group;
}

/* Open the process before looking at it, so that its id cannot pass to another one between the look
 * and the kill. False: it is gone. *ret_held is -1 where the kernel has no pidfds (before 5.4);
 * that gap stays there. */
static bool hold(pid_t pid, int *ret_held)
{
    *ret_held = (int)syscall(SYS_pidfd_open, pid, 0);
    return *ret_held >= 0 || errno != ESRCH;
}

static int send_kill(pid_t pid, int held, int signal)
{
    return held >= 0 ? (int)syscall(SYS_pidfd_send_signal, held, signal, NULL, 0)
                     : kill(pid, signal);
}

/* The group first, while the process is a member of it, so that its id is not another's. One that
 * process 1 leads, or that is led from another namespace (0), is not a worker's. */
static void end_process(pid_t pid, pid_t group, int held)
{
    bool has_lost_leader =
        group > 1 && group != getpgrp() && lithops__is_gone(group); /* the leader was its worker */
    if (has_lost_leader && send_kill(pid, held, 0) == 0 && getpgid(pid) == group)
        (void)kill(-group, SIGKILL);
    (void)send_kill(pid, held, SIGKILL);
}

static bool is_to_end(pid_t pid, char *room,
                      bool (*is_over)(const struct lithops__origin *origin, void *user), void *user)
{
    struct lithops__origin origin;
    return origin_of(pid, room, &origin) && is_over(&origin, user) && !lithops__is_gone(pid);
}

uint64_t lithops__leftovers_kill(pid_t session,
                                 bool (*is_over)(const struct lithops__origin *origin, void *user),
                                 void *user, bool dry_run)
{
    DIR *folder = opendir("/proc");
    char *room = malloc(ENVIRONMENT_BYTES);
    const struct dirent *entry;
    struct groups groups = {.count = 0};
    while (folder && room && (entry = readdir(folder)) != NULL) {
        char *end;
        pid_t pid = (pid_t)strtol(entry->d_name, &end, 10);
        int held;
        if (*end || pid <= 1 || pid == getpid() || (session >= 0 && getsid(pid) != session) ||
            !hold(pid, &held))
            continue;
        pid_t group = is_to_end(pid, room, is_over, user) ? getpgid(pid) : -1;
        if (group >= 0)
            note_group(&groups, group);
        if (group >= 0 && !dry_run)
            end_process(pid, group, held);
        if (held >= 0)
            close(held);
    }
    free(room);
    if (folder)
        closedir(folder);
    return groups.count;
}
