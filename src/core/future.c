/* SPDX-License-Identifier: Apache-2.0 */
/* Single futures. Those of call_async live in the page of their job; others are made when asked
 * for. */
#include "base/error.h"
#include "core/core.h"
#include "ipc/payload.h"
#include "value/value.h"

#include <stdlib.h>
#include <string.h>

const char *lithops_state_name(lithops_state state)
{
    static const char *const names[] = {"Pending", "Running", "Success", "Error", "Canceled"};
    return (unsigned)state < sizeof names / sizeof names[0] ? names[state] : "Unknown";
}

lithops_future *lithops__future_of(struct lithops__job *job, uint64_t index)
{
    if (job->handles) {
        lithops_future *future = &job->handles[index];
        if (atomic_fetch_add(&future->refs, 1) == 0)
            lithops__job_ref(job);
        return future;
    }
    lithops_future *future = calloc(1, sizeof *future);
    if (!future)
        return NULL;
    atomic_init(&future->refs, 1);
    future->job = lithops__job_ref(job);
    future->index = index;
    return future;
}

lithops_future *lithops_future_ref(lithops_future *future)
{
    if (future)
        atomic_fetch_add(&future->refs, 1);
    return future;
}

lithops_future *lithops_future_unref(lithops_future *future)
{
    if (!future || atomic_fetch_sub(&future->refs, 1) != 1)
        return NULL;
    struct lithops__job *job = future->job;
    if (!future->embedded) { /* else the job frees the value: the future may be asked for again */
        lithops_value_free(atomic_load(&future->value));
        free(future);
    }
    lithops__job_unref(job);
    return NULL;
}

lithops_future *lithops_future_release(lithops_future *future)
{
    if (!future)
        return NULL;
    struct lithops__job *job = future->job;
    struct lithops__table *table = &job->fexec->table;
    if (!lithops__is_forked(job->fexec) &&
        lithops__state_of(lithops__job_state(job, future->index)) == LITHOPS__SUCCESS) {
        lithops_value_free(atomic_exchange(&future->value, NULL));
        pthread_mutex_lock(&table->lock);
        lithops__table_release_result(table, lithops__job_record(job, future->index));
        pthread_mutex_unlock(&table->lock);
    }
    return lithops_future_unref(future);
}

static lithops_state public_state(uint16_t state)
{
    switch (lithops__state_of(state)) {
    case LITHOPS__RUNNING:
        return lithops__state_worker(state) == LITHOPS__NO_WORKER ? LITHOPS_PENDING
                                                                  : LITHOPS_RUNNING;
    case LITHOPS__SUCCESS:
        return LITHOPS_SUCCESS;
    case LITHOPS__FAILED:
        return LITHOPS_FAILED;
    case LITHOPS__CANCELED:
        return LITHOPS_CANCELED;
    default:
        return LITHOPS_PENDING;
    }
}

lithops_state lithops_future_state(const lithops_future *future)
{
    return future ? public_state(lithops__job_state(future->job, future->index)) : LITHOPS_PENDING;
}

bool lithops_future_is_done(const lithops_future *future)
{
    if (!future)
        return false;
    bool done = lithops__state_is_done(lithops__job_state(future->job, future->index));
    if (!done && !lithops__is_forked(future->job->fexec))
        (void)lithops__wake_more_workers(&future->job->fexec->table);
    return done;
}

const char *lithops_future_key(const lithops_future *future, char *buf, size_t len)
{
    if (future)
        lithops__call_key(future->job, future->index, buf, len);
    else
        snprintf(buf, len, "(null)");
    return buf;
}

static int check(const lithops_future *future, lithops_error *err)
{
    if (!future)
        return lithops__fail(err, LITHOPS_EUSAGE, "the future is NULL: was the call started?");
    if (lithops__is_forked(future->job->fexec))
        return lithops__fail(err, LITHOPS_EFORKED,
                             "this future belongs to the process that started the call");
    return 0;
}

