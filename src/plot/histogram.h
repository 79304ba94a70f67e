/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LITHOPS_PLOT_HISTOGRAM_H
#define LITHOPS_PLOT_HISTOGRAM_H

#include "plot/canvas.h"
#include "plot/run.h"

/* How many calls ran at once, the calls sorted by their start, and how long they ran. */
int lithops__draw_histogram(struct lithops__canvas *canvas, const struct lithops__run *run,
                            lithops_error *err);

#endif
