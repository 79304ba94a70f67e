/* SPDX-License-Identifier: Apache-2.0 */
/* The calls that ran, as numbers for the histogram. Does no drawing. */
#ifndef LITHOPS_PLOT_LOAD_H
#define LITHOPS_PLOT_LOAD_H

#include "plot/run.h"

struct lithops__ran {
    double begin, end; /* seconds from the start of the run; begin <= end */
    uint32_t group;
    bool failed;
};

struct lithops__load {
    struct lithops__ran *ran; /* sorted by begin */
    size_t count;             /* calls that began and ended */
    double *durations;        /* sorted */
    double *ends;             /* of calls longer than a moment, sorted */
    size_t end_count;
    /* How many ran at once, for each of `columns` equal parts of [0, length]: the most at any
     * moment, and the mean, by group: mean[group * columns + column]. */
    size_t columns, groups;
    double *peak, *mean;
    double peak_at_all, mean_at_all; /* over the time from the first begin to the last end */
};

int lithops__load_init(struct lithops__load *load, const struct lithops__run *run, size_t columns,
                       double length_s, lithops_error *err);
void lithops__load_deinit(struct lithops__load *load);

#endif
