/* SPDX-License-Identifier: Apache-2.0 */
/* A worker process that has nothing to do gives unused memory back. */
#ifndef LITHOPS_WORKER_QUIET_H
#define LITHOPS_WORKER_QUIET_H

#include <stdint.h>

struct lithops__worker_process;

/* When that is due, should no call come; UINT64_MAX: it is done, and no call was run since. */
uint64_t lithops__quiet_ns(const struct lithops__worker_process *process);
void lithops__quiet(struct lithops__worker_process *process);

#endif
