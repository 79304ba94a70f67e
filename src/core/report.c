/* SPDX-License-Identifier: Apache-2.0 */
/* After the run: pictures and the table of costs. */
#include "base/clock.h"
#include "base/error.h"
#include "base/module.h"
#include "base/options_read.h"
#include "config/config.h"
#include "core/fork.h"
#include "core/futures.h"
#include "core/job.h"
#include "core/stats.h"
#include "core/summary.h"
#include "ipc/layout.h"
#include "plot/plot.h"

#include <errno.h>
#include <lithops/plugin/runtime.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* Calls of one host, by the time when they began. */
static int compare_hosts(const void *left, const void *right)
{
    const struct lithops__plot_call *a = left, *b = right;
    if (a->host != b->host)
        return a->worker < b->worker ? -1 : 1;
    return (a->worker_start > b->worker_start) - (a->worker_start < b->worker_start);
}

static uint64_t collect_calls(const lithops_futures *futures, struct lithops__plot_call *calls,
                              char (*keys)[64])
{
    uint64_t count = 0;
    struct lithops__tick_clock clock;
    for (size_t s = 0; s < futures->count; s++) {
        const struct lithops__segment *segment = &futures->segments[s];
        struct lithops__job *job = segment->job;
        if (s == 0 || job->fexec != segment[-1].job->fexec)
            clock = lithops__executor_clock(job->fexec);
        snprintf(keys[s], sizeof keys[s], "%s-%c%03u", job->fexec->id, job->kind, job->number);
        uint64_t first = count;
        for (uint64_t i = segment->begin; i < segment->end; i++) {
            struct lithops__times times;
            if (!lithops__call_times(job, i, &clock, &times))
                continue;
            uint16_t state = lithops__job_state(job, i);
            calls[count++] =
                (struct lithops__plot_call){.host_submit = times.submitted,
                                            .worker_start = times.start,
                                            .func_start = times.start,
                                            .func_end = times.end,
                                            .worker_end = times.end,
                                            .status_done = times.status_done,
                                            .result_done = times.result_done,
                                            .job = keys[s],
                                            .function = job->function,
                                            .host = lithops__table_worker_name(
                                                &job->fexec->table, lithops__state_worker(state)),
                                            .worker = (int)lithops__state_worker(state),
                                            .failed = lithops__state_of(state) != LITHOPS__SUCCESS};
        }
        if (job->fexec->table.workers)
            qsort(calls + first, count - first, sizeof *calls, compare_hosts);
    }
    return count;
}

/* plots/<time>-<executor>, or the prefix that the caller gave. */
static int make_prefix(const char *dst, const char *id, char *buf, size_t size, lithops_error *err)
{
    struct stat status;
    size_t len = dst ? strlen(dst) : 0;
    bool folder = !dst || len == 0 || dst[len - 1] == '/' ||
                  (stat(dst, &status) == 0 && S_ISDIR(status.st_mode));
    if (!folder) {
        snprintf(buf, size, "%s", dst);
        return 0;
    }
    const char *name = len ? dst : "plots";
    if (mkdir(name, 0777) != 0 && errno != EEXIST)
        return lithops__fail_errno(err, errno, "cannot make the folder '%s'", name);
    char when[32];
    time_t now = time(NULL);
    struct tm parts;
    localtime_r(&now, &parts);
    strftime(when, sizeof when, "%Y%m%d-%H%M%S", &parts);
    snprintf(buf, size, "%s/%s-%s", name, when, id);
    return 0;
}

int lithops_plot(lithops_executor *fexec, lithops_futures *fs, const char *dst,
                 const lithops_plot_options *options, lithops_error *err)
{
    lithops_plot_options own = LITHOPS_PLOT_OPTIONS_INIT;
    int rc = lithops__options_read(&own, sizeof own, options, "LITHOPS_PLOT_OPTIONS_INIT", err);
    if (rc == 0 && !fs)
        rc = lithops__executor_check(fexec, err);
    if (rc != 0)
        return rc;
    lithops_futures *futures =
        fs ? lithops_futures_ref(fs) : lithops__futures_of_executor(fexec, LITHOPS__ALL_CALLS);
    struct lithops__plot_call *calls = futures ? calloc(futures->size + 1, sizeof *calls) : NULL;
    char(*keys)[64] = futures ? calloc(futures->count + 1, sizeof *keys) : NULL;
    char prefix[4096];
    lithops__plot_draw_function *draw = NULL;
    if (!futures || !calls || !keys) {
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
        goto out;
    }
    uint64_t count = collect_calls(futures, calls, keys);
    if (count == 0)
        rc = lithops__fail(err, LITHOPS_EUSAGE, "there is nothing to plot: no call is done");
    if (rc == 0) {
        *(void **)&draw = lithops__module_symbol("plot", "lithops__plot_draw", err);
        rc = draw ? 0 : LITHOPS_EUNSUPPORTED;
    }
    if (rc == 0)
        rc = make_prefix(dst, futures->segments[0].job->fexec->id, prefix, sizeof prefix, err);
    if (rc == 0)
        rc = draw(calls, count, prefix, own.width_in, own.height_in, err);
out:
    free(calls);
    free(keys);
    lithops_futures_unref(futures);
    return rc;
}

