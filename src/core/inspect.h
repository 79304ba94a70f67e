/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at the executors of other processes of this user, and stopping their jobs.
 *
 * No process keeps a list: an executor's memory file is found among the descriptors of its process
 * in /proc, and holds everything. */
#ifndef LITHOPS_CORE_INSPECT_H
#define LITHOPS_CORE_INSPECT_H

#include "compute/compute.h"

#include <sys/types.h>

struct lithops__inspected_job {
    const char *executor_id; /* "a1b2c3-0" */
    pid_t pid;               /* of the client; of the worker, for part of a job */
    bool is_part;            /* its client is elsewhere: calls that a worker has here now */
    char client[96];         /* where that is: as of a worker, below */
    char job_id[16];         /* "M003"; for single calls "A003", or "A003..A017" */
    const char *function;
    uint64_t calls, pending, running, success, failed, canceled;
    double age_s; /* since it was submitted */
};

/* Visit the jobs of all executors of this user, by process, and what workers have of others'
 * (several times a job); a non-zero result of `visit` ends it and is returned. */
int lithops__inspect_jobs(int (*visit)(const struct lithops__inspected_job *job, void *user),
                          void *user, lithops_error *err);

/* Stop jobs: "a1b2c3-0-M003", or all of "a1b2c3-0". Pending calls are cancelled, worker processes
 * running one are killed. Of a job whose client is elsewhere that is what is here; its client,
 * which hears of it, stops the rest.
 * @param ret_is_part  its client is elsewhere
 * @return the number of calls; LITHOPS_ENOTFOUND */
int64_t lithops__inspect_stop(const char *key, bool *ret_is_part, lithops_error *err);

/* A worker that a client elsewhere has started here: `lithops worker`. */
struct lithops__inspected_worker {
    pid_t pid;
    const char *executor_id; /* the client's */
    char client[96];         /* "10.0.0.1", "job 17 of slurm", "process 4711" */
    uint32_t processes;      /* worker processes */
    uint64_t running;        /* calls */
    double age_s;            /* since it was started */
};
int lithops__inspect_workers(int (*visit)(const struct lithops__inspected_worker *worker,
                                          void *user),
                             void *user, lithops_error *err);
/* Have a worker tell its client that it was stopped, and end. 0; LITHOPS_ENOTFOUND: no worker of
 * this user has this process id. */
int lithops__inspect_stop_worker(pid_t pid, lithops_error *err);

/* Remove what killed clients have left on this machine. */
struct lithops__tidied lithops__inspect_tidy(bool dry_run);
/* Whether a process here has that executor; true, too, where that cannot be told. */
bool lithops__inspect_is_alive(const char *executor_id);

#endif
