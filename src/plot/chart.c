/* SPDX-License-Identifier: Apache-2.0 */
/* What both pictures have: heading, legend, axes. */
#include "plot/chart.h"

#include "plot/scale.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct lithops__text_style lithops__small_text(lithops__rgb color, double align)
{
    return (struct lithops__text_style){.size = 11, .color = color, .align = align};
}

/* ---- heading --------------------------------------------------------------------------------- */

static int executor_length(const char *job)
{
    return (int)(lithops__job_id(job) - job);
}

/* "a1b2c3-0: M000, R000"; the jobs of a second executor bring its name with them. */
static void name_jobs(const struct lithops__run *run, char *buf, size_t size)
{
    const char *executor = NULL;
    size_t used = 0;
    for (size_t i = 0; i < run->group_count && used < size; i++) {
        const struct lithops__group *group = &run->groups[i];
        char name[96];
        lithops__group_name(group, name, sizeof name);
        int len = executor_length(group->first_job);
        bool same = executor && len == executor_length(executor) &&
                    strncmp(executor, group->first_job, (size_t)len) == 0;
        const char *gap = i ? ", " : "";
        int wrote;
        if (same || len < 2)
            wrote = snprintf(buf + used, size - used, "%s%s", gap, name);
        else
            wrote = snprintf(buf + used, size - used, "%s%.*s: %s", gap, len - 1, group->first_job,
                             name);
        executor = group->first_job;
        used += (size_t)wrote;
    }
}

static const char *plural(size_t count)
{
    return count == 1 ? "" : "s";
}

static void count_things(const struct lithops__run *run, char *buf, size_t size)
{
    char calls[32], jobs[32], workers[64] = "", failed[48] = "", time[32];
    lithops__format_count(calls, sizeof calls, run->count);
    lithops__format_count(jobs, sizeof jobs, run->jobs);
    lithops__format_time(time, sizeof time, run->length_s);
    if (run->workers)
        snprintf(workers, sizeof workers, "  ·  %zu worker process%s", run->workers,
                 run->workers == 1 ? "" : "es");
    if (run->failed) {
        char count[32];
        lithops__format_count(count, sizeof count, run->failed);
        snprintf(failed, sizeof failed, "  ·  %s failed", count);
    }
    snprintf(buf, size, "%s call%s in %s job%s%s  ·  %s%s", calls, plural(run->count), jobs,
             plural(run->jobs), workers, time, failed);
}

double lithops__draw_heading(struct lithops__canvas *canvas, const struct lithops__run *run,
                             const char *what)
{
    char jobs[512], title[600], counts[256];
    name_jobs(run, jobs, sizeof jobs);
    snprintf(title, sizeof title, "%s of %s", what, jobs);
    count_things(run, counts, sizeof counts);
    double room = canvas->width - 40;
    const struct lithops__text_style big = {
        .size = 16, .bold = true, .color = LITHOPS__INK, .max_width = room};
    const struct lithops__text_style normal = {
        .size = 12, .color = LITHOPS__INK_SOFT, .max_width = room};
    lithops__draw_text(canvas, 20, 30, title, &big);
    lithops__draw_text(canvas, 20, 49, counts, &normal);
    return 62;
}

/* ---- legend ---------------------------------------------------------------------------------- */

