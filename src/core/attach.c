/* SPDX-License-Identifier: Apache-2.0 */
/* Attaching to detached jobs: an executor whose jobs are those of a handle. */
#include "base/clock.h"
#include "base/error.h"
#include "core/detach.h"
#include "core/executor.h"
#include "core/executor_open.h"
#include "core/fork.h"
#include "core/futures.h"
#include "core/job.h"
#include "core/start.h"
#include "detached/follow.h"
#include "detached/handle.h"

#include <lithops/detached.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- handles --------------------------------------------------------------------------------- */

static int add_segment(lithops_value *jobs, const struct lithops__segment *segment,
                       lithops_error *err)
{
    struct lithops__job *job = segment->job;
    struct lithops__handle_job one = {.begin = segment->begin, .end = segment->end};
    pthread_mutex_lock(&job->fexec->table.lock);
    bool is_known =
        job->fexec->compute && lithops__follow_name(job->fexec->compute, job->range, &one);
    pthread_mutex_unlock(&job->fexec->table.lock);
    if (!is_known)
        return lithops__fail(err, LITHOPS_ECLOSED,
                             "the executor was closed: take the handle of a job before");
    return lithops__handle_add(jobs, &one) == 0
               ? 0
               : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
}

/* The executor stays open meanwhile. */
static lithops_value *make_handle(const lithops_executor *fexec, const lithops_futures *futures,
                                  lithops_error *err)
{
    lithops_value *jobs = lithops_value_list();
    for (size_t s = 0; s < futures->count; s++)
        if (add_segment(jobs, &futures->segments[s], err) != 0) {
            lithops_value_free(jobs);
            return NULL;
        }
    lithops_value *handle = lithops__handle_new(lithops__follow_home(fexec->compute)->path, jobs);
    if (!handle)
        lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    return handle;
}

lithops_value *lithops_job_handle(const lithops_futures *futures, lithops_error *err)
{
    lithops_executor *fexec = futures && futures->count ? futures->segments[0].job->fexec : NULL;
    for (size_t s = 0; fexec && s < futures->count; s++)
        if (futures->segments[s].job->fexec != fexec)
            fexec = NULL; /* each executor has its own folder */
    if (!fexec || !fexec->detachment) {
        lithops__fail(err, LITHOPS_EUSAGE,
                      !futures || !futures->count ? "no futures, no handle"
                      : fexec ? "these calls end with this program: open the executor with "
                                "'detached' to have a handle of its jobs"
                              : "these futures are of several executors: take a handle of each");
        return NULL;
    }
    if (lithops__is_forked(fexec)) { /* before its locks, which somebody may have held at fork() */
        (void)lithops__executor_check(fexec, err);
        return NULL;
    }
    pthread_mutex_lock(&fexec->detachment->lock);
    lithops_value *handle = make_handle(fexec, futures, err);
    pthread_mutex_unlock(&fexec->detachment->lock);
    return handle;
}

/* ---- attaching ------------------------------------------------------------------------------- */

/* Ticks of this machine at a moment of the boot clock. */
static uint64_t ticks_at(const lithops_executor *fexec, uint64_t then_ns)
{
    uint64_t now_ns = lithops__boot_ns(), now = lithops__ticks();
    double ago = then_ns < now_ns ? (double)(now_ns - then_ns) *
                                        (double)fexec->table.area.control->ticks_per_ms / 1e6
                                  : 0;
    return ago < (double)now ? now - (uint64_t)ago : 1;
}

/* [L] */
static int make_range(lithops_executor *fexec, struct lithops__job *job,
                      const struct lithops__journal_header *header, lithops_error *err)
{
    const lithops_function function = {
        .magic = LITHOPS_FUNCTION_MAGIC, .name = header->function, .symbol = header->function};
    const struct lithops__job_name name = {fexec->id, header->kind, header->number, 0};
    const struct lithops__job_plan plan = {.runtime_memory_mb = LITHOPS_DEFAULT,
                                           .timeout_ms = LITHOPS_DEFAULT,
                                           .chunksize = LITHOPS_DEFAULT,
                                           .call_retries = 0};
    uint32_t index;
    int rc = lithops__table_function(&fexec->table, &function, &index, err);
    if (rc == 0)
        rc = lithops__table_new_range(&fexec->table, index, header->calls,
                                      header->calls ? header->calls : 1, LITHOPS__RUNNING, &name,
                                      &job->range, err);
    if (rc != 0)
        return rc;
    lithops__job_set_limits(fexec, job, lithops__job_range(job), &plan);
    job->number = header->number;
    if (!lithops__marks_init(&job->marks, header->calls)) {
        lithops__job_abandon(job);
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    }
    bool is_same_boot = header->boot == lithops__boot();
    job->created = is_same_boot ? ticks_at(fexec, header->created_ns) : lithops__ticks();
    job->serialized = job->submitted = lithops__job_range(job)->submit_ticks = job->created;
    lithops__job_keep(job);
    lithops__table_publish_range(&fexec->table, job->range);
    return 0;
}

