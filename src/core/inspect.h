/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at the executors of other processes of this user, and stopping their jobs.
 *
 * No process keeps a list: an executor's memory file is found among the descriptors of its process
 * in /proc, and tells everything. */
#ifndef LITHOPS_CORE_INSPECT_H
#define LITHOPS_CORE_INSPECT_H

#include "compute/compute.h"

#include <sys/types.h>

struct lithops__inspected_job {
    const char *executor_id; /* "a1b2c3-0" */
    pid_t pid;               /* of the client */
    char job_id[16];         /* "M003"; for single calls "A003", or "A003..A017" */
    const char *function;
    uint64_t calls, pending, running, success, failed, canceled;
    double age_s; /* since it was submitted */
};

/* Visit the jobs of all executors of this user, by process; a non-zero result of `visit` ends it
 * and is returned. */
int lithops__inspect_jobs(int (*visit)(const struct lithops__inspected_job *job, void *user),
                          void *user, lithops_error *err);

/* Stop jobs: "a1b2c3-0-M003", or all of "a1b2c3-0". Calls that wait are cancelled, worker
 * processes that run one are killed. @return how many calls; LITHOPS_ENOTFOUND */
int64_t lithops__inspect_stop(const char *key, lithops_error *err);

/* Remove what clients that were killed have left on this machine. */
struct lithops__tidied lithops__inspect_tidy(void);

#endif
