/* SPDX-License-Identifier: Apache-2.0 */
/* runtime_memory: what a worker process may use while it runs the calls of a job.
 *
 * Preferably each process has its own memory control group (version 1 or 2): the kernel kills a
 * process that exceeds it, and says so. The client looks for a place where groups can be made and
 * notes it in the control block; the worker makes its group for the first job with a limit. Results
 * in shared memory are charged to the group of the process that wrote them, so the limit is raised
 * by the size of the worker's region.
 *
 * Where no group can be had, RLIMIT_DATA makes allocations fail instead.
 *
 * A limit is for one call, but what calls leave behind adds up in their process. So a process that
 * stays above the middle between a fresh one and the limit is replaced: every call finds at least
 * half of the room of a fresh process. With a higher threshold, ordinary calls would fail for what
 * others left; with a lower one, a loaded library would cost a process per call. */
#include "worker/limits.h"

#include "base/cgroup.h"
#include "base/error.h"
#include "ipc/layout.h"
#include "worker/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static int write_file(const char *folder, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    int rc = write(fd, text, strlen(text)) < 0 ? errno : 0;
    close(fd);
    return rc;
}

static void group_folder(const struct lithops__worker_process *process, char *buf, size_t size)
{
    snprintf(buf, size, "%s/lithops-%s-%u", process->area.control->cgroup,
             process->area.control->executor_id, process->slot);
}

/* Write the limit to the group; 0 bytes: none. */
static int set_group_limit(const struct lithops__worker_process *process, uint64_t bytes)
{
    char folder[320], text[32];
    group_folder(process, folder, sizeof folder);
    if (bytes)
        snprintf(text, sizeof text, "%llu",
                 (unsigned long long)bytes + process->region.high_pages * LITHOPS__PAGE);
    else
        snprintf(text, sizeof text, "-1");
    int rc = write_file(folder, "memory.limit_in_bytes", text); /* version 1 */
    if (rc != ENOENT)
        return rc;
    rc = write_file(folder, "memory.max", bytes ? text : "max");
    (void)write_file(folder, "memory.swap.max", "0");
    return rc;
}

static int join_group(struct lithops__worker_process *process)
{
    if (process->in_group)
        return 0;
    if (process->area.control->cgroup[0] == '\0')
        return ENOENT;
    char folder[320];
    group_folder(process, folder, sizeof folder);
    if (mkdir(folder, 0755) != 0 && errno != EEXIST)
        return errno;
    int rc = set_group_limit(process, 0);
    if (rc == 0)
        rc = write_file(folder, "cgroup.procs", "0");
    process->in_group = rc == 0;
    return rc;
}

static int set_rlimit(uint64_t bytes)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_DATA, &limit) != 0)
        return errno;
    limit.rlim_cur = bytes && bytes < limit.rlim_max ? bytes : limit.rlim_max;
    return setrlimit(RLIMIT_DATA, &limit) == 0 ? 0 : errno;
}

int lithops__limits_enter(struct lithops__worker_process *process, uint64_t memory_bytes,
                          lithops_error *err)
{
    int rc = join_group(process) == 0 ? set_group_limit(process, memory_bytes)
                                      : set_rlimit(memory_bytes);
    if (rc != 0)
        return lithops__fail(err, LITHOPS_EMEMORY,
                             "runtime_memory of %llu MB cannot be set (%s): less than the worker "
                             "process uses already?",
                             (unsigned long long)(memory_bytes >> 20), strerror(rc));
    process->memory_bytes = memory_bytes;
    return 0;
}

int lithops__limits_before_growth(void *user, uint64_t bytes)
{
    struct lithops__worker_process *process = user;
    if (process->in_group && process->memory_bytes)
        return set_group_limit(process, process->memory_bytes + bytes);
    return 0;
}

uint64_t lithops__limits_oom_kills(const struct lithops__worker_process *process)
{
    char folder[320];
    uint64_t kills = 0;
    if (!process->in_group || !process->memory_bytes)
        return 0;
    group_folder(process, folder, sizeof folder);
    (void)lithops__cgroup_oom_kills(folder, &kills);
    return kills;
}

void lithops__memory_read(struct lithops__memory *ret_memory)
{
    memset(ret_memory, 0, sizeof *ret_memory);
    char text[200]; /* no allocation: there may be no memory for one */
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[len > 0 ? len : 0] = '\0';
    unsigned long long vms, rss, shared, data;
    if (sscanf(text, "%llu %llu %llu %*u %*u %llu", &vms, &rss, &shared, &data) != 4)
        return;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    *ret_memory = (struct lithops__memory){vms * page, rss * page, shared * page, data * page};
}

/* What counts against the limit, about. */
static uint64_t counted(const struct lithops__worker_process *process,
                        const struct lithops__memory *memory)
{
    return process->in_group ? memory->resident_bytes - memory->shared_bytes : memory->data_bytes;
}

bool lithops__limits_are_worn(const struct lithops__worker_process *process,
                              const struct lithops__memory *memory)
{
    uint64_t limit = process->memory_bytes, fresh = counted(process, &process->fresh);
    return fresh < limit && counted(process, memory) > fresh + (limit - fresh) / 2;
}
