/* SPDX-License-Identifier: Apache-2.0 */
/* get_result: wait, and return the results as one value. */
#include "base/error.h"
#include "core/fork.h"
#include "core/futures.h"
#include "core/job.h"
#include "core/outcome.h"
#include "core/seen.h"
#include "core/wait.h"

#include <string.h>

/* The value of one call; null for one that has failed, when the caller asked for that. Strings
 * and bytes are views into shared memory, unless `copies` is set. */
static int one_value(const struct lithops__job *job, uint64_t index, bool throw_except, bool copies,
                     lithops_value **ret_value, lithops_error *err)
{
    int rc = lithops__outcome_error(job, index, throw_except ? err : NULL);
    if (rc != 0 && throw_except)
        return rc;
    lithops_error own = LITHOPS_ERROR_INIT;
    lithops_value *value = rc ? lithops_value_null() : lithops__outcome_value(job, index, &own);
    lithops_type type = lithops_value_type(value);
    if (value && copies && (type == LITHOPS_STRING || type == LITHOPS_BYTES)) {
        lithops_value *copy = lithops_value_copy(value);
        lithops_value_free(value);
        value = copy;
    }
    if (value) {
        *ret_value = value;
        return 0;
    }
    if (own.code == 0)
        lithops__fail(&own, LITHOPS_ENOMEM, "out of memory");
    if (err)
        *err = own;
    return own.code;
}

static int collect(const lithops_futures *futures, bool throw_except, bool copies,
                   lithops_value **ret_value, lithops_error *err)
{
    size_t first = futures->reduce_segment;
    uint64_t count = 0;
    for (size_t s = first; s < futures->count; s++)
        count += futures->segments[s].end - futures->segments[s].begin;
    bool single = count == 1 && !futures->segments[first].job->gives_list;
    lithops_value *list = single ? NULL : lithops_value_list(), *value = NULL;
    int rc = single || list ? 0 : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    for (size_t s = first; rc == 0 && s < futures->count; s++) {
        const struct lithops__segment *segment = &futures->segments[s];
        for (uint64_t i = segment->begin; rc == 0 && i < segment->end; i++) {
            rc = one_value(segment->job, i, throw_except, copies, &value, err);
            if (rc == 0 && list && lithops_value_append(list, value) != 0)
                rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
        }
    }
    /* Reading a reducer's result counts as reading those of its map. */
    for (size_t s = 0; rc == 0 && s < futures->count; s++)
        lithops__job_saw(futures->segments[s].job, futures->segments[s].begin,
                         futures->segments[s].end, true);
    if (rc != 0)
        lithops_value_free(list);
    else
        *ret_value = single ? value : list;
    return rc;
}

/* Reducers that the executor held in place of the caller: their results are read now. */
static void let_go(const lithops_futures *futures)
{
    for (size_t s = 0; s < futures->count; s++) {
        struct lithops__job *job = futures->segments[s].job;
        pthread_mutex_lock(&job->fexec->table.lock);
        bool held = job->is_held;
        job->is_held = false;
        if (held)
            lithops__job_unref_locked(job);
        lithops__unlock(job->fexec);
    }
}

static int wait_and_collect(lithops_executor *fexec, lithops_futures *fs,
                            const lithops_wait_options *options, bool copies,
                            lithops_value **ret_value, lithops_error *err)
{
    lithops_wait_options all;
    int rc = lithops__wait_options_read(&all, options, err);
    all.return_when = LITHOPS_ALL;
    lithops_futures *futures = NULL;
    if (rc == 0)
        rc = lithops__wait_checked(fexec, fs, &all, LITHOPS__UNREAD_CALLS, &futures, err);
    if (rc == 0)
        rc = collect(futures, all.throw_except, copies, ret_value, err);
    if (rc == 0 && copies)
        let_go(futures);
    lithops_futures_unref(futures);
    return rc;
}

int lithops_get_result_value(lithops_executor *fexec, lithops_futures *fs,
                             const lithops_wait_options *options, lithops_value **ret_value,
                             lithops_error *err)
{
    if (!ret_value)
        return lithops__fail(err, LITHOPS_EUSAGE, "ret_value is NULL");
    return wait_and_collect(fexec, fs, options, true, ret_value, err);
}

/* Formats that store pointers into the value: it must live on. */
static bool stores_pointers(const char *format)
{
    return strpbrk(format, "syo") != NULL;
}

/* Keep a value as long as the job. */
static int keep_value(struct lithops__job *job, lithops_value *value, lithops_error *err)
{
    pthread_mutex_lock(&job->seen_lock);
    if (!job->kept)
        job->kept = lithops_value_list();
    int rc = lithops_value_append(job->kept, value);
    pthread_mutex_unlock(&job->seen_lock);
    return rc ? lithops__fail(err, LITHOPS_ENOMEM, "out of memory") : 0;
}

int lithops_get_result(lithops_executor *fexec, lithops_futures *fs,
                       const lithops_wait_options *options, lithops_error *err, const char *format,
                       ...)
{
    if (!format)
        return lithops__fail(err, LITHOPS_EUSAGE, "the format is NULL");
    lithops_futures *futures = fs ? lithops_futures_ref(fs) : NULL;
    if (!fs) {
        int rc = lithops__executor_check(fexec, err);
        if (rc != 0)
            return rc;
        futures = lithops__futures_of_executor(fexec, LITHOPS__UNREAD_CALLS);
        if (!futures)
            return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    }
    lithops_value *value = NULL;
    int rc = wait_and_collect(fexec, futures, options, false, &value, err);
    if (rc == 0) {
        va_list args;
        va_start(args, format);
        rc = lithops_vunpack(value, err, format, args);
        va_end(args);
        if (rc != 0 && futures->count == 0)
            lithops__error_prefix(err, fs ? "the sequence holds no futures"
                                          : "no results are left to read: all of this executor "
                                            "were read already, or nothing was called");
        if (rc == 0 && stores_pointers(format) && futures->count > 0) {
            rc = keep_value(futures->segments[0].job, value, err);
            value = NULL;
        } else if (rc == 0) {
            let_go(futures);
        }
    }
    lithops_value_free(value);
    lithops_futures_unref(futures);
    return rc;
}
