/* SPDX-License-Identifier: Apache-2.0 */
/* Executors whose jobs run under a supervisor, and go on without them. */
#ifndef LITHOPS_CORE_DETACH_H
#define LITHOPS_CORE_DETACH_H

#include "compute/compute.h"
#include "detached/home.h"
#include "detached/journal.h"

#include <pthread.h>

struct lithops__draft;
struct lithops__job;
struct lithops__job_plan;

struct lithops__detachment {
    struct lithops__compute_driver driver; /* the executor's, but that calls are only followed */
    lithops_value *command;                /* of worker processes; NULL: `program` */
    lithops_value *program;                /* that is sent to other machines; or NULL */
    lithops_value *program_file;           /* which file that was */
    lithops_value *kit;                    /* what they are on other machines; or NULL */
    bool is_attached;                      /* to jobs of another process: it starts none */
    pthread_mutex_t lock; /* who submits or makes a handle, and who closes; before [L] */
};

/* The executor's driver, as it is now, runs its calls elsewhere. */
int lithops__detach_open(lithops_executor *fexec, const char *const *worker_command,
                         bool is_attached, lithops_error *err);
void lithops__detach_close(lithops_executor *fexec);

/* Write the plan down. What is left of it makes a job that is followed. */
int lithops__detach_plan(const lithops_executor *fexec, struct lithops__job_plan *plan,
                         struct lithops__draft **ret_draft, lithops_error *err);
/* The reduce job of a map, over `counts` calls each; both are submitted with the map. */
int lithops__detach_reduce(struct lithops__job *maps, struct lithops__job *reduce,
                           const size_t *counts, int64_t percent, lithops_error *err);
/* Put the job where its supervisor finds it, and see that there is one. */
int lithops__detach_submit(struct lithops__job *job, lithops_error *err);

#endif
