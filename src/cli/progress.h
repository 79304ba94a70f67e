/* SPDX-License-Identifier: Apache-2.0 */
/* Progress of the calls, on standard error. */
#ifndef LITHOPS_CLI_PROGRESS_H
#define LITHOPS_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

enum { CLI_PROGRESS_INTERVAL_MS = 100 };

struct cli_progress {
    bool shown;       /* the user wants it */
    bool plain;       /* no bar: the number of calls is not known, or not a terminal */
    bool drawn;       /* a line is on the screen */
    const char *unit; /* of what is counted; "calls" */
    struct lithops__progress *bar;
    uint64_t start_ns, last_ns;
};

/* `wanted`: 1, 0, or -1 for "if standard error is a terminal". */
void cli_progress_init(struct cli_progress *progress, int wanted);
/* Draw, at most every CLI_PROGRESS_INTERVAL_MS. `total` 0: the number of calls is not known yet. */
void cli_progress_update(struct cli_progress *progress, int64_t done, int64_t total);
/* Draw a last time and go to the next line. */
void cli_progress_end(struct cli_progress *progress, int64_t done, int64_t total);
/* Erase the line, so that something else can be printed. */
void cli_progress_clear(struct cli_progress *progress);

#endif
