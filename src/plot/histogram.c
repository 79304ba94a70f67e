/* SPDX-License-Identifier: Apache-2.0 */
/* The histogram picture, three panels:
 *
 *     +-- how many ran at once, over time --+  +-- how long functions ran --+
 *     |                                     |  |   a histogram, short       |
 *     +-- the calls, sorted by start -------+  |   ones below, logarithmic  |
 *     |   (the same time axis)              |  |                            |
 *     +-------------------------------------+  +----------------------------+ */
#include "plot/histogram.h"

#include "plot/chart.h"
#include "plot/load.h"
#include "plot/raster.h"
#include "plot/scale.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define PEAK_COLOR 0xD3D9E2
#define LEAST_ROW 3.0 /* dots: below this calls are counted, not drawn */
#define SHORTEST_S                                                                                 \
    5e-7 /* resolution of the times, which are doubles; shorter calls count as this long */
#define BINS 24

static void draw_caption(struct lithops__canvas *canvas, const struct lithops__box *box,
                         const char *strong, const char *rest)
{
    struct lithops__text_style style = {.size = 11, .bold = true, .color = LITHOPS__INK};
    style.max_width = box->width;
    lithops__draw_text(canvas, box->x, box->y - 8, strong, &style);
    double used = lithops__text_width(canvas, strong, &style) + 10;
    style = lithops__small_text(LITHOPS__INK_SOFT, 0);
    style.max_width = box->width - used;
    if (style.max_width > 40)
        lithops__draw_text(canvas, box->x + used, box->y - 8, rest, &style);
}

/* ---- how many ran at once -------------------------------------------------------------------- */

static void draw_load_axis(struct lithops__canvas *canvas, const struct lithops__box *box,
                           double top)
{
    double step = fmax(1, lithops__tick_step(top, (int)fmax(2, box->height / 30)));
    struct lithops__text_style style = lithops__small_text(LITHOPS__INK_SOFT, 1);
    for (int i = 0; i * step <= top; i++) {
        double value = i * step;
        double y = box->y + box->height * (1 - value / top);
        char number[32];
        lithops__format_count(number, sizeof number, (size_t)value);
        lithops__hairline(canvas, box->x, y, box->x + box->width, y, LITHOPS__GRID);
        lithops__draw_text(canvas, box->x - 8, y + 4, number, &style);
    }
}

static void draw_mean(struct lithops__canvas *canvas, const struct lithops__box *box,
                      const struct lithops__load *load, double top)
{
    for (size_t c = 0; c < load->columns; c++) {
        double below = 0;
        for (size_t g = 0; g < load->groups; g++) {
            double mean = load->mean[g * load->columns + c];
            double height = box->height * mean / top;
            if (mean > 0)
                lithops__fill_box(canvas, box->x + (double)c,
                                  box->y + box->height * (1 - below / top) - height, 1, height,
                                  lithops__group_color(g));
            below += mean;
        }
    }
}

static void draw_peak(struct lithops__canvas *canvas, const struct lithops__box *box,
                      const struct lithops__load *load, double top)
{
    for (size_t c = 0; c < load->columns; c++) {
        double height = box->height * load->peak[c] / top;
        lithops__fill_box(canvas, box->x + (double)c, box->y + box->height - height, 1, height,
                          PEAK_COLOR);
    }
}

static void draw_load(struct lithops__canvas *canvas, const struct lithops__box *box,
                      const struct lithops__run *run, const struct lithops__load *load)
{
    double top = fmax(1, load->peak_at_all) * 1.08;
    char caption[96], peak[32];
    lithops__format_count(peak, sizeof peak, (size_t)load->peak_at_all);
    snprintf(caption, sizeof caption, "at most %s, %.*f on average", peak,
             load->mean_at_all < 10 ? 2 : 0, load->mean_at_all);
    draw_caption(canvas, box, "Calls running at once", caption);
    lithops__draw_time_axis(canvas, box, run, false);
    draw_load_axis(canvas, box, top);
    draw_peak(canvas, box, load, top);
    draw_mean(canvas, box, load, top);
    lithops__draw_frame(canvas, box);
}

/* ---- the calls, sorted by their start -------------------------------------------------------- */

static void draw_sorted_bars(struct lithops__canvas *canvas, const struct lithops__box *box,
                             const struct lithops__run *run, const struct lithops__load *load)
{
    double row = box->height / (double)load->count, bar = fmin(18, row * 0.7);
    for (size_t i = 0; i < load->count; i++) {
        const struct lithops__ran *ran = &load->ran[i];
        double x0 = lithops__time_x(box, run, ran->begin), x1 = lithops__time_x(box, run, ran->end);
        double y = box->y + row * ((double)i + 0.5);
        lithops__fill_box(canvas, x0, y - bar / 2, fmax(x1 - x0, 2), bar,
                          ran->failed ? LITHOPS__FAILED : lithops__group_color(ran->group));
    }
}

