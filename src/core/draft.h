/* SPDX-License-Identifier: Apache-2.0 */
/* A job as it is written down, for a supervisor to start: what lithops__job_start() was given. */
#ifndef LITHOPS_CORE_DRAFT_H
#define LITHOPS_CORE_DRAFT_H

#include "base/buffer.h"
#include "core/start.h"

#include <lithops/plugin/runtime.h>

struct lithops__draft {
    lithops_value *plan; /* a map */
    struct lithops__buffer inputs;
    struct lithops__job *reduce; /* over its results; not a reference; or NULL */
};

/* Write a plan and its inputs down. NULL: the error is in `err`. */
struct lithops__draft *lithops__draft_new(const struct lithops__job_plan *plan, lithops_error *err);
void lithops__draft_free(struct lithops__draft *draft);

/* What was written, as it was. `plan` borrows from all of it. */
struct lithops__redraft {
    struct lithops__job_plan plan;
    lithops_function *function;
    const char **include, **exclude;
    lithops_payload *payloads;
};
/* Read a plan for `count` calls. `inputs`: empty for a job without. LITHOPS_EPARSE */
int lithops__draft_read(const lithops_value *map, lithops_bytes inputs, uint64_t count,
                        struct lithops__redraft *ret, lithops_error *err);
void lithops__redraft_deinit(struct lithops__redraft *redraft);

#endif
