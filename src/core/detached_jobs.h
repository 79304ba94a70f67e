/* SPDX-License-Identifier: Apache-2.0 */
/* Detached jobs, beyond what <lithops/detached.h> has. */
#ifndef LITHOPS_CORE_DETACHED_JOBS_H
#define LITHOPS_CORE_DETACHED_JOBS_H

#include "detached/watch.h"

#include <lithops/error.h>
#include <lithops/value.h>

#include <stdint.h>

/* lithops_job_wait() in slices: `watch` is that of all of them. */
int lithops__job_wait_on(const lithops_value *handle, int64_t timeout_ms,
                         struct lithops__watch *watch, lithops_error *err);

struct lithops__job_sweep {
    uint64_t jobs, bytes; /* that were, or would be, removed */
    uint64_t kept;
};
/* Remove jobs whose time is over, and what clients and supervisors that were killed have left.
 * Never one that has a supervisor. */
int lithops__detached_sweep(bool dry_run, struct lithops__job_sweep *ret, lithops_error *err);
/* For supervisors that end: their own folder, whose lock they have, and then all others, unless
 * that was done a moment ago. */
void lithops__detached_sweep_own(const struct lithops__home *home);
void lithops__detached_sweep_at_times(void);

#endif
