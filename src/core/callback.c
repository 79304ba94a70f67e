/* SPDX-License-Identifier: Apache-2.0 */
/* Done-callbacks: one thread per executor, started with the first callback, that waits for every
 * call of the ranges concerned and calls back without holding a lock. */
#include "base/error.h"
#include "core/core.h"
#include "ipc/bell.h"

#include <signal.h>
#include <stdlib.h>

enum { AT_ONCE = 256 };

/* [L] Take callbacks whose calls are done out of the list, many at a time: looking through it for
 * each would be slow for long lists. */
static size_t take_ready(lithops_executor *fexec, struct lithops__callback *ret_ready)
{
    size_t ready = 0;
    for (size_t i = 0; i < fexec->callback_count && ready < AT_ONCE;) {
        struct lithops__callback *callback = &fexec->callbacks[i];
        const struct lithops_future *future = callback->future;
        if (!lithops__state_is_done(lithops__job_state(future->job, future->index))) {
            i++;
            continue;
        }
        atomic_fetch_sub(&lithops__job_range(future->job)->want_each, 1);
        ret_ready[ready++] = *callback;
        *callback = fexec->callbacks[--fexec->callback_count];
    }
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
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&fexec->callback_thread, NULL, run_callbacks, fexec);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc != 0)
        return lithops__fail_errno(err, rc, "cannot start the callback thread");
    fexec->has_callback_thread = true;
    return 0;
}

/* [L] */
static int add_callback(lithops_executor *fexec, const struct lithops__callback *callback,
                        lithops_error *err)
{
    if (fexec->closed)
        return lithops__fail(err, LITHOPS_ECLOSED, "the executor is closed");
    if (fexec->callback_count == fexec->callback_capacity) {
        size_t capacity = fexec->callback_capacity ? fexec->callback_capacity * 2 : 16;
        struct lithops__callback *more = realloc(fexec->callbacks, capacity * sizeof *more);
        if (!more)
            return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
        fexec->callbacks = more;
        fexec->callback_capacity = capacity;
    }
    int rc = start_thread(fexec, err);
    if (rc != 0)
        return rc;
    atomic_fetch_add(&lithops__job_range(callback->future->job)->want_each, 1);
    fexec->callbacks[fexec->callback_count++] = *callback;
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
    struct lithops__callback callback = {lithops_future_ref(future), done, user};
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
