/* SPDX-License-Identifier: Apache-2.0 */
/* The module's one entry: both pictures, drawn and saved. */
#include "plot/plot.h"

#include "base/error.h"
#include "plot/histogram.h"
#include "plot/timeline.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>

typedef int draw_function(struct lithops__canvas *canvas, const struct lithops__run *run,
                          lithops_error *err);

static int draw_file(const struct lithops__run *run, draw_function *draw, const char *prefix,
                     const char *suffix, double width_in, double height_in, lithops_error *err)
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof path, "%s_%s.png", prefix, suffix);
    if (len < 0 || (size_t)len >= sizeof path)
        return lithops__fail_errno(err, ENAMETOOLONG, "cannot write a plot to '%.100s...'", prefix);
    struct lithops__canvas canvas;
    int ret = lithops__canvas_init(&canvas, width_in, height_in, err);
    if (ret != 0)
        return ret;
    ret = draw(&canvas, run, err);
    if (ret == 0)
        ret = lithops__canvas_save(&canvas, path, err);
    lithops__canvas_deinit(&canvas);
    return ret;
}

int lithops__plot_draw(const struct lithops__plot_call *calls, size_t count, const char *prefix,
                       double width_in, double height_in, lithops_error *err)
{
    if (!prefix || !*prefix)
        return lithops__fail(err, LITHOPS_EUSAGE, "a plot needs a path to be written to");
    struct lithops__run run;
    int ret = lithops__run_init(&run, calls, count, err);
    if (ret == 0)
        ret = draw_file(&run, lithops__draw_timeline, prefix, "timeline", width_in, height_in, err);
    if (ret == 0)
        ret =
            draw_file(&run, lithops__draw_histogram, prefix, "histogram", width_in, height_in, err);
    return ret;
}