/* A row for calls [begin, end) of a job. */
static void fill_row(struct lithops__job *job, uint64_t begin, uint64_t end,
                     const struct lithops__tick_clock *clock, struct lithops__summary_row *row)
{
    *row = (struct lithops__summary_row){
        .function = job->function, .invocations = end - begin, .memory_mb = job->memory_mb};
    snprintf(row->job_id, sizeof row->job_id, "%c%03u", job->kind, lithops__job_number(job, begin));
    struct lithops__times times;
    for (uint64_t i = begin; i < end; i++)
        if (lithops__call_times(job, i, clock, &times))
            row->total_runtime_s += times.end - times.start;
}

/* "A007" before "M010" before its "R010": in the order in which the jobs were started. */
static int compare_rows(const void *left, const void *right)
{
    const char *a = ((const struct lithops__summary_row *)left)->job_id;
    const char *b = ((const struct lithops__summary_row *)right)->job_id;
    unsigned long number_a = strtoul(a + 1, NULL, 10), number_b = strtoul(b + 1, NULL, 10);
    return number_a != number_b ? number_a < number_b ? -1 : 1 : a[0] - b[0];
}

/* A row for each job; single calls share a page, but each of them is a job to the user. */
static struct lithops__summary_row *make_rows(const lithops_futures *futures, size_t *ret_count)
{
    size_t count = 0;
    for (size_t s = 0; s < futures->count; s++)
        count += futures->segments[s].job->is_page
                     ? futures->segments[s].end - futures->segments[s].begin
                     : 1;
    struct lithops__summary_row *rows = calloc(count + 1, sizeof *rows);
    struct lithops__tick_clock clock;
    *ret_count = count;
    count = 0;
    for (size_t s = 0; rows && s < futures->count; s++) {
        const struct lithops__segment *segment = &futures->segments[s];
        if (s == 0)
            clock = lithops__executor_clock(segment->job->fexec);
        uint64_t step = segment->job->is_page ? 1 : segment->end - segment->begin;
        for (uint64_t i = segment->begin; i < segment->end; i += step)
            fill_row(segment->job, i, i + step, &clock, &rows[count++]);
    }
    if (rows)
        qsort(rows, count, sizeof *rows, compare_rows);
    return rows;
}

int lithops_futures_summary(const lithops_futures *futures, int64_t cloud_objects_n,
                            const char *path, char **ret_csv, lithops_error *err)
{
    int rc = 0;
    size_t count = 0;
    struct lithops__summary_row *rows = futures ? make_rows(futures, &count) : NULL;
    if (!rows)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    struct lithops__summary_costs costs = {0};
    if (count) {
        lithops_executor *fexec = futures->segments[0].job->fexec;
        struct lithops__used used;
        lithops__executor_used(fexec, &used);
        lithops__costs_summary(&fexec->costs, &used, &costs);
    }
    char *csv = lithops__summary_csv(rows, count, &costs, cloud_objects_n);
    FILE *file = NULL;
    if (!csv)
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    else if (path) {
        file = fopen(path, "we");
        bool failed = !file || fputs(csv, file) == EOF;
        if ((file && fclose(file) != 0) || failed)
            rc = lithops__fail_errno(err, errno, "cannot write '%s'", path);
    }
    if (rc == 0 && ret_csv) {
        *ret_csv = csv;
        csv = NULL;
    }
    free(csv);
    free(rows);
    return rc;
}

int lithops_job_summary(lithops_executor *fexec, int64_t cloud_objects_n, const char *path,
                        char **ret_csv, lithops_error *err)
{
    int rc = lithops__executor_check(fexec, err);
    if (rc != 0)
        return rc;
    lithops_futures *futures = lithops__futures_of_executor(fexec, LITHOPS__ALL_CALLS);
    rc = lithops_futures_summary(futures, cloud_objects_n, path, ret_csv, err);
    lithops_futures_unref(futures);
    return rc;
}
