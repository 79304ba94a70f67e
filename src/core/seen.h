/* SPDX-License-Identifier: Apache-2.0 */
/* When the client learnt of results and ends. */
#ifndef LITHOPS_CORE_SEEN_H
#define LITHOPS_CORE_SEEN_H

#include <stdbool.h>
#include <stdint.h>

struct lithops__job;

/* When the client learnt of calls' ends and took results; ticks, 0: not yet. */
struct lithops__host_times {
    uint64_t status_done, result_done;
};

/* Note the time, for the statistics; with `result`, also that the results were taken. */
void lithops__job_saw(struct lithops__job *job, uint64_t begin, uint64_t end, bool result);
/* Nobody will look any more: count the calls that are done and that nobody has looked at. */
void lithops__job_count_unseen(struct lithops__job *job);
struct lithops__host_times lithops__job_seen(struct lithops__job *job, uint64_t index);

#endif
