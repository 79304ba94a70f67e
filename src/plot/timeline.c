/* SPDX-License-Identifier: Apache-2.0 */
/* The timeline: each call a line from left to right.
 *
 * Each group of calls (a job, mostly) has a band of its own, as high as its share of the calls but
 * high enough to be seen: one reducer beside a million map calls is a bar, not a hundredth of a
 * dot. In a band with room each call is drawn: a thin line from submit to its end, a bar while
 * the function runs, marks for status and result. In a band with less than three dots a call the
 * same parts are counted per dot (raster.c), running over the rest, and failed calls last, solid
 * and three dots high, so that one among a million is found. */
#include "plot/timeline.h"

#include "plot/chart.h"
#include "plot/raster.h"
#include "plot/scale.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    QUEUED_COLOR = 0xC9D0DA,
    QUEUED_AREA_COLOR = 0xE2E6EC, /* where there is much of it, or little to say */
    STARTING_COLOR = 0x8792A2,
    STATUS_COLOR = 0x27313D,
    RESULT_COLOR = 0xB5338A
};
#define LEAST_ROW 3.0 /* dots: below this calls are counted, not drawn */

struct band {
    const struct lithops__group *group;
    struct lithops__box box;
    lithops__rgb color;
};

/* ---- calls drawn one by one ------------------------------------------------------------------ */

static void draw_line(struct lithops__canvas *canvas, double x0, double x1, double y,
                      double thickness, lithops__rgb color)
{
    if (x1 > x0) /* false for NAN */
        lithops__fill_box(canvas, x0, y - thickness / 2, x1 - x0, thickness, color);
}

static void draw_call(struct lithops__canvas *canvas, const struct lithops__run *run,
                      const struct band *band, size_t index)
{
    const struct lithops__box *box = &band->box;
    double row = box->height / (double)band->group->count;
    double y = box->y + row * ((double)(index - band->group->first) + 0.5);
    struct lithops__moments m = lithops__run_call(run, index);
    bool failed = run->calls[index].failed;
    double submit = lithops__time_x(box, run, m.submit), start = lithops__time_x(box, run, m.start);
    double begin = lithops__time_x(box, run, m.begin), end = lithops__time_x(box, run, m.end);
    double status = lithops__time_x(box, run, m.status);
    double result = lithops__time_x(box, run, m.result);
    double line = fmin(2, row / 3);
    double bar = fmin(run->group_count > 1 ? 14 : 22, row * (row < 8 ? 0.8 : 0.66));
    double taken = isnan(start) ? isnan(begin) ? status : begin : start;
    draw_line(canvas, submit, taken, y, line, QUEUED_COLOR);
    draw_line(canvas, start, begin, y, line * 1.5, STARTING_COLOR);
    draw_line(canvas, end, fmax(status, result), y, line / 2, QUEUED_AREA_COLOR);
    if (!isnan(begin))
        lithops__fill_box(canvas, begin, y - bar / 2, fmax(end - begin, 2), bar,
                          failed ? LITHOPS__FAILED : band->color);
    double radius = fmin(4, row / 3);
    if (!isnan(status))
        lithops__draw_mark(canvas, LITHOPS__MARK_DOT, status, y, radius,
                           failed ? LITHOPS__FAILED : STATUS_COLOR);
    if (!isnan(result))
        lithops__draw_mark(canvas, LITHOPS__MARK_DIAMOND, result, y, radius, RESULT_COLOR);
}

/* ---- calls counted per dot ------------------------------------------------------------------- */

/* In the order in which they are laid over each other. */
enum part { QUEUED, STARTING, RESULT, STATUS, RUNNING, FAILED, PARTS };

