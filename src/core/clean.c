/* SPDX-License-Identifier: Apache-2.0 */
/* clean: drop jobs, and what they stored. */
#include "core/clean.h"

#include "base/error.h"
#include "base/log.h"
#include "base/options_read.h"
#include "core/executor.h"
#include "core/executor_ref.h"
#include "core/fork.h"
#include "core/futures.h"
#include "core/job.h"
#include "core/logfile.h"
#include "core/outcome.h"
#include "core/pages.h"
#include "core/wait.h"
#include "ipc/layout.h"
#include "ipc/table.h"

#include <stdlib.h>

/* Cloudobjects may be anywhere in a result. */
static int delete_in_value(lithops_storage *storage, const lithops_value *value, lithops_error *err)
{
    if (lithops_value_is_cloudobject(value))
        return lithops_cloudobject_delete(storage, value, err);
    int rc = 0;
    const char *key;
    size_t size = lithops_value_size(value);
    for (size_t i = 0; i < size; i++) {
        const lithops_value *item = lithops_value_type(value) == LITHOPS_LIST
                                        ? lithops_value_at(value, i)
                                        : lithops_value_pair(value, i, &key);
        lithops_error one = LITHOPS_ERROR_INIT;
        if (delete_in_value(storage, item, &one) != 0 && rc == 0) {
            rc = one.code;
            if (err)
                *err = one;
        }
    }
    return rc;
}

static int delete_results(lithops_executor *fexec, struct lithops__job *job, uint64_t begin,
                          uint64_t end, lithops_error *err)
{
    int rc = 0;
    for (uint64_t i = begin; i < end && rc == 0; i++) {
        if (lithops__state_of(lithops__job_state(job, i)) != LITHOPS__SUCCESS ||
            lithops__record_content(lithops__job_record(job, i)) != LITHOPS__CONTENT_PACKED)
            continue; /* a cloudobject is a map */
        lithops_value *value = lithops__outcome_value(job, i, NULL);
        lithops_storage *storage = lithops__executor_storage(fexec, err);
        rc = storage ? delete_in_value(storage, value, err) : LITHOPS_ECONFIG;
        lithops_value_free(value);
    }
    return rc;
}

static bool is_named(const lithops_futures *futures, const struct lithops__job *job)
{
    for (size_t s = 0; futures && s < futures->count; s++)
        if (futures->segments[s].job == job ||
            (futures->segments[s].job->maps && futures->segments[s].job->maps == job))
            return true;
    return !futures;
}

/* Take the named jobs that are finished out of the executor's list; the references pass to the
 * caller. */
static struct lithops__job **take_jobs(lithops_executor *fexec, const lithops_futures *fs,
                                       size_t *ret_count)
{
    pthread_mutex_lock(&fexec->table.lock);
    size_t count = 0, all = 1;
    for (struct lithops__job *job = fexec->jobs.first; job; job = job->links.next)
        all++;
    struct lithops__job **taken = calloc(all, sizeof(struct lithops__job *));
    struct lithops__job *next;
    for (struct lithops__job *job = taken ? fexec->jobs.first : NULL; job; job = next) {
        next = job->links.next;
        if (!is_named(fs, job) || !lithops__job_is_finished(job))
            continue;
        taken[count++] = lithops__job_ref(job);
        for (size_t p = 0; p < LITHOPS__OPEN_PAGES; p++)
            if (fexec->pages[p].job == job)
                lithops__page_close(&fexec->pages[p]);
        lithops__job_forget(job);
    }
    lithops__unlock(fexec);
    *ret_count = count;
    return taken;
}

static int delete_named(lithops_executor *fexec, const lithops_value *cs, lithops_error *err)
{
    if (!cs)
        return 0;
    lithops_storage *storage = lithops__executor_storage(fexec, err);
    return storage ? delete_in_value(storage, cs, err) : LITHOPS_ECONFIG;
}

/* What results named that nobody could ask for any more. */
static lithops_value *take_stored(lithops_executor *fexec)
{
    pthread_mutex_lock(&fexec->table.lock);
    lithops_value *stored = fexec->stored;
    fexec->stored = NULL;
    pthread_mutex_unlock(&fexec->table.lock);
    return stored;
}