/* One layer of dots: the calls of a group, or (layer == load->groups) the failed ones. */
static int draw_sorted_layer(struct lithops__canvas *canvas, const struct lithops__box *box,
                             const struct lithops__run *run, const struct lithops__load *load,
                             size_t layer, lithops_error *err)
{
    struct lithops__raster raster;
    int ret = lithops__raster_init(&raster, (int)box->width, (int)box->height, err);
    if (ret != 0)
        return ret;
    bool failed_layer = layer == load->groups;
    for (size_t i = 0; i < load->count; i++) {
        const struct lithops__ran *ran = &load->ran[i];
        if (failed_layer ? !ran->failed : ran->group != layer)
            continue;
        lithops__raster_add(&raster, i, load->count, lithops__time_x(box, run, ran->begin) - box->x,
                            lithops__time_x(box, run, ran->end) - box->x, failed_layer);
    }
    double calls_per_row = fmax(1, (double)load->count / raster.height);
    ret = lithops__raster_paint(&raster, canvas, box->x, box->y,
                                failed_layer ? (lithops__rgb)LITHOPS__FAILED
                                             : lithops__group_color(layer),
                                calls_per_row, failed_layer ? 1 : 0.5, err);
    lithops__raster_deinit(&raster);
    return ret;
}

static void draw_call_axis(struct lithops__canvas *canvas, const struct lithops__box *box,
                           size_t count)
{
    double step = fmax(1, lithops__tick_step((double)count, (int)fmax(1, box->height / 34)));
    double row = box->height / (double)count;
    struct lithops__text_style style = lithops__small_text(LITHOPS__INK_SOFT, 1);
    for (size_t i = 0; i < count; i += (size_t)step) {
        char number[32];
        lithops__format_count(number, sizeof number, i);
        double y = box->y + row * ((double)i + (row >= LEAST_ROW ? 0.5 : 0));
        lithops__hairline(canvas, box->x - 4, y, box->x, y, LITHOPS__FRAME);
        lithops__draw_text(canvas, box->x - 8, y + 4, number, &style);
    }
}

static int draw_sorted(struct lithops__canvas *canvas, const struct lithops__box *box,
                       const struct lithops__run *run, const struct lithops__load *load,
                       lithops_error *err)
{
    draw_caption(canvas, box, "Calls, sorted by their start", "");
    lithops__draw_time_axis(canvas, box, run, true);
    lithops__draw_frame(canvas, box);
    if (!load->count)
        return 0;
    draw_call_axis(canvas, box, load->count);
    if (box->height / (double)load->count >= LEAST_ROW) {
        draw_sorted_bars(canvas, box, run, load);
        return 0;
    }
    int ret = 0;
    for (size_t layer = 0; layer <= load->groups && ret == 0; layer++)
        ret = draw_sorted_layer(canvas, box, run, load, layer, err);
    return ret;
}

/* ---- how long functions ran ------------------------------------------------------------------ */

struct bins {
    double low, high; /* log10 of seconds */
    size_t counts[BINS][LITHOPS__RUN_GROUPS], most;
};

static double log_duration(double seconds)
{
    return log10(fmax(seconds, SHORTEST_S));
}

static void fill_bins(struct bins *bins, const struct lithops__load *load)
{
    *bins = (struct bins){.low = log_duration(load->durations[0]),
                          .high = log_duration(load->durations[load->count - 1])};
    /* Some room on both sides, and at least a factor of ten: equal durations are one bar. */
    double middle = (bins->low + bins->high) / 2;
    bins->low = fmin(bins->low - 0.05, middle - 0.5);
    bins->high = fmax(bins->high + 0.05, middle + 0.5);
    for (size_t i = 0; i < load->count; i++) {
        double at = log_duration(load->ran[i].end - load->ran[i].begin) - bins->low;
        bins->counts[(int)(at / (bins->high - bins->low) * BINS)][load->ran[i].group]++;
    }
    for (int b = 0; b < BINS; b++) {
        size_t sum = 0;
        for (size_t g = 0; g < load->groups; g++)
            sum += bins->counts[b][g];
        bins->most = sum > bins->most ? sum : bins->most;
    }
}

static void draw_duration_axis(struct lithops__canvas *canvas, const struct lithops__box *box,
                               const struct bins *bins)
{
    struct lithops__text_style style = lithops__small_text(LITHOPS__INK_SOFT, 1);
    double decades = bins->high - bins->low;
    for (int power = (int)floor(bins->low); power <= bins->high; power++) {
        for (int digit = 1; digit <= 5; digit += digit == 1 ? 1 : 3) { /* 1, 2, 5 */
            double at = power + log10(digit);
            if (at < bins->low || at > bins->high || at < -6 || (digit > 1 && decades > 2.5))
                continue;
            double y = box->y + box->height * (1 - (at - bins->low) / decades);
            double seconds = digit * pow(10, power) * (1 + 1e-9);
            struct lithops__time_unit unit = lithops__time_unit_for(fmin(seconds, 599));
            char label[48];
            snprintf(label, sizeof label, "%.4g %s", seconds / unit.seconds, unit.name);
            lithops__hairline(canvas, box->x, y, box->x + box->width, y, LITHOPS__GRID);
            lithops__draw_text(canvas, box->x - 8, y + 4, label, &style);
        }
    }
}

