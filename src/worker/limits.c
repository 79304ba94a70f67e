/* SPDX-License-Identifier: Apache-2.0 */
/* runtime_memory: what a worker process may use while it runs the calls of a job.
 *
 * Best is a memory control group (version 1 or 2) of the process's own: the kernel ends a process
 * that goes over, and says so. The client looks for a place where groups can be made and puts it
 * into the control block; the worker makes its group when a job with a limit first comes. Results
 * in shared memory are charged to the group of the process that wrote them, so the limit is moved
 * up by what the worker's region holds.
 *
 * Where no group can be had, RLIMIT_DATA makes allocations fail instead. */
#include "worker/worker.h"

#include "base/error.h"

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