/* Note what the close is to do. */
static int clean_later(lithops_executor *fexec, const lithops_clean_options *options,
                       lithops_error *err)
{
    lithops_value *more = options->cs ? lithops_pack("[O]", options->cs) : NULL;
    if (options->cs && !more)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    pthread_mutex_lock(&fexec->table.lock);
    int rc = 0;
    if (!fexec->cloudobjects)
        fexec->cloudobjects = more;
    else if (more)
        rc = lithops_value_append(fexec->cloudobjects, more);
    fexec->clean_on_exit = true;
    fexec->keep_cloudobjects = !options->clean_cloudobjects;
    pthread_mutex_unlock(&fexec->table.lock);
    return rc ? lithops__fail(err, rc, "out of memory") : 0;
}

void lithops__clean_at_close(lithops_executor *fexec)
{
    if (!fexec->clean_on_exit)
        return;
    lithops_clean_options options = LITHOPS_CLEAN_OPTIONS_INIT;
    options.cs = fexec->cloudobjects;
    options.clean_cloudobjects = !fexec->keep_cloudobjects;
    lithops_error err = LITHOPS_ERROR_INIT;
    if (lithops_clean(fexec, NULL, &options, &err) != 0)
        lithops__log(LITHOPS_LOG_WARNING, "core", "executor %s: not everything was cleaned: %s",
                     fexec->id, err.message);
    lithops_value_free(fexec->cloudobjects);
    fexec->cloudobjects = NULL;
}

/* The workers of the last calls may still read them, for microseconds, or milliseconds where
 * processes outnumber CPUs. Then their memory is free for the next job. */
static void await_memory(lithops_executor *fexec)
{
    for (int i = 0; i < 200; i++) {
        pthread_mutex_lock(&fexec->table.lock);
        size_t looked_at = lithops__table_reclaim(&fexec->table);
        pthread_mutex_unlock(&fexec->table.lock);
        if (looked_at == 0)
            return;
        nanosleep(&(struct timespec){0, 20000}, NULL);
    }
}

int lithops_clean(lithops_executor *fexec, lithops_futures *fs,
                  const lithops_clean_options *options, lithops_error *err)
{
    lithops_clean_options own = LITHOPS_CLEAN_OPTIONS_INIT;
    int rc = lithops__options_read(&own, sizeof own, options, "LITHOPS_CLEAN_OPTIONS_INIT", err);
    if (rc != 0)
        return rc;
    options = &own;
    if (!fexec)
        return lithops__fail(err, LITHOPS_EUSAGE, "the executor is NULL");
    if (lithops__is_forked(fexec))
        return lithops__executor_check(fexec, err);
    if (options->on_exit)
        return clean_later(fexec, options, err);
    lithops_futures *all = NULL;
    if (options->force) {
        all =
            fs ? lithops_futures_ref(fs) : lithops__futures_of_executor(fexec, LITHOPS__LIVE_CALLS);
        lithops_futures_cancel(all);
        struct lithops__wait wait = {
            .futures = all, .target = all ? all->size : 0, .deadline_ns = UINT64_MAX};
        if (all)
            (void)lithops__wait(&wait, NULL);
        lithops_futures_unref(all);
    }
    rc = delete_named(fexec, options->cs, err);
    lithops_value *stored = fs ? NULL : take_stored(fexec);
    if (rc == 0 && stored && options->clean_cloudobjects)
        rc = delete_named(fexec, stored, err);
    lithops_value_free(stored);
    size_t count = 0;
    struct lithops__job **jobs = take_jobs(fexec, fs, &count);
    if (!jobs)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    for (size_t j = 0; j < count; j++) {
        lithops_error one = LITHOPS_ERROR_INIT;
        if (options->clean_cloudobjects &&
            delete_results(fexec, jobs[j], 0, lithops__job_count(jobs[j]), &one) != 0 && rc == 0) {
            rc = one.code;
            if (err)
                *err = one;
        }
        lithops__logfile_add(fexec, jobs[j]);
        lithops__job_unref(jobs[j]);
    }
    free(jobs);
    if (count > 0)
        await_memory(fexec);
    pthread_mutex_lock(&fexec->table.lock);
    lithops__table_trim(&fexec->table); /* inputs too, of jobs whose futures somebody holds */
    pthread_mutex_unlock(&fexec->table.lock);
    return rc;
}