void lithops__draw_mark(struct lithops__canvas *canvas, enum lithops__mark mark, double x, double y,
                        double radius, lithops__rgb color)
{
    cairo_t *cr = canvas->cr;
    cairo_new_path(cr); /* text leaves a point behind, from which an arc would draw a line */
    switch (mark) {
    case LITHOPS__MARK_LINE:
        lithops__fill_box(canvas, x - 2 * radius, y - 1, 4 * radius, 2, color);
        return;
    case LITHOPS__MARK_BAR:
        lithops__fill_box(canvas, x - 2 * radius, y - radius, 4 * radius, 2 * radius, color);
        return;
    case LITHOPS__MARK_DOT:
        cairo_arc(cr, x, y, radius, 0, 2 * M_PI);
        break;
    case LITHOPS__MARK_DIAMOND:
        cairo_move_to(cr, x - radius * 1.3, y);
        cairo_line_to(cr, x, y - radius * 1.3);
        cairo_line_to(cr, x + radius * 1.3, y);
        cairo_line_to(cr, x, y + radius * 1.3);
        cairo_close_path(cr);
        break;
    }
    /* A thin white rim separates marks from bars and from each other. */
    lithops__set_color(canvas, color);
    cairo_fill_preserve(cr);
    lithops__set_color(canvas, 0xFFFFFF);
    cairo_set_line_width(cr, 0.8);
    cairo_stroke(cr);
}

double lithops__draw_legend(struct lithops__canvas *canvas, double x, double y, double width,
                            const struct lithops__legend_item *items, size_t count)
{
    struct lithops__text_style style = lithops__small_text(LITHOPS__INK, 0);
    double at = x, row = y + 8;
    for (size_t i = 0; i < count; i++) {
        double needed = 28 + lithops__text_width(canvas, items[i].label, &style);
        if (at > x && at + needed > x + width) {
            at = x;
            row += 18;
        }
        lithops__draw_mark(canvas, items[i].mark, at + 10, row, 4.5, items[i].color);
        lithops__draw_text(canvas, at + 26, row + 4, items[i].label, &style);
        at += needed + 20;
    }
    return row + 18;
}

/* ---- axes ------------------------------------------------------------------------------------ */

static double axis_length(const struct lithops__run *run)
{
    return run->length_s * 1.02;
}

double lithops__time_x(const struct lithops__box *box, const struct lithops__run *run,
                       double time_s)
{
    return box->x + box->width * time_s / axis_length(run);
}

void lithops__draw_time_axis(struct lithops__canvas *canvas, const struct lithops__box *box,
                             const struct lithops__run *run, bool with_labels)
{
    struct lithops__time_unit unit = lithops__time_unit_for(run->length_s);
    double range = axis_length(run) / unit.seconds;
    double step = lithops__tick_step(range, (int)fmax(2, box->width / 75));
    double bottom = box->y + box->height;
    struct lithops__text_style style = lithops__small_text(LITHOPS__INK_SOFT, 0.5);
    for (int i = 0; i * step <= range; i++) {
        double x = lithops__time_x(box, run, i * step * unit.seconds);
        lithops__hairline(canvas, x, box->y, x, bottom, LITHOPS__GRID);
        if (!with_labels)
            continue;
        char number[32];
        lithops__format_tick(number, sizeof number, i * step, step);
        lithops__hairline(canvas, x, bottom, x, bottom + 4, LITHOPS__FRAME);
        lithops__draw_text(canvas, x, bottom + 17, number, &style);
    }
    if (!with_labels)
        return;
    char label[64];
    snprintf(label, sizeof label, "time since the first submit (%s)", unit.name);
    style.color = LITHOPS__INK;
    lithops__draw_text(canvas, box->x + box->width / 2, bottom + 36, label, &style);
}

void lithops__draw_side_label(struct lithops__canvas *canvas, const struct lithops__box *box,
                              const char *label)
{
    struct lithops__text_style style = lithops__small_text(LITHOPS__INK, 0.5);
    cairo_save(canvas->cr);
    cairo_translate(canvas->cr, 22, round(box->y + box->height / 2));
    cairo_rotate(canvas->cr, -M_PI / 2);
    lithops__draw_text(canvas, 0, 0, label, &style);
    cairo_restore(canvas->cr);
}

void lithops__draw_frame(struct lithops__canvas *canvas, const struct lithops__box *box)
{
    double right = box->x + box->width, bottom = box->y + box->height;
    lithops__hairline(canvas, box->x, box->y, box->x, bottom, LITHOPS__FRAME);
    lithops__hairline(canvas, box->x, bottom, right, bottom, LITHOPS__FRAME);
}
