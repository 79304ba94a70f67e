/* SPDX-License-Identifier: Apache-2.0 */
/* Many calls on few dots.
 *
 * A million calls share some 400 rows of dots. Drawing them one over the other would take long and
 * show only the last ones. So they are counted: each call adds one at its begin and subtracts one
 * after its end, whatever its length. One sweep along each row then gives the number of calls at
 * each dot, which becomes its opacity. */
#include "plot/raster.h"

#include "base/error.h"

#include <math.h>
#include <stdlib.h>

int lithops__raster_init(struct lithops__raster *raster, int width, int height, lithops_error *err)
{
    raster->width = width;
    raster->height = height;
    raster->changes = calloc((size_t)(width + 1) * (size_t)height, sizeof *raster->changes);
    return raster->changes ? 0 : lithops__fail(err, LITHOPS_ENOMEM, "no memory for a plot");
}

void lithops__raster_deinit(struct lithops__raster *raster)
{
    free(raster->changes);
    raster->changes = NULL;
}

static int dot(double at, int count)
{
    return at <= 0 ? 0 : at >= count - 1 ? count - 1 : (int)at;
}

void lithops__raster_add(struct lithops__raster *raster, size_t index, size_t count, double x0,
                         double x1, bool large)
{
    double rows_per_call = raster->height / (double)count;
    int first = dot((double)index * rows_per_call, raster->height);
    int last = dot(ceil((double)(index + 1) * rows_per_call) - 1, raster->height);
    last = last < first ? first : last; /* several calls in one row */
    if (large) {
        first -= first > 0;
        last += last < raster->height - 1;
        x1 = fmax(x1, x0 + 2);
    }
    int left = dot(x0, raster->width), right = dot(x1, raster->width);
    for (int row = first; row <= last; row++) {
        int32_t *changes = raster->changes + (size_t)row * (size_t)(raster->width + 1);
        changes[left]++;
        changes[right + 1]--;
    }
}

static uint32_t premultiplied(lithops__rgb color, double opacity)
{
    uint32_t alpha = (uint32_t)lround(opacity * 255);
    uint32_t red = (color >> 16 & 255) * alpha / 255, green = (color >> 8 & 255) * alpha / 255;
    return alpha << 24 | red << 16 | green << 8 | (color & 255) * alpha / 255;
}

static void count_to_dots(const struct lithops__raster *raster, cairo_surface_t *image,
                          lithops__rgb color, double full, double least)
{
    unsigned char *data = cairo_image_surface_get_data(image);
    int stride = cairo_image_surface_get_stride(image);
    for (int row = 0; row < raster->height; row++) {
        const int32_t *changes = raster->changes + (size_t)row * (size_t)(raster->width + 1);
        uint32_t *dots = (uint32_t *)(void *)(data + (size_t)row * (size_t)stride);
        int32_t count = 0;
        for (int x = 0; x < raster->width; x++) {
            count += changes[x];
            double part = fmin(1, count / full);
            dots[x] = count ? premultiplied(color, least + (1 - least) * sqrt(part)) : 0;
        }
    }
}

int lithops__raster_paint(const struct lithops__raster *raster, struct lithops__canvas *canvas,
                          double x, double y, lithops__rgb color, double full, double least,
                          lithops_error *err)
{
    cairo_surface_t *image =
        cairo_image_surface_create(CAIRO_FORMAT_ARGB32, raster->width, raster->height);
    bool made = cairo_surface_status(image) == CAIRO_STATUS_SUCCESS;
    if (made) {
        cairo_surface_flush(image);
        count_to_dots(raster, image, color, full, least);
        cairo_surface_mark_dirty(image);
        cairo_set_source_surface(canvas->cr, image, x, y);
        cairo_paint(canvas->cr);
    }
    cairo_surface_destroy(image);
    return made ? 0 : lithops__fail(err, LITHOPS_ENOMEM, "no memory for a plot");
}
