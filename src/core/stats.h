/* SPDX-License-Identifier: Apache-2.0 */
/* When things happened to a call. */
#ifndef LITHOPS_CORE_STATS_H
#define LITHOPS_CORE_STATS_H

#include "base/clock.h"
#include "core/job.h"

/* Seconds since 1970; 0: has not happened. */
struct lithops__times {
    double created, partitioned, serialized, submitted;
    double start, end;
    double status_done, result_done;
    bool has_run;
};

/* True when the call has run to its end, so that start and end are set. */
bool lithops__call_times(struct lithops__job *job, uint64_t index,
                         const struct lithops__tick_clock *clock, struct lithops__times *ret);
/* A clock reading: one serves all calls of an executor that are shown together. */
struct lithops__tick_clock lithops__executor_clock(lithops_executor *fexec);

#endif
