/* SPDX-License-Identifier: Apache-2.0 */
/* All detached jobs of this user. */
#ifndef LITHOPS_CORE_DETACHED_JOBS_H
#define LITHOPS_CORE_DETACHED_JOBS_H

#include <lithops/error.h>

#include <stdint.h>

struct lithops__job_sweep {
    uint64_t jobs, bytes; /* that were, or would be, removed */
    uint64_t kept;
};
/* Remove jobs whose time is over, and what clients and supervisors that were killed have left.
 * Never one that has a supervisor. */
int lithops__detached_sweep(bool dry_run, struct lithops__job_sweep *ret, lithops_error *err);

#endif