static int wait_until_done(lithops_future *future, int64_t timeout_ms, lithops_error *err)
{
    int rc = check(future, err);
    if (rc != 0)
        return rc;
    if (timeout_ms < 0)
        return lithops__fail(err, LITHOPS_EUSAGE, "timeout_ms is %lld: it must not be negative",
                             (long long)timeout_ms);
    rc = lithops__wait_for_call(future->job, future->index, lithops__deadline_ns(timeout_ms));
    if (rc != 0) {
        char key[64];
        return lithops__fail(err, rc, "call %s is not done after %lld ms",
                             lithops_future_key(future, key, sizeof key), (long long)timeout_ms);
    }
    return 0;
}

int lithops_future_wait(lithops_future *future, int64_t timeout_ms, lithops_error *err)
{
    int rc = wait_until_done(future, timeout_ms, err);
    if (rc == 0)
        lithops__job_saw(future->job, future->index, future->index + 1, false);
    return rc;
}

/* Wait, and fail with the call's own error if it has one. */
static int wait_for_result(lithops_future *future, int64_t timeout_ms, lithops_error *err)
{
    int rc = wait_until_done(future, timeout_ms, err);
    if (rc == 0)
        lithops__job_saw(future->job, future->index, future->index + 1, true);
    return rc ? rc : lithops__outcome_error(future->job, future->index, err);
}

int lithops_future_value(lithops_future *future, int64_t timeout_ms,
                         const lithops_value **ret_value, lithops_error *err)
{
    if (!ret_value)
        return lithops__fail(err, LITHOPS_EUSAGE, "ret_value is NULL");
    int rc = wait_for_result(future, timeout_ms, err);
    if (rc != 0)
        return rc;
    lithops_value *value = atomic_load(&future->value);
    if (!value) {
        lithops_error own = LITHOPS_ERROR_INIT;
        value = lithops__outcome_value(future->job, future->index, &own);
        if (!value) {
            if (own.code == 0)
                lithops__fail(&own, LITHOPS_ENOMEM, "out of memory");
            if (err)
                *err = own;
            return own.code;
        }
        lithops_value *first = NULL;
        if (!atomic_compare_exchange_strong(&future->value, &first, value)) {
            lithops_value_free(value);
            value = first;
        }
    }
    *ret_value = value;
    return 0;
}

int lithops_future_result(lithops_future *future, int64_t timeout_ms, lithops_error *err,
                          const char *format, ...)
{
    if (!format)
        return lithops__fail(err, LITHOPS_EUSAGE, "the format is NULL");
    const lithops_value *value = NULL;
    va_list args;
    va_start(args, format);
    int rc = 0;
    /* the most common result needs no value in between */
    if (strcmp(format, "I") == 0) {
        rc = wait_for_result(future, timeout_ms, err);
        const struct lithops__record *record =
            rc == 0 ? lithops__job_record(future->job, future->index) : NULL;
        if (rc == 0 && lithops__record_content(record) == LITHOPS__CONTENT_INT) {
            *va_arg(args, int64_t *) = (int64_t)record->payload;
            va_end(args);
            return 0;
        }
    }
    if (rc == 0)
        rc = lithops_future_value(future, timeout_ms, &value, err);
    if (rc == 0)
        rc = lithops_vunpack(value, err, format, args);
    va_end(args);
    return rc;
}

/* Bytes of a result that is done. */
static int result_bytes(const struct lithops__job *job, uint64_t index, lithops_bytes *ret_bytes,
                        lithops_error *err)
{
    if (!ret_bytes)
        return lithops__fail(err, LITHOPS_EUSAGE, "ret_bytes is NULL");
    const struct lithops__record *record = lithops__job_record(job, index);
    enum lithops__content content = lithops__record_content(record);
    if (content == LITHOPS__CONTENT_GONE ||
        (content > LITHOPS__CONTENT_INLINE && record->payload == 0))
        return lithops__fail(err, LITHOPS_ECLOSED, "the result was released before");
    if (content != LITHOPS__CONTENT_BYTES && content != LITHOPS__CONTENT_STRING)
        return lithops__fail(err, LITHOPS_ETYPE, "the result is not bytes");
    *ret_bytes = lithops__payload_bytes(&job->fexec->table.area, record->payload);
    return 0;
}

int lithops_future_bytes(lithops_future *future, int64_t timeout_ms, lithops_bytes *ret_bytes,
                         lithops_error *err)
{
    int rc = wait_for_result(future, timeout_ms, err);
    return rc ? rc : result_bytes(future->job, future->index, ret_bytes, err);
}

