/* SPDX-License-Identifier: Apache-2.0 */
/* Single futures. Those of call_async live in the page of their job; others are made when asked
 * for. */
#include "core/future.h"

#include "base/buffer.h"
#include "base/error.h"
#include "core/fork.h"
#include "core/job.h"
#include "core/outcome.h"
#include "core/seen.h"
#include "core/wait.h"
#include "ipc/layout.h"
#include "ipc/slotlog.h"
#include "ipc/table.h"
#include "ipc/take.h"

#include <stdlib.h>
#include <string.h>

const char *lithops_state_name(lithops_state state)
{
    static const char *const names[] = {"Pending", "Running", "Success", "Error", "Canceled"};
    return (unsigned)state < sizeof names / sizeof names[0] ? names[state] : "Unknown";
}

lithops_future *lithops_future_ref(lithops_future *future)
{
    if (future)
        atomic_fetch_add(&future->refs, 1);
    return future;
}

lithops_future *lithops_future_unref(lithops_future *future)
{
    if (future && future->embedded)
        lithops__handle_unref(future);
    else if (future && atomic_fetch_sub(&future->refs, 1) == 1) {
        struct lithops__job *job = future->job;
        lithops_value_free(atomic_load(&future->value));
        free(future);
        lithops__job_unref(job);
    }
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
        lithops__job_release(job, future->index);
        pthread_mutex_unlock(&table->lock);
    }
    return lithops_future_unref(future);
}

lithops_state lithops_future_state(const lithops_future *future)
{
    return future ? lithops__outcome_state(future->job, future->index) : LITHOPS_PENDING;
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

bool lithops_future_is_reducer(const lithops_future *future)
{
    return future && future->job->kind == 'R';
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

int lithops_future_bytes(lithops_future *future, int64_t timeout_ms, lithops_bytes *ret_bytes,
                         lithops_error *err)
{
    int rc = wait_for_result(future, timeout_ms, err);
    return rc ? rc : lithops__outcome_bytes(future->job, future->index, ret_bytes, err);
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

/* A NUL byte would end the text. */
static void show_nuls(struct lithops__buffer *text)
{
    struct lithops__buffer shown = LITHOPS__BUFFER_INIT;
    for (size_t i = 0; i < text->len; i++) {
        bool is_nul = text->data[i] == '\0';
        lithops__buffer_append(&shown, is_nul ? "\xEF\xBF\xBD" : (char *)&text->data[i],
                               is_nul ? 3 : 1);
    }
    lithops__buffer_deinit(text);
    *text = shown;
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
    if (extra)
        lithops__slotlog_append(
            &fexec->table, lithops__state_worker(lithops__job_state(future->job, future->index)),
            extra->log_begin, extra->log_end, &out);
    pthread_mutex_unlock(&fexec->table.lock);
    if (out.len && memchr(out.data, '\0', out.len))
        show_nuls(&out);
    return out.len ? lithops__buffer_steal(&out) : NULL;
}
