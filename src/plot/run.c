/* SPDX-License-Identifier: Apache-2.0 */
/* What there is to draw.
 *
 * Times come from outside: some are not known (0), and those of a crashed worker may be anything.
 * Here they become seconds from the start of the run, never decreasing along a call's life, so
 * drawing code need not check them. */
#include "plot/run.h"

#include "base/error.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static bool is_known(double tstamp)
{
    return tstamp > 0 && tstamp < 1e11; /* year 5138; false for NAN */
}

static double first_known(double a, double b, double c)
{
    return is_known(a) ? a : is_known(b) ? b : c;
}

/* `tstamp` on the axis, not before `*floor`, which it raises. */
static double place(double tstamp, double origin, double *least)
{
    if (!is_known(tstamp))
        return NAN;
    *least = fmax(tstamp - origin, *least);
    return *least;
}

struct lithops__moments lithops__run_call(const struct lithops__run *run, size_t index)
{
    const struct lithops__plot_call *call = &run->calls[index];
    struct lithops__moments m;
    double least = 0;
    m.submit = place(call->host_submit, run->start, &least);
    m.start = place(call->worker_start, run->start, &least);
    m.begin = place(first_known(call->func_start, call->worker_start, 0), run->start, &least);
    double end = first_known(call->func_end, call->worker_end, call->status_done);
    m.end = isnan(m.begin) ? NAN : place(end, run->start, &least);
    if (isnan(m.end))
        m.begin = NAN; /* still running: nothing to draw yet */
    m.status = place(call->status_done, run->start, &least);
    m.result = place(call->result_done, run->start, &least);
    return m;
}

static void find_time_range(struct lithops__run *run, double *ret_first, double *ret_last)
{
    double first = INFINITY, last = -INFINITY;
    for (size_t i = 0; i < run->count; i++) {
        const struct lithops__plot_call *c = &run->calls[i];
        const double times[] = {c->host_submit, c->worker_start, c->func_start,
                                c->func_end,    c->status_done,  c->result_done};
        for (size_t k = 0; k < sizeof times / sizeof times[0]; k++) {
            if (!is_known(times[k]))
                continue;
            first = fmin(first, times[k]);
            last = fmax(last, times[k]);
        }
    }
    *ret_first = first;
    *ret_last = last;
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static size_t count_workers(const struct lithops__run *run)
{
    unsigned char seen[8192] = {0}; /* one bit each; no machine has more worker processes */
    size_t count = 0;
    for (size_t i = 0; i < run->count; i++) {
        int worker = run->calls[i].worker;
        if (worker < 0 || worker >= 8 * (int)sizeof seen)
            continue;
        unsigned char bit = (unsigned char)(1 << worker % 8);
        count += !(seen[worker / 8] & bit);
        seen[worker / 8] |= bit;
    }
    return count;
}

enum grouping { BY_HOST, BY_JOB, BY_FUNCTION, ALL_TOGETHER };

/* False when there are more groups than colours. */
static bool group_calls(struct lithops__run *run, enum grouping how)
{
    struct lithops__group *group = NULL;
    const char *job = NULL;
    run->group_count = run->jobs = 0;
    for (size_t i = 0; i < run->count; i++) {
        const struct lithops__plot_call *call = &run->calls[i];
        const char *call_job = call->job ? call->job : "?";
        bool new_job = !job || !same_text(call_job, job);
        bool same_function = group && same_text(call->function, group->function);
        bool new_host = group && !same_text(call->host, group->host);
        if (!group || (how <= BY_JOB && new_job) || (how == BY_HOST && new_host) ||
            (how == BY_FUNCTION && !same_function)) {
            if (run->group_count == LITHOPS__RUN_GROUPS)
                return false;
            group = &run->groups[run->group_count++];
            *group = (struct lithops__group){
                .first = i, .first_job = call_job, .function = call->function, .host = call->host};
        } else {
            group->function = same_function ? group->function : NULL;
            group->host = new_host ? NULL : group->host;
        }
        group->count++;
        group->failed += call->failed;
        group->jobs += new_job;
        run->jobs += new_job;
        group->last_job = job = call_job;
    }
    return true;
}

int lithops__run_init(struct lithops__run *run, const struct lithops__plot_call *calls,
                      size_t count, lithops_error *err)
{
    *run = (struct lithops__run){.calls = calls, .count = count};
    if (!count || !calls)
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "there are no calls to draw; start some and wait for them first");
    double last;
    find_time_range(run, &run->start, &last);
    if (!isfinite(run->start))
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "none of the %zu calls has a time to draw; wait for them first",
                             count);
    /* All at one moment: an axis of a microsecond. */
    run->length_s = fmax(last - run->start, 1e-6);
    for (size_t i = 0; i < count; i++)
        run->failed += calls[i].failed;
    run->workers = count_workers(run);
    if (!group_calls(run, BY_HOST) && !group_calls(run, BY_JOB) && !group_calls(run, BY_FUNCTION))
        group_calls(run, ALL_TOGETHER);
    return 0;
}

const char *lithops__job_id(const char *job)
{
    const char *dash = strrchr(job, '-');
    return dash && dash[1] ? dash + 1 : job;
}

void lithops__group_name(const struct lithops__group *group, char *buf, size_t size)
{
    const char *first = lithops__job_id(group->first_job);
    const char *last = lithops__job_id(group->last_job);
    if (group->jobs > 1)
        snprintf(buf, size, "%s – %s", first, last);
    else
        snprintf(buf, size, "%s", first);
    size_t used = strlen(buf);
    if (group->host)
        snprintf(buf + used, size - used, " %s", group->host);
}
