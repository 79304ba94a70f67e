/* SPDX-License-Identifier: Apache-2.0 */
/* What call_async, map and map_reduce share: starting a job. [L]: under the table's lock. */
#ifndef LITHOPS_CORE_START_H
#define LITHOPS_CORE_START_H

#include "core/executor.h"

struct lithops__job;
struct lithops__range;

struct lithops__job_plan {
    char kind;
    const lithops_function *function;
    lithops_value *inputs;           /* a list; consumed */
    const lithops_value *extra_args; /* may be NULL */
    const lithops_value *extra_env;
    int64_t runtime_memory_mb, timeout_ms, chunksize, call_retries;
    const char *const *include_modules, *const *exclude_modules;
    const struct lithops__job *maps; /* of a reduce job: whose number it takes */
    uint64_t created, partitioned;   /* ticks */
    uint64_t count;                  /* of a job without `inputs`: slots are filled later */
    unsigned first_state;
    bool is_followed; /* the calls run elsewhere: here is nothing but their outcomes */
};
/* The members that all option structs share, by name. */
#define LITHOPS__PLAN_OPTIONS(options)                                                             \
    .extra_env = (options)->extra_env, .timeout_ms = (options)->timeout_ms,                        \
    .include_modules = (options)->include_modules, .exclude_modules = (options)->exclude_modules
/* Check options, encode inputs, make the range and the job; it is not offered yet. [L] is taken
 * inside. */
int lithops__job_start(lithops_executor *fexec, struct lithops__job_plan *plan,
                       struct lithops__job **ret_job, lithops_error *err);
/* Offer all calls of a job and ring the bell. */
int lithops__job_submit(struct lithops__job *job, lithops_error *err);
/* [L] One gate per reducer, over so many calls of the map each. */
int lithops__add_gates(struct lithops__job *reduce, const struct lithops__job *maps,
                       const size_t *counts, int64_t percent, lithops_error *err);
/* [L] Take back what was started and not offered. */
void lithops__job_abandon(struct lithops__job *job);
void lithops__job_discard(struct lithops__job *job); /* the same; takes the lock */
/* [L] Limits of a range: the plan's, or the executor's. */
void lithops__job_set_limits(lithops_executor *fexec, struct lithops__job *job,
                             struct lithops__range *range, const struct lithops__job_plan *plan);
/* Before a call with a memory limit is offered. Not under a lock: it asks the file system. */
void lithops__prepare_limits(lithops_executor *fexec);
/* Size of the file that holds the function. */
uint64_t lithops__image_bytes(const lithops_function *function);

#endif
