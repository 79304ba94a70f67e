/* SPDX-License-Identifier: Apache-2.0 */
/* Done-callbacks: one thread per executor, started with the first callback, that waits for every
 * call of the ranges concerned and calls back without holding a lock. */
#include "core/callback.h"

#include "base/error.h"
#include "base/thread.h"
#include "core/fork.h"
#include "core/future.h"
#include "core/job.h"
#include "ipc/bell.h"
#include "ipc/layout.h"
#include "ipc/take.h"

#include <stdlib.h>
#include <string.h>

enum { AT_ONCE = 256 };

static bool is_done(const struct lithops__callback *callback)
{
    const struct lithops_future *future = callback->future;
    return lithops__state_is_done(lithops__job_state(future->job, future->index));
}

/* [L] Mark the first callbacks whose calls are done, AT_ONCE of them and perhaps some more. A call
 * may end meanwhile, and its callbacks run in the order they were set: so they are marked from the
 * last to the first, and one that is marked has those before it marked too. @return how many of the
 * list were looked at; 0: none is done */
static size_t mark_ready(struct lithops__callback *callbacks, size_t count)
{
    size_t end = 0, done = 0;
    while (end < count && done < AT_ONCE)
        done += is_done(&callbacks[end++]);
    for (size_t i = done ? end : 0; i-- > 0;)
        callbacks[i].is_ready = is_done(&callbacks[i]);
    return done ? end : 0;
}

/* [L] Take callbacks whose calls are done out of the list, many at a time: searching a long list
 * for each would be slow. Those that are not ready move up towards the rest of the list, whose
 * start moves. */
static size_t take_ready(lithops_executor *fexec, struct lithops__callback *ret_ready)
{
    struct lithops__callback *callbacks = fexec->callbacks + fexec->callbacks_start;
    size_t ready = 0, kept = 0, end = mark_ready(callbacks, fexec->callback_count);
    for (size_t i = 0; i < end; i++) {
        if (callbacks[i].is_ready && ready < AT_ONCE) {
            atomic_fetch_sub(&lithops__job_range(callbacks[i].future->job)->want_each, 1);
            ret_ready[ready++] = callbacks[i];
        } else {
            callbacks[kept++] = callbacks[i];
        }
    }
    memmove(callbacks + end - kept, callbacks, kept * sizeof *callbacks);
    fexec->callbacks_start += ready;
    fexec->callback_count -= ready;
    return ready;
}

static void *run_callbacks(void *user)
{
    lithops_executor *fexec = user;
    struct lithops__control *control = fexec->table.area.control;
    struct lithops__callback ready[AT_ONCE];
    for (;;) {
        uint32_t seen = lithops__bell_prepare(control);
        pthread_mutex_lock(&fexec->table.lock);
        size_t count = take_ready(fexec, ready);
        bool over = count == 0 && fexec->callbacks_end;
        pthread_mutex_unlock(&fexec->table.lock);
        if (over)
            return NULL;
        for (size_t i = 0; i < count; i++) {
            ready[i].done(ready[i].future, ready[i].user);
            lithops_future_unref(ready[i].future);
        }
        if (count == 0)
            lithops__bell_wait(control, seen, lithops__wake_more_workers(&fexec->table));
    }
}

/* [L] */
static int start_thread(lithops_executor *fexec, lithops_error *err)
{
    if (fexec->has_callback_thread)
        return 0;
    int rc = lithops__thread_start(&fexec->callback_thread, run_callbacks, fexec);
    if (rc != 0)
        return lithops__fail_errno(err, rc, "cannot start the callback thread");
    fexec->has_callback_thread = true;
    return 0;
}

/* [L] Room for one more at the end. Space freed at the start is reused once it exceeds the rest. */
static int make_room(lithops_executor *fexec, lithops_error *err)
{
    struct lithops__callback *callbacks = fexec->callbacks;
    size_t start = fexec->callbacks_start, count = fexec->callback_count;
    if (start + count < fexec->callback_capacity)
        return 0;
    if (start > count) {
        memmove(callbacks, callbacks + start, count * sizeof *callbacks);
        fexec->callbacks_start = 0;
        return 0;
    }
    size_t capacity = fexec->callback_capacity ? fexec->callback_capacity * 2 : 16;
    struct lithops__callback *more = realloc(callbacks, capacity * sizeof *more);
    if (!more)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    fexec->callbacks = more;
    fexec->callback_capacity = capacity;
    return 0;
}

/* [L] */
static int add_callback(lithops_executor *fexec, const struct lithops__callback *callback,
                        lithops_error *err)
{
    if (fexec->closed)
        return lithops__fail(err, LITHOPS_ECLOSED, "the executor is closed");
    int rc = make_room(fexec, err);
    if (rc == 0)
        rc = start_thread(fexec, err);
    if (rc != 0)
        return rc;
    atomic_fetch_add(&lithops__job_range(callback->future->job)->want_each, 1);
    fexec->callbacks[fexec->callbacks_start + fexec->callback_count++] = *callback;
    return 0;
}

int lithops_future_on_done(lithops_future *future, void (*done)(lithops_future *future, void *user),
                           void *user, lithops_error *err)
{
    if (!future || !done)
        return lithops__fail(err, LITHOPS_EUSAGE, "the %s is NULL", future ? "callback" : "future");
    lithops_executor *fexec = future->job->fexec;
    if (lithops__is_forked(fexec))
        return lithops__fail(err, LITHOPS_EFORKED,
                             "this future belongs to the process that started the call");
    struct lithops__callback callback = {lithops_future_ref(future), done, user, false};
    pthread_mutex_lock(&fexec->table.lock);
    int rc = add_callback(fexec, &callback, err);
    pthread_mutex_unlock(&fexec->table.lock);
    if (rc != 0)
        lithops_future_unref(future);
    else
        lithops__bell_landed(fexec->table.area.control); /* it may be done already */
    return rc;
}

void lithops__callbacks_stop(lithops_executor *fexec)
{
    pthread_mutex_lock(&fexec->table.lock);
    fexec->callbacks_end = true;
    bool has_thread = fexec->has_callback_thread;
    pthread_mutex_unlock(&fexec->table.lock);
    if (!has_thread)
        return;
    lithops__bell_landed(fexec->table.area.control);
    pthread_join(fexec->callback_thread, NULL);
}
