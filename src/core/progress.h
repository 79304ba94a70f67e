/* SPDX-License-Identifier: Apache-2.0 */
/* A progress bar on a terminal. */
#ifndef LITHOPS_CORE_PROGRESS_H
#define LITHOPS_CORE_PROGRESS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct lithops__progress;

/* A bar for `total` calls on `out`. NULL when `out` is no terminal or memory is out; the other
 * functions take NULL. One thread. */
struct lithops__progress *lithops__progress_new(FILE *out, uint64_t total);
/* Draws, at most 10 times a second. */
void lithops__progress_update(struct lithops__progress *progress, uint64_t done);
/* Draws the last state, ends the line, frees. */
void lithops__progress_free(struct lithops__progress *progress, uint64_t done);

#endif
