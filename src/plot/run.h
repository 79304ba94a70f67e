/* SPDX-License-Identifier: Apache-2.0 */
/* The calls to draw: checked times, in groups. */
#ifndef LITHOPS_PLOT_RUN_H
#define LITHOPS_PLOT_RUN_H

#include "plot/plot.h"

#define LITHOPS__RUN_GROUPS 12

/* Calls that stand together and share a colour: those of a job on one host; where there are too
 * many of these, a job; where there are too many jobs, all neighbouring jobs with the same
 * function; where that is not enough, all calls. */
struct lithops__group {
    size_t first, count; /* in run->calls */
    size_t jobs, failed;
    const char *first_job, *last_job; /* borrowed; never NULL */
    const char *function;             /* borrowed; NULL: several */
    const char *host;                 /* borrowed; NULL: several, or this machine */
};

struct lithops__run {
    const struct lithops__plot_call *calls; /* borrowed */
    size_t count, jobs, failed, workers;
    double start;    /* the first known time: 0 on the time axis */
    double length_s; /* until the last one; more than 0 */
    struct lithops__group groups[LITHOPS__RUN_GROUPS];
    size_t group_count;
};

/* One call in seconds from the start of the run, in order; NAN where not known. */
struct lithops__moments {
    double submit, start, begin, end, status, result;
};

/* EUSAGE when there are no calls, or none with a time. */
int lithops__run_init(struct lithops__run *run, const struct lithops__plot_call *calls,
                      size_t count, lithops_error *err);
struct lithops__moments lithops__run_call(const struct lithops__run *run, size_t index);

/* "M000" of "a1b2c3-0-M000". */
const char *lithops__job_id(const char *job);
/* "M000", "A000 – A999", "M000 host1". */
void lithops__group_name(const struct lithops__group *group, char *buf, size_t size);

#endif
