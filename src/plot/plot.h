/* SPDX-License-Identifier: Apache-2.0 */
/* Timeline and histogram pictures. In the module "plot", so that only drawing loads cairo. */
#ifndef LITHOPS_PLOT_H
#define LITHOPS_PLOT_H

#include <lithops/error.h>

/* When things happened to one call, seconds since 1970; 0 where not known. */
struct lithops__plot_call {
    double host_submit, worker_start, func_start, func_end, worker_end, status_done, result_done;
    const char *job;      /* "a1b2c3-0-M000" */
    const char *function; /* "count_words" */
    const char *host;     /* that ran it; NULL: this machine, or none did */
    int worker;           /* which worker process ran it; negative when none did */
    bool failed;
};

/* Draw <prefix>_timeline.png and <prefix>_histogram.png, each whole or not at all. Calls of one
 * job stand together in `calls`, and in it those of one host.
 * Symbol "lithops__plot_draw" of the module. EUSAGE for no calls or a silly size; EIO, ENOSPACE,
 * EDENIED, ENOTFOUND naming the file. */
typedef int lithops__plot_draw_function(const struct lithops__plot_call *calls, size_t count,
                                        const char *prefix, double width_in, double height_in,
                                        lithops_error *err);
LITHOPS_PUBLIC lithops__plot_draw_function lithops__plot_draw;

#endif
