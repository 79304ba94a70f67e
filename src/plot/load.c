/* SPDX-License-Identifier: Apache-2.0 */
/* The calls that ran, as numbers for the histogram picture.
 *
 * The mean of a column is exact at any number of calls: a call adds the part of the column in
 * which it ran. It is done with two entries where the call begins and two where it ends, whatever
 * its length: what it adds to that column, and a 1 that all later columns sum up.
 *
 * The peak needs the order of events. Where one call ends in the moment in which another begins,
 * the end comes first: a worker process that goes from call to call runs one, not two. A moment is
 * a microsecond: seconds since 1970 in a double have steps of a quarter of one. A call that is no
 * longer than that counts in the moment of its begin alone. */
#include "plot/load.h"

#include "base/error.h"

#include <math.h>
#include <stdlib.h>

#define MOMENT_S 1e-6

static int by_begin(const void *a, const void *b)
{
    const struct lithops__ran *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void collect(struct lithops__load *load, const struct lithops__run *run)
{
    for (size_t g = 0; g < run->group_count; g++) {
        const struct lithops__group *group = &run->groups[g];
        for (size_t i = group->first; i < group->first + group->count; i++) {
            struct lithops__moments m = lithops__run_call(run, i);
            if (isnan(m.begin))
                continue;
            load->ran[load->count] = (struct lithops__ran){.begin = m.begin,
                                                           .end = m.end,
                                                           .group = (uint32_t)g,
                                                           .failed = run->calls[i].failed};
            load->durations[load->count++] = m.end - m.begin;
            if (m.end - m.begin > MOMENT_S)
                load->ends[load->end_count++] = m.end;
        }
    }
    qsort(load->ran, load->count, sizeof *load->ran, by_begin);
    qsort(load->durations, load->count, sizeof *load->durations, by_value);
    qsort(load->ends, load->end_count, sizeof *load->ends, by_value);
}

static size_t column_of(const struct lithops__load *load, double time_s, double length_s)
{
    double column = time_s / length_s * (double)load->columns;
    return column < (double)load->columns - 1 ? (size_t)column : load->columns - 1;
}

/* From `time_s` on there is `one` call more (or less). */
static void add_step(double *mean, double *later, double time_s, double columns_per_s,
                     size_t columns, double one)
{
    double at = time_s * columns_per_s;
    size_t column = (size_t)at;
    if (column >= columns)
        return;
    mean[column] += one * ((double)column + 1 - at);
    later[column + 1] += one;
}

static int find_means(struct lithops__load *load, double length_s, lithops_error *err)
{
    size_t columns = load->columns;
    double *later = calloc(load->groups * (columns + 1), sizeof *later);
    if (!later)
        return lithops__fail(err, LITHOPS_ENOMEM, "no memory for a plot");
    double columns_per_s = (double)columns / length_s;
    for (size_t i = 0; i < load->count; i++) {
        const struct lithops__ran *ran = &load->ran[i];
        double *mean = load->mean + ran->group * columns;
        add_step(mean, later + ran->group * (columns + 1), ran->begin, columns_per_s, columns, 1);
        add_step(mean, later + ran->group * (columns + 1), ran->end, columns_per_s, columns, -1);
    }
    for (size_t g = 0; g < load->groups; g++) {
        double sum = 0;
        for (size_t c = 0; c < columns; c++) {
            sum += later[g * (columns + 1) + c];
            load->mean[g * columns + c] = fmax(0, load->mean[g * columns + c] + sum);
        }
    }
    free(later);
    return 0;
}

static void find_peaks(struct lithops__load *load, double length_s)
{
    size_t next_end = 0, column = 0;
    double active = 0;
    for (size_t i = 0; i <= load->count; i++) {
        double now = i < load->count ? load->ran[i].begin : INFINITY;
        for (; next_end < load->end_count && load->ends[next_end] <= now + MOMENT_S; next_end++) {
            size_t end_column = column_of(load, load->ends[next_end], length_s);
            for (; column < end_column; column++)
                load->peak[column + 1] = active;
            active--;
        }
        if (i == load->count)
            break;
        for (size_t begin_column = column_of(load, now, length_s); column < begin_column; column++)
            load->peak[column + 1] = active;
        load->peak[column] = fmax(load->peak[column], active + 1);
        load->peak_at_all = fmax(load->peak_at_all, active + 1);
        active += load->ran[i].end - now > MOMENT_S;
    }
}

static void find_mean_at_all(struct lithops__load *load)
{
    double busy = 0, last = 0;
    for (size_t i = 0; i < load->count; i++) {
        busy += load->ran[i].end - load->ran[i].begin;
        last = fmax(last, load->ran[i].end);
    }
    double time_s = load->count ? last - load->ran[0].begin : 0;
    load->mean_at_all = time_s > 0 ? busy / time_s : 0;
}

int lithops__load_init(struct lithops__load *load, const struct lithops__run *run, size_t columns,
                       double length_s, lithops_error *err)
{
    *load = (struct lithops__load){.columns = columns, .groups = run->group_count};
    load->ran = malloc(run->count * sizeof *load->ran);
    load->durations = malloc(run->count * sizeof *load->durations);
    load->ends = malloc(run->count * sizeof *load->ends);
    load->peak = calloc(columns, sizeof *load->peak);
    load->mean = calloc(columns * run->group_count, sizeof *load->mean);
    if (!load->ran || !load->durations || !load->ends || !load->peak || !load->mean) {
        lithops__load_deinit(load);
        return lithops__fail(err, LITHOPS_ENOMEM, "no memory for a plot of %zu calls", run->count);
    }
    collect(load, run);
    find_peaks(load, length_s);
    find_mean_at_all(load);
    int ret = find_means(load, length_s, err);
    if (ret != 0)
        lithops__load_deinit(load);
    return ret;
}

void lithops__load_deinit(struct lithops__load *load)
{
    free(load->ran);
    free(load->durations);
    free(load->ends);
    free(load->peak);
    free(load->mean);
    *load = (struct lithops__load){0};
}
