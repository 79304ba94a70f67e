/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LITHOPS_PLOT_TIMELINE_H
#define LITHOPS_PLOT_TIMELINE_H

#include "plot/canvas.h"
#include "plot/run.h"

/* Each call a line from left to right: queued, starting, running, done, result read. */
int lithops__draw_timeline(struct lithops__canvas *canvas, const struct lithops__run *run,
                           lithops_error *err);

#endif
