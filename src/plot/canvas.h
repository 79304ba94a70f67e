/* SPDX-License-Identifier: Apache-2.0 */
/* A picture: colours, text that never fails, and saving it whole or not at all. */
#ifndef LITHOPS_PLOT_CANVAS_H
#define LITHOPS_PLOT_CANVAS_H

#include <lithops/error.h>

#include <cairo.h>

#define LITHOPS__DOTS_PER_INCH 100

typedef uint32_t lithops__rgb; /* 0xRRGGBB */

enum {
    LITHOPS__INK = 0x1F2933,
    LITHOPS__INK_SOFT = 0x5F6B7A,
    LITHOPS__GRID = 0xE6E9EE,
    LITHOPS__FRAME = 0xC3C9D2,
    LITHOPS__FAILED = 0xD62F2F,
};
/* The colour of a group; there are LITHOPS__RUN_GROUPS of them, none near LITHOPS__FAILED. */
lithops__rgb lithops__group_color(size_t index);

struct lithops__canvas {
    cairo_surface_t *surface;
    cairo_t *cr;
    double width, height;
    bool ascii_only; /* no font is installed: cairo's own has ASCII alone */
};

struct lithops__text_style {
    double size;
    bool bold;
    lithops__rgb color;
    double align;     /* 0: x is the left end, 0.5: the middle, 1: the right end */
    double max_width; /* longer text ends in an ellipsis; 0: no limit */
};

/* EUSAGE if a size is out of range; ENOMEM. */
int lithops__canvas_init(struct lithops__canvas *canvas, double width_in, double height_in,
                         lithops_error *err);
void lithops__canvas_deinit(struct lithops__canvas *canvas);
/* The file is there, whole, after success, and is untouched after a failure. */
int lithops__canvas_save(struct lithops__canvas *canvas, const char *path, lithops_error *err);

void lithops__set_color(struct lithops__canvas *canvas, lithops__rgb color);
void lithops__fill_box(struct lithops__canvas *canvas, double x, double y, double width,
                       double height, lithops__rgb color);
/* A line of one dot, on the dot grid. */
void lithops__hairline(struct lithops__canvas *canvas, double x0, double y0, double x1, double y1,
                       lithops__rgb color);

/* `text` may be any bytes. `y` is the base line. */
void lithops__draw_text(struct lithops__canvas *canvas, double x, double y, const char *text,
                        const struct lithops__text_style *style);
double lithops__text_width(struct lithops__canvas *canvas, const char *text,
                           const struct lithops__text_style *style);

#endif
