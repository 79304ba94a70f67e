/* SPDX-License-Identifier: Apache-2.0 */
/* get_result: wait, and give the results as one value. */
#include "base/error.h"
#include "core/core.h"
#include "value/value.h"

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
    int rc = 0;
    for (size_t s = first; rc == 0 && s < futures->count; s++) {
        const struct lithops__segment *segment = &futures->segments[s];
        for (uint64_t i = segment->begin; rc == 0 && i < segment->end; i++) {
            rc = one_value(segment->job, i, throw_except, copies, &value, err);
            if (rc == 0 && list)
                rc = lithops_value_append(list, value);
        }
    }
    /* All are seen, those of the map too, once their reducer's result is. */
    for (size_t s = 0; rc == 0 && s < futures->count; s++)
        lithops__job_saw(futures->segments[s].job, futures->segments[s].begin,
                         futures->segments[s].end, true);
    if (rc != 0)
        lithops_value_free(list);
    else
        *ret_value = single ? value : list;
    return rc;
}

static int wait_and_collect(lithops_executor *fexec, lithops_futures *fs,
                            const lithops_wait_options *options, bool copies,
                            lithops_value **ret_value, lithops_error *err)
{
    lithops_wait_options all = LITHOPS_WAIT_OPTIONS_INIT;
    if (options)
        all = *options;
    all.return_when = LITHOPS_ALL;
    lithops_futures *futures = NULL;
    int rc = lithops__wait_checked(fexec, fs, &all, true, &futures, err);
    if (rc == 0)
        rc = collect(futures, all.throw_except, copies, ret_value, err);
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
        futures = lithops__futures_of_executor(fexec, true);
    }
    lithops_value *value = NULL;
    int rc = wait_and_collect(fexec, futures, options, false, &value, err);
    if (rc == 0) {
        va_list args;
        va_start(args, format);
        rc = lithops_vunpack(value, err, format, args);
        va_end(args);
        if (rc == 0 && stores_pointers(format) && futures->count > 0) {
            rc = keep_value(futures->segments[0].job, value, err);
            value = NULL;
        }
    }
    lithops_value_free(value);
    lithops_futures_unref(futures);
    return rc;
}