int lithops_future_error(const lithops_future *future, lithops_error *ret_error)
{
    return future ? lithops__outcome_error(future->job, future->index, ret_error) : 0;
}

char *lithops_future_traceback(const lithops_future *future)
{
    lithops_error error = LITHOPS_ERROR_INIT;
    if (lithops_future_error(future, &error) == 0 || error.traceback[0] == '\0')
        return NULL;
    return strdup(error.traceback);
}

char *lithops_future_logs(const lithops_future *future)
{
    if (!lithops_future_is_done(future) || lithops__is_forked(future->job->fexec))
        return NULL;
    lithops_executor *fexec = future->job->fexec;
    const struct lithops__call_extra *extra =
        lithops__table_extra(&fexec->table.area, lithops__job_range(future->job), future->index);
    struct lithops__buffer out = LITHOPS__BUFFER_INIT;
    pthread_mutex_lock(&fexec->table.lock);
    if (extra && fexec->compute && extra->log_end > extra->log_begin)
        fexec->driver->ops->logs(
            fexec->compute, lithops__state_worker(lithops__job_state(future->job, future->index)),
            extra->log_begin, extra->log_end, &out);
    pthread_mutex_unlock(&fexec->table.lock);
    return out.len ? lithops__buffer_steal(&out) : NULL;
}

/* ---- without a handle ------------------------------------------------------------------------ */

lithops_state lithops_futures_state(const lithops_futures *futures, size_t index)
{
    uint64_t call = 0;
    const struct lithops__segment *segment = lithops__futures_find(futures, index, &call);
    return segment ? public_state(lithops__job_state(segment->job, call)) : LITHOPS_PENDING;
}

static int find_result(const lithops_futures *futures, size_t index, struct lithops__job **ret_job,
                       uint64_t *ret_call, lithops_error *err)
{
    const struct lithops__segment *segment = lithops__futures_find(futures, index, ret_call);
    if (!segment)
        return lithops__fail(err, LITHOPS_ENOTFOUND, "there is no future number %zu", index);
    *ret_job = segment->job;
    if (!lithops__state_is_done(lithops__job_state(segment->job, *ret_call)))
        return lithops__fail(err, LITHOPS_ETIMEDOUT, "the call is not done yet");
    return lithops__outcome_error(segment->job, *ret_call, err);
}

int lithops_futures_int(const lithops_futures *futures, size_t index, int64_t *ret_int,
                        lithops_error *err)
{
    struct lithops__job *job = NULL;
    uint64_t call = 0;
    int rc = find_result(futures, index, &job, &call, err);
    if (rc != 0 || !job)
        return rc;
    const struct lithops__record *record = lithops__job_record(job, call);
    if (!ret_int)
        return lithops__fail(err, LITHOPS_EUSAGE, "ret_int is NULL");
    if (lithops__record_content(record) != LITHOPS__CONTENT_INT)
        return lithops__fail(err, LITHOPS_ETYPE, "the result is not an int");
    *ret_int = (int64_t)record->payload;
    return 0;
}

int lithops_futures_bytes(const lithops_futures *futures, size_t index, lithops_bytes *ret_bytes,
                          lithops_error *err)
{
    struct lithops__job *job = NULL;
    uint64_t call = 0;
    int rc = find_result(futures, index, &job, &call, err);
    return rc || !job ? rc : result_bytes(job, call, ret_bytes, err);
}

int lithops_futures_payload(const lithops_futures *futures, size_t index,
                            lithops_payload *ret_payload, lithops_error *err)
{
    struct lithops__job *job = NULL;
    uint64_t call = 0;
    int rc = find_result(futures, index, &job, &call, err);
    if (rc != 0 || !job)
        return rc;
    const struct lithops__record *record = lithops__job_record(job, call);
    return lithops__payload_read(&job->fexec->table.area, lithops__record_content(record),
                                 record->payload, ret_payload, err);
}

lithops_bytes lithops_futures_error_data(const lithops_futures *futures, size_t index)
{
    uint64_t call = 0;
    const struct lithops__segment *segment = lithops__futures_find(futures, index, &call);
    return segment ? lithops__outcome_data(segment->job, call) : (lithops_bytes){NULL, 0};
}