static bool part_of(const struct lithops__moments *m, bool failed, enum part part, double *ret_from,
                    double *ret_to)
{
    double from = NAN, to = NAN;
    switch (part) {
    case QUEUED:
        from = m->submit;
        to = isnan(m->start) ? isnan(m->begin) ? m->status : m->begin : m->start;
        break;
    case STARTING:
        from = m->start;
        to = m->begin > m->start ? m->begin : NAN;
        break;
    case RUNNING:
        from = m->begin;
        to = m->end;
        break;
    case STATUS:
        from = to = m->status;
        break;
    case RESULT:
        from = to = m->result;
        break;
    default:
        from = !failed ? NAN : isnan(m->begin) ? m->status : m->begin;
        to = isnan(m->end) ? m->status : m->end;
    }
    *ret_from = from;
    *ret_to = to;
    return !isnan(from) && !isnan(to);
}

static void count_calls(struct lithops__raster *raster, const struct lithops__run *run,
                        const struct band *band, enum part part)
{
    const struct lithops__group *group = band->group;
    for (size_t i = 0; i < group->count; i++) {
        struct lithops__moments m = lithops__run_call(run, group->first + i);
        double from, to;
        if (part_of(&m, run->calls[group->first + i].failed, part, &from, &to))
            lithops__raster_add(raster, i, group->count,
                                lithops__time_x(&band->box, run, from) - band->box.x,
                                lithops__time_x(&band->box, run, to) - band->box.x, part == FAILED);
    }
}

static int draw_counted(struct lithops__canvas *canvas, const struct lithops__run *run,
                        const struct band *band, lithops_error *err)
{
    const lithops__rgb colors[PARTS] = {
        [QUEUED] = QUEUED_AREA_COLOR, [STARTING] = STARTING_COLOR, [RUNNING] = band->color,
        [STATUS] = STATUS_COLOR,      [RESULT] = RESULT_COLOR,     [FAILED] = LITHOPS__FAILED};
    static const double least[PARTS] = {[QUEUED] = 0.1, [STARTING] = 0.3, [RUNNING] = 0.5,
                                        [STATUS] = 0.3, [RESULT] = 0.3,   [FAILED] = 1};
    int width = (int)ceil(band->box.width), height = (int)band->box.height;
    double calls_per_row = fmax(1, (double)band->group->count / height);
    int ret = 0;
    for (int part = 0; part < PARTS && ret == 0; part++) {
        struct lithops__raster raster;
        ret = lithops__raster_init(&raster, width, height, err);
        if (ret != 0)
            return ret;
        count_calls(&raster, run, band, (enum part)part);
        ret = lithops__raster_paint(&raster, canvas, band->box.x, band->box.y, colors[part],
                                    calls_per_row, least[part], err);
        lithops__raster_deinit(&raster);
    }
    return ret;
}

/* ---- bands ----------------------------------------------------------------------------------- */

static void draw_call_numbers(struct lithops__canvas *canvas, const struct band *band)
{
    const struct lithops__box *box = &band->box;
    double row = box->height / (double)band->group->count;
    struct lithops__text_style style = lithops__small_text(LITHOPS__INK_SOFT, 1);
    double step =
        fmax(1, lithops__tick_step((double)band->group->count, (int)fmax(1, box->height / 34)));
    for (size_t id = 0; id < band->group->count; id += (size_t)step) {
        double y = box->y + row * ((double)id + (row >= LEAST_ROW ? 0.5 : 0));
        char number[32];
        lithops__format_count(number, sizeof number, id);
        if (row < LEAST_ROW)
            lithops__hairline(canvas, box->x, y, box->x + box->width, y, LITHOPS__GRID);
        lithops__hairline(canvas, box->x - 4, y, box->x, y, LITHOPS__FRAME);
        lithops__draw_text(canvas, box->x - 8, y + 4, number, &style);
        if (box->height < 28)
            break; /* room for one number */
    }
}