/* A job that follows the journal, which it takes over. */
static struct lithops__job *follow(lithops_executor *fexec, struct lithops__journal *journal,
                                   lithops_error *err)
{
    const struct lithops__journal_header *header = journal->header;
    struct lithops__job *job = lithops__job_new(fexec, header->kind, header->function);
    if (!job) {
        lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
        lithops__journal_close(journal);
        return NULL;
    }
    job->gives_list = header->flags & LITHOPS__JOURNAL_GIVES_LIST;
    job->feeds_reducer = header->flags & LITHOPS__JOURNAL_FEEDS;
    pthread_mutex_lock(&fexec->table.lock);
    int rc = make_range(fexec, job, header, err);
    if (rc != 0)
        lithops__journal_close(journal);
    else if ((rc = lithops__follow_job(fexec->compute, job->range, journal, err)) != 0)
        lithops__job_abandon(job);
    lithops__unlock(fexec);
    if (rc == 0)
        return job;
    lithops__job_unref(job);
    return NULL;
}

struct attached {
    size_t count;
    struct lithops__job *jobs[];
};

static struct lithops__job *find(const struct attached *attached, const char *name)
{
    for (size_t i = 0; i < attached->count; i++) {
        char own[16];
        lithops__home_job_name(attached->jobs[i]->kind, attached->jobs[i]->number, own);
        if (strcmp(own, name) == 0)
            return attached->jobs[i];
    }
    return NULL;
}

/* Results are those of what stands behind a map that feeds its reducer. */
static void add_calls(lithops_futures *futures, struct lithops__job *job,
                      const struct lithops__handle_job *one)
{
    if (job->kind == 'R' && futures->count && futures->reduce_segment == 0 &&
        futures->segments[futures->count - 1].job->feeds_reducer)
        futures->reduce_segment = futures->count;
    lithops__futures_add(futures, job, one->begin, one->end);
}

static int attach_all(lithops_executor *fexec, const struct lithops__handle *handle,
                      const struct lithops__home *home, lithops_futures **ret_futures,
                      lithops_error *err)
{
    struct attached *attached =
        calloc(1, sizeof *attached + handle->count * sizeof attached->jobs[0]);
    lithops_futures *futures = lithops__futures_alloc(handle->count);
    int rc = attached && futures ? 0 : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    for (size_t i = 0; rc == 0 && i < handle->count; i++) {
        const struct lithops__handle_job *one = &handle->jobs[i];
        struct lithops__job *job = find(attached, one->name);
        struct lithops__journal journal;
        if (!job) {
            rc = lithops__handle_open_job(home, one, &journal, err);
            job = rc == 0 ? follow(fexec, &journal, err) : NULL;
            if (job)
                attached->jobs[attached->count++] = job;
            else
                rc = err->code;
        }
        if (job)
            add_calls(futures, job, one);
    }
    for (size_t i = 0; attached && i < attached->count; i++)
        lithops__job_unref(attached->jobs[i]);
    free(attached);
    if (rc == 0)
        *ret_futures = futures;
    else
        lithops_futures_unref(futures);
    return rc;
}

lithops_executor *lithops_attach(const lithops_value *handle,
                                 const lithops_executor_options *options,
                                 lithops_futures **ret_futures, lithops_error *err)
{
    lithops_error own = LITHOPS_ERROR_INIT;
    struct lithops__handle *read;
    struct lithops__home home;
    err = err ? err : &own;
    if (!ret_futures) {
        lithops__fail(err, LITHOPS_EUSAGE, "ret_futures is NULL");
        return NULL;
    }
    if (lithops__handle_read(handle, &read, err) != 0)
        return NULL;
    lithops_executor *fexec = NULL;
    if (lithops__handle_open_home(read, &home, err) == 0) {
        fexec = lithops__executor_open(options, home.id, LITHOPS__OPEN_ATTACHED, err);
        if (!fexec)
            lithops__home_close(&home);
    }
    if (fexec) {
        struct lithops__control *control = fexec->table.area.control;
        uint64_t day = control->ticks_per_ms * 86400000; /* calls have begun before this */
        control->epoch_ticks =
            control->epoch_ticks > 30 * day ? control->epoch_ticks - 30 * day : 1;
        int rc = lithops__follow_start(fexec->compute, &home, err);
        if (rc == 0)
            rc = attach_all(fexec, read, lithops__follow_home(fexec->compute), ret_futures, err);
        if (rc != 0) {
            lithops_executor_close(fexec);
            fexec = NULL;
        }
    }
    free(read);
    return fexec;
}
