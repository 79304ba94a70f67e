/* SPDX-License-Identifier: Apache-2.0 */
/* Many calls on few dots: how many of them cover each dot. */
#ifndef LITHOPS_PLOT_RASTER_H
#define LITHOPS_PLOT_RASTER_H

#include "plot/canvas.h"

struct lithops__raster {
    int width, height;
    int32_t *changes; /* per row width + 1: how the count changes from one dot to the next */
};

int lithops__raster_init(struct lithops__raster *raster, int width, int height, lithops_error *err);
void lithops__raster_deinit(struct lithops__raster *raster);
/* Add call `index` of `count`, which share the rows evenly, from x0 to x1 (both included, cut to
 * the width). A `large` one is three dots wide and high at least. */
void lithops__raster_add(struct lithops__raster *raster, size_t index, size_t count, double x0,
                         double x1, bool large);
/* Lay the raster over the picture. A dot that `full` calls cover is solid, one that a single call
 * covers has `least` opacity, so that nothing is lost among many. */
int lithops__raster_paint(const struct lithops__raster *raster, struct lithops__canvas *canvas,
                          double x, double y, lithops__rgb color, double full, double least,
                          lithops_error *err);

#endif
