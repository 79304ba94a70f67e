/* SPDX-License-Identifier: Apache-2.0 */
/* What both pictures have: heading, legend, axes, bars of calls. */
#ifndef LITHOPS_PLOT_CHART_H
#define LITHOPS_PLOT_CHART_H

#include "plot/canvas.h"
#include "plot/run.h"

struct lithops__box {
    double x, y, width, height;
};

enum lithops__mark {
    LITHOPS__MARK_LINE,
    LITHOPS__MARK_BAR,
    LITHOPS__MARK_DOT,
    LITHOPS__MARK_DIAMOND
};

struct lithops__legend_item {
    enum lithops__mark mark;
    lithops__rgb color;
    const char *label;
};

/* "Timeline of a1b2c3-0: M000, R000", and a line of counts. @return the first free y */
double lithops__draw_heading(struct lithops__canvas *canvas, const struct lithops__run *run,
                             const char *what);
/* Items in rows from (x, y). @return the first free y */
double lithops__draw_legend(struct lithops__canvas *canvas, double x, double y, double width,
                            const struct lithops__legend_item *items, size_t count);
void lithops__draw_mark(struct lithops__canvas *canvas, enum lithops__mark mark, double x, double y,
                        double radius, lithops__rgb color);

/* Where a time lies; the axis is a little longer than the run. */
double lithops__time_x(const struct lithops__box *box, const struct lithops__run *run,
                       double time_s);
/* Grid lines through the box, and below it, when `with_labels`, the numbers and the unit. */
void lithops__draw_time_axis(struct lithops__canvas *canvas, const struct lithops__box *box,
                             const struct lithops__run *run, bool with_labels);
/* A name along the left side of the box. */
void lithops__draw_side_label(struct lithops__canvas *canvas, const struct lithops__box *box,
                              const char *label);
void lithops__draw_frame(struct lithops__canvas *canvas, const struct lithops__box *box);

/* The style of small text; `align` as in lithops__text_style. */
struct lithops__text_style lithops__small_text(lithops__rgb color, double align);

#endif
