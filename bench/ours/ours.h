/* SPDX-License-Identifier: Apache-2.0 */
/* What the programs that use Lithops share: an executor with the defaults, and errors. */
#ifndef LITHOPS_BENCH_OURS_H
#define LITHOPS_BENCH_OURS_H

#include "bench.h"

#include <lithops/lithops.h>

static lithops_error ours_error = LITHOPS_ERROR_INIT;

/* 0, or the end of the program. */
static inline void ours_check(int code)
{
    if (code != 0) {
        lithops_error_print(&ours_error, stderr);
        exit(1);
    }
}

static inline void *ours_have(void *made)
{
    if (!made)
        ours_check(ours_error.code ? ours_error.code : LITHOPS_ENOMEM);
    return made;
}

/* An executor as it is without any configuration, whatever files lie around on this machine. */
static inline lithops_executor *ours_open(void)
{
    lithops_value *config = ours_have(lithops_value_map());
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    options.mode = "localhost";
    options.config = config;
    lithops_executor *fexec = ours_have(lithops_executor_open(&options, &ours_error));
    lithops_value_free(config);
    return fexec;
}

/* A map of `calls` no-op calls, waited for: all worker processes are there and warm. */
static inline void ours_warm_up(lithops_executor *fexec, const lithops_function *func, int calls)
{
    lithops_futures *fs =
        ours_have(lithops_map(fexec, func, lithops_range(0, calls), NULL, &ours_error));
    ours_check(lithops_wait(fexec, fs, NULL, NULL, NULL, &ours_error));
    ours_check(lithops_clean(fexec, fs, NULL, &ours_error));
    lithops_futures_unref(fs);
}

#endif
