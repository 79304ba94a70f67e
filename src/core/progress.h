/* SPDX-License-Identifier: Apache-2.0 */
/* A progress bar on a terminal. */
#ifndef LITHOPS_CORE_PROGRESS_H
#define LITHOPS_CORE_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct lithops__progress;

/* A bar for `total` calls on `out`. NULL when `out` is not a terminal or memory is out; the other
 * functions take NULL. One thread. */
struct lithops__progress *lithops__progress_new(FILE *out, uint64_t total);
/* Draws, at most 10 times a second. */
void lithops__progress_update(struct lithops__progress *progress, uint64_t done);
/* Calls run on so many workers elsewhere, with so many processes; 0: on this machine. */
void lithops__progress_workers(struct lithops__progress *progress, uint32_t workers,
                               uint32_t processes);
/* What is counted, in place of calls: a constant string. */
void lithops__progress_unit(struct lithops__progress *progress, const char *unit);
/* Draws the last state, ends the line, frees. */
void lithops__progress_free(struct lithops__progress *progress, uint64_t done);

/* What a bar shows. */
struct lithops__progress_view {
    uint64_t done, total;
    double elapsed_s;
    const char *unit;            /* of what is counted; NULL: calls */
    uint32_t workers, processes; /* elsewhere that are there; 0: not shown */
    int columns;                 /* of the terminal; the line is shorter than that */
    bool unicode;                /* blocks in eighths, else '#' */
    bool color;
};

enum { LITHOPS__PROGRESS_LINE = 512 };

/* " 45%|#####     | 450/1000 [00:12<00:15, 36.2 calls/s, 3 workers, 12 processes]": done, elapsed,
 * remaining, rate. On a narrow terminal the bar is dropped first, then the end of the line. @return
 * columns used */
int lithops__progress_format(const struct lithops__progress_view *view,
                             char line[LITHOPS__PROGRESS_LINE]);

#endif