/* To the right of the band: job, function, how many calls. */
static void draw_band_label(struct lithops__canvas *canvas, const struct band *band)
{
    double x = band->box.x + band->box.width + 12, room = canvas->width - x - 12;
    const struct lithops__group *group = band->group;
    char name[96], calls[64];
    lithops__group_name(group, name, sizeof name);
    lithops__format_count(calls, sizeof calls, group->count);
    size_t used = strlen(calls);
    snprintf(calls + used, sizeof calls - used, " call%s", group->count == 1 ? "" : "s");
    struct lithops__text_style bold = {
        .size = 11, .bold = true, .color = band->color, .max_width = room};
    struct lithops__text_style normal = lithops__small_text(LITHOPS__INK_SOFT, 0);
    normal.max_width = room;
    int lines = (int)fmin(3 + (group->failed > 0), band->box.height / 14);
    double y = band->box.y + band->box.height / 2 + 4 - (lines > 1 ? (lines - 1) * 7.0 : 0);
    if (lines < 2 && group->function) {
        size_t len = strlen(name);
        snprintf(name + len, sizeof name - len, " %.60s", group->function);
    }
    lithops__draw_text(canvas, x, y, name, &bold);
    if (lines > 1)
        lithops__draw_text(canvas, x, y + 14, group->function ? group->function : "functions",
                           &normal);
    if (lines > 2)
        lithops__draw_text(canvas, x, y + 28, calls, &normal);
    if (lines > 3) {
        snprintf(calls, sizeof calls, "%zu failed", group->failed);
        normal.color = LITHOPS__FAILED;
        lithops__draw_text(canvas, x, y + 42, calls, &normal);
    }
}

static int draw_band(struct lithops__canvas *canvas, const struct lithops__run *run,
                     const struct band *band, lithops_error *err)
{
    draw_call_numbers(canvas, band);
    draw_band_label(canvas, band);
    if (band->box.height / (double)band->group->count < LEAST_ROW)
        return draw_counted(canvas, run, band, err);
    for (size_t i = 0; i < band->group->count; i++)
        draw_call(canvas, run, band, band->group->first + i);
    return 0;
}

/* Share the height out: `least` for each, the rest by the number of calls. */
static void place_bands(const struct lithops__run *run, const struct lithops__box *box,
                        struct band *bands)
{
    double gap = run->group_count > 1 ? 6 : 0;
    double room = box->height - gap * (double)(run->group_count - 1);
    double least = fmin(26, room / 2 / (double)run->group_count);
    double shared = room - least * (double)run->group_count;
    double y = box->y;
    for (size_t i = 0; i < run->group_count; i++) {
        const struct lithops__group *group = &run->groups[i];
        double height = floor(least + shared * (double)group->count / (double)run->count);
        bands[i] = (struct band){.group = group,
                                 .box = {box->x, round(y), box->width, height},
                                 .color = lithops__group_color(i)};
        y += height + gap;
    }
}

static double draw_timeline_legend(struct lithops__canvas *canvas, const struct lithops__run *run,
                                   double y)
{
    const struct lithops__legend_item items[] = {
        {LITHOPS__MARK_LINE, QUEUED_COLOR, "submitted, queued"},
        {LITHOPS__MARK_LINE, STARTING_COLOR, "worker starts"},
        {LITHOPS__MARK_BAR, lithops__group_color(0), "function runs"},
        {LITHOPS__MARK_DOT, STATUS_COLOR, "status done"},
        {LITHOPS__MARK_DIAMOND, RESULT_COLOR, "result read"},
        {LITHOPS__MARK_BAR, LITHOPS__FAILED, "failed"}};
    size_t count = sizeof items / sizeof items[0] - (run->failed == 0);
    return lithops__draw_legend(canvas, 20, y, canvas->width - 40, items, count);
}

int lithops__draw_timeline(struct lithops__canvas *canvas, const struct lithops__run *run,
                           lithops_error *err)
{
    double y = lithops__draw_heading(canvas, run, "Timeline");
    y = draw_timeline_legend(canvas, run, y) + 4;
    const struct lithops__box box = {84, y, canvas->width - 84 - 130, canvas->height - y - 52};
    lithops__draw_side_label(canvas, &box, "call");
    lithops__draw_time_axis(canvas, &box, run, true);
    lithops__draw_frame(canvas, &box);
    struct band bands[LITHOPS__RUN_GROUPS];
    place_bands(run, &box, bands);
    int ret = 0;
    for (size_t i = 0; i < run->group_count && ret == 0; i++)
        ret = draw_band(canvas, run, &bands[i], err);
    return ret;
}