static void draw_bins(struct lithops__canvas *canvas, const struct lithops__box *box,
                      const struct lithops__load *load, const struct bins *bins)
{
    double height = box->height / BINS;
    for (int b = 0; b < BINS; b++) {
        double x = box->x + 1;
        for (size_t g = 0; g < load->groups; g++) {
            double part = (double)bins->counts[b][g] / (double)bins->most;
            double width = part > 0 ? fmax(2, (box->width - 1) * part) : 0;
            lithops__fill_box(canvas, x, box->y + box->height - height * (b + 1) + 1, width,
                              height - 2, lithops__group_color(g));
            x += width;
        }
    }
}

static void draw_bin_axis(struct lithops__canvas *canvas, const struct lithops__box *box,
                          size_t most)
{
    double step = fmax(1, lithops__tick_step((double)most, 3));
    double bottom = box->y + box->height;
    struct lithops__text_style style = lithops__small_text(LITHOPS__INK_SOFT, 0.5);
    for (size_t count = 0; count <= most; count += (size_t)step) {
        double x = box->x + box->width * (double)count / (double)most;
        char number[32];
        lithops__format_count(number, sizeof number, count);
        lithops__hairline(canvas, x, box->y, x, bottom, LITHOPS__GRID);
        lithops__draw_text(canvas, x, bottom + 17, number, &style);
    }
    style.color = LITHOPS__INK;
    lithops__draw_text(canvas, box->x + box->width / 2, bottom + 36, "calls", &style);
}

static void draw_durations(struct lithops__canvas *canvas, const struct lithops__box *box,
                           const struct lithops__load *load)
{
    if (!load->count)
        return;
    struct bins bins;
    fill_bins(&bins, load);
    char median[32], most[32], caption[96];
    lithops__format_time(median, sizeof median, load->durations[load->count / 2]);
    lithops__format_time(most, sizeof most, load->durations[load->count - 1]);
    snprintf(caption, sizeof caption, "median %s, longest %s", median, most);
    struct lithops__text_style bold = {.size = 11, .bold = true, .color = LITHOPS__INK};
    struct lithops__text_style soft = lithops__small_text(LITHOPS__INK_SOFT, 0);
    bold.max_width = soft.max_width = canvas->width - box->x + 40;
    lithops__draw_text(canvas, box->x - 48, box->y - 24, "How long functions ran", &bold);
    lithops__draw_text(canvas, box->x - 48, box->y - 8, caption, &soft);
    draw_bin_axis(canvas, box, bins.most);
    draw_duration_axis(canvas, box, &bins);
    draw_bins(canvas, box, load, &bins);
    lithops__draw_frame(canvas, box);
}

/* ---- the whole --------------------------------------------------------------------------------
 */

static double draw_histogram_legend(struct lithops__canvas *canvas, const struct lithops__run *run,
                                    double y)
{
    struct lithops__legend_item items[LITHOPS__RUN_GROUPS + 2];
    char labels[LITHOPS__RUN_GROUPS][160];
    size_t count = 0;
    for (; count < run->group_count; count++) {
        const struct lithops__group *group = &run->groups[count];
        char name[96];
        lithops__group_name(group, name, sizeof name);
        snprintf(labels[count], sizeof labels[count], "%s %.40s", name,
                 group->function ? group->function : "");
        items[count] = (struct lithops__legend_item){LITHOPS__MARK_BAR, lithops__group_color(count),
                                                     labels[count]};
    }
    items[count++] =
        (struct lithops__legend_item){LITHOPS__MARK_BAR, PEAK_COLOR, "most at any moment"};
    if (run->failed)
        items[count++] =
            (struct lithops__legend_item){LITHOPS__MARK_BAR, LITHOPS__FAILED, "failed"};
    return lithops__draw_legend(canvas, 20, y, canvas->width - 40, items, count);
}

int lithops__draw_histogram(struct lithops__canvas *canvas, const struct lithops__run *run,
                            lithops_error *err)
{
    double y = lithops__draw_heading(canvas, run, "Histogram");
    y = draw_histogram_legend(canvas, run, y) + 24;
    double right_width = round(fmin(190, canvas->width * 0.19)), bottom = canvas->height - 52;
    double left_width = canvas->width - 84 - right_width - 24 - 84, room = bottom - y - 34;
    const struct lithops__box top = {84, y, left_width, round(room * 0.38)};
    const struct lithops__box low = {84, top.y + top.height + 34, left_width,
                                     bottom - top.y - top.height - 34};
    const struct lithops__box right = {canvas->width - right_width - 24, y, right_width,
                                       bottom - y};
    struct lithops__load load;
    /* The time axis is longer than the run; columns are dots of the axis. */
    double axis_s = run->length_s * low.width / (lithops__time_x(&low, run, run->length_s) - low.x);
    int ret = lithops__load_init(&load, run, (size_t)left_width, axis_s, err);
    if (ret != 0)
        return ret;
    draw_load(canvas, &top, run, &load);
    ret = draw_sorted(canvas, &low, run, &load, err);
    draw_durations(canvas, &right, &load);
    lithops__load_deinit(&load);
    return ret;
}
