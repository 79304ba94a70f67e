/* SPDX-License-Identifier: Apache-2.0 */
/* A job as one worker process sees it. */
#ifndef LITHOPS_WORKER_JOB_H
#define LITHOPS_WORKER_JOB_H

#include "worker/load.h"

#include <lithops/error.h>
#include <lithops/value.h>

#include <stdint.h>

struct lithops__area;
struct lithops__range;
struct lithops__worker_process;

/* Made when the process first works on the range. */
struct lithops__job_context {
    uint32_t range, generation;
    lithops_value *spec; /* decoded; NULL when there is nothing special */
    const lithops_value *extra_args, *env, *manifest; /* parts of spec, or NULL */
    struct lithops__callable callable;
    /* Every call fails with it when its code is negative. LITHOPS__NOT_LOADED: the function is
     * loaded by the first call, so that a library which crashes or hangs then costs that call. */
    lithops_error load_error;
};
enum { LITHOPS__NOT_LOADED = 1 };

struct lithops__job_context *lithops__job_enter(struct lithops__worker_process *process,
                                                uint32_t range);
/* Load the job's libraries and find its function; sets load_error. */
void lithops__job_load(struct lithops__job_context *job, const struct lithops__area *area,
                       const struct lithops__range *range);

#endif
