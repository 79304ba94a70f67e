/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting.
 *
 * Spin for about the cost of a wake-up; then sleep. A sleeper registers in its ranges what to wake
 * it for: one call (usual for a single future), the end and failures (for whole jobs), or every
 * call. Workers wake it for nothing else, so a wait for a million calls is woken once. */
#include "core/wait.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/options_read.h"
#include "core/fork.h"
#include "core/futures.h"
#include "core/job.h"
#include "core/outcome.h"
#include "core/progress.h"
#include "core/seen.h"
#include "ipc/area.h"
#include "ipc/bell.h"
#include "ipc/layout.h"
#include "ipc/service.h"
#include "ipc/take.h"

#include <stdio.h>
#include <stdlib.h>

enum { FEW_CALLS = 64, PROGRESS_MS = 100, INTERRUPT_MS = 200 };

uint64_t lithops__deadline_ns(int64_t timeout_ms)
{
    if (timeout_ms == LITHOPS_FOREVER || timeout_ms == LITHOPS_DEFAULT ||
        timeout_ms > INT64_MAX / 1000000)
        return UINT64_MAX;
    return lithops__now_ns() + (uint64_t)timeout_ms * 1000000;
}

/* ---- one call -------------------------------------------------------------------------------- */

static bool spin_for_call(const struct lithops__job *job, uint64_t index, uint64_t deadline_ns)
{
    struct lithops__area *area = &job->fexec->table.area;
    const lithops__state *state = &lithops__range_states(area, lithops__job_range(job))[index];
    uint64_t start = lithops__ticks(), limit = area->control->spin_ticks;
    if (deadline_ns <= 1)
        limit = 0;
    do {
        for (int i = 0; i < LITHOPS__SPINS_PER_LOOK; i++) {
            if (lithops__state_is_done(atomic_load_explicit(state, memory_order_acquire)))
                return true;
            lithops__pause();
        }
    } while (lithops__ticks() - start < limit);
    return false;
}

/* A call that is waited for. */
struct awaited {
    const lithops__state *state;
};

static bool is_call_done(void *what)
{
    const struct awaited *call = what;
    return lithops__state_is_done(atomic_load_explicit(call->state, memory_order_acquire));
}

int lithops__wait_for_call(struct lithops__job *job, uint64_t index, uint64_t deadline_ns)
{
    struct lithops__table *table = &job->fexec->table;
    struct awaited call = {&lithops__range_states(&table->area, lithops__job_range(job))[index]};
    if (!is_call_done(&call))
        lithops__service_wait(table, is_call_done, &call, deadline_ns);
    if (spin_for_call(job, index, deadline_ns))
        return 0;
    struct lithops__area *area = &job->fexec->table.area;
    struct lithops__range *range = lithops__job_range(job);
    uint64_t nobody = 0;
    bool single = atomic_compare_exchange_strong(&range->want_call, &nobody, index + 1);
    if (!single)
        atomic_fetch_add(&range->want_each, 1);
    atomic_fetch_add(&area->control->waiters, 1);
    int rc = LITHOPS_ETIMEDOUT;
    for (;;) {
        uint32_t seen = lithops__bell_prepare(area->control);
        if (lithops__state_is_done(lithops__job_state(job, index))) {
            rc = 0;
            break;
        }
        if (deadline_ns != UINT64_MAX && lithops__now_ns() >= deadline_ns)
            break;
        /* A wake-up clears want_call; another waiter may have registered meanwhile. */
        nobody = 0;
        if (single && !atomic_compare_exchange_strong(&range->want_call, &nobody, index + 1) &&
            nobody != index + 1) {
            single = false;
            atomic_fetch_add(&range->want_each, 1);
            continue;
        }
        uint64_t until_ns =
            lithops__earlier(deadline_ns, lithops__wake_more_workers(&job->fexec->table));
        if (!lithops__state_is_done(lithops__job_state(job, index)))
            lithops__bell_wait(area->control, seen, until_ns);
    }
    atomic_fetch_sub(&area->control->waiters, 1);
    uint64_t mine = index + 1;
    if (single)
        atomic_compare_exchange_strong(&range->want_call, &mine, 0);
    else
        atomic_fetch_sub(&range->want_each, 1);
    return rc;
}

/* ---- many calls ------------------------------------------------------------------------------ */

enum { WANT_NOTHING, WANT_END, WANT_EACH, WANT_ANY };

/* Where a wait for a sequence stands. */
struct waiter {
    const struct lithops__wait *wait;
    size_t segment; /* all calls before (segment, call) are done */
    uint64_t call;
    uint64_t before; /* how many those are */

    /* Only when it has to sleep: */
    unsigned char *wants;               /* what was asked for in each segment's range */
    struct lithops__control **controls; /* of the executors concerned */
    uint32_t *seen;
    size_t control_count;
};

/* Move over what is done. True: the target is reached. */
static bool advance(struct waiter *waiter)
{
    const lithops_futures *futures = waiter->wait->futures;
    while (waiter->segment < futures->count) {
        const struct lithops__segment *segment = &futures->segments[waiter->segment];
        const lithops__state *states = lithops__range_states(&segment->job->fexec->table.area,
                                                             lithops__job_range(segment->job));
        while (waiter->call < segment->end && lithops__state_is_done(atomic_load_explicit(
                                                  &states[waiter->call], memory_order_acquire))) {
            waiter->call++;
            waiter->before++;
        }
        if (waiter->call < segment->end)
            break;
        waiter->segment++;
        if (waiter->segment < futures->count)
            waiter->call = futures->segments[waiter->segment].begin;
    }
    return waiter->before >= waiter->wait->target;
}

static bool is_reached(struct waiter *waiter)
{
    if (advance(waiter))
        return true;
    if (waiter->wait->target >= waiter->wait->futures->size)
        return false;
    return lithops_futures_done(waiter->wait->futures) >= waiter->wait->target;
}

/* The first failed call, as an error; 0: none failed. */
static int find_failure(const lithops_futures *futures, lithops_error *err)
{
    for (size_t s = 0; s < futures->count; s++) {
        const struct lithops__segment *segment = &futures->segments[s];
        if (atomic_load(&lithops__job_range(segment->job)->failed) == 0)
            continue;
        for (uint64_t i = segment->begin; i < segment->end; i++) {
            unsigned state = lithops__state_of(lithops__job_state(segment->job, i));
            if (state == LITHOPS__FAILED || state == LITHOPS__CANCELED)
                return lithops__outcome_error(segment->job, i, err);
        }
    }
    return 0;
}

static void add_control(struct waiter *waiter, struct lithops__control *control)
{
    for (size_t i = 0; i < waiter->control_count; i++)
        if (waiter->controls[i] == control)
            return;
    waiter->controls[waiter->control_count++] = control;
    atomic_fetch_add(&control->waiters, 1);
}

static void remove_wants(struct waiter *waiter)
{
    const lithops_futures *futures = waiter->wait->futures;
    for (size_t s = 0; waiter->wants && s < futures->count; s++) {
        struct lithops__range *range = lithops__job_range(futures->segments[s].job);
        if (waiter->wants[s] == WANT_END)
            atomic_fetch_sub(&range->want_end, 1);
        else if (waiter->wants[s] != WANT_NOTHING)
            atomic_fetch_sub(&range->want_each, 1);
        if (waiter->wants[s] == WANT_ANY)
            atomic_fetch_sub(&range->want_any, 1);
    }
    for (size_t i = 0; i < waiter->control_count; i++)
        atomic_fetch_sub(&waiter->controls[i]->waiters, 1);
    free(waiter->wants);
    free(waiter->controls);
    free(waiter->seen);
}

/* Register in all ranges what is worth a wake-up. Segments that are done need none. */
static int add_wants(struct waiter *waiter, lithops_error *err)
{
    const lithops_futures *futures = waiter->wait->futures;
    bool all = waiter->wait->target >= futures->size;
    waiter->wants = calloc(futures->count, 1);
    waiter->controls = calloc(futures->count, sizeof(struct lithops__control *));
    waiter->seen = calloc(futures->count, sizeof *waiter->seen);
    if (!waiter->wants || !waiter->controls || !waiter->seen)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    for (size_t s = waiter->segment; s < futures->count; s++) {
        const struct lithops__segment *segment = &futures->segments[s];
        struct lithops__range *range = lithops__job_range(segment->job);
        bool fixed = !segment->job->is_page || atomic_load(&segment->job->is_closed);
        bool whole = fixed && segment->begin == 0 && segment->end == atomic_load(&range->count);
        bool same = s > waiter->segment && segment->job == segment[-1].job;
        add_control(waiter, segment->job->fexec->table.area.control);
        if (same)
            continue; /* an earlier piece of the job asked for every call */
        waiter->wants[s] = !all ? WANT_ANY : whole ? WANT_END : WANT_EACH;
        atomic_fetch_add(waiter->wants[s] == WANT_END ? &range->want_end : &range->want_each, 1);
        if (!all)
            atomic_fetch_add(&range->want_any, 1);
    }
    return 0;
}

/* 1: the wait is over; 0: continue; negative: a call failed, or the wait timed out. */
static int look(struct waiter *waiter, lithops_error *err)
{
    const struct lithops__wait *wait = waiter->wait;
    bool reached = is_reached(waiter);
    if (wait->throw_except) {
        int rc = find_failure(wait->futures, err);
        if (rc != 0)
            return rc;
    }
    if (reached)
        return 1;
    if (wait->deadline_ns != UINT64_MAX && lithops__now_ns() >= wait->deadline_ns)
        return lithops__fail(err, LITHOPS_ETIMEDOUT, "%llu of %llu calls are done",
                             (unsigned long long)lithops_futures_done(wait->futures),
                             (unsigned long long)wait->futures->size);
    return 0;
}

static int sleep_until_over(struct waiter *waiter, struct lithops__progress *progress,
                            lithops_error *err)
{
    const struct lithops__wait *wait = waiter->wait;
    int rc = add_wants(waiter, err);
    while (rc == 0) {
        for (size_t i = 0; i < waiter->control_count; i++)
            waiter->seen[i] = lithops__bell_prepare(waiter->controls[i]);
        if ((rc = look(waiter, err)) != 0)
            break;
        uint64_t until_ns = wait->deadline_ns;
        const struct lithops__segment *segments = wait->futures->segments;
        for (size_t s = 0; s < wait->futures->count; s++)
            if (s == 0 || segments[s].job->fexec != segments[s - 1].job->fexec)
                until_ns = lithops__earlier(
                    until_ns, lithops__wake_more_workers(&segments[s].job->fexec->table));
        if (progress) {
            uint32_t processes, workers = lithops_futures_workers(wait->futures, &processes);
            lithops__progress_workers(progress, workers, processes);
            lithops__progress_update(progress, lithops_futures_done(wait->futures));
            until_ns = lithops__earlier(until_ns, lithops__now_ns() + PROGRESS_MS * 1000000ull);
        }
        if (wait->interrupted) {
            if (wait->interrupted(wait->user)) {
                rc = lithops__fail(err, LITHOPS_ECANCELED, "the wait was interrupted");
                break;
            }
            until_ns = lithops__earlier(until_ns, lithops__now_ns() + INTERRUPT_MS * 1000000ull);
        }
        if ((rc = look(waiter, err)) == 0)
            lithops__bell_wait_many(waiter->controls, waiter->seen, waiter->control_count,
                                    until_ns);
    }
    remove_wants(waiter);
    return rc;
}

/* A wait, and what came of looking. */
struct looking {
    struct waiter *waiter;
    lithops_error *err;
    int rc;
};

static bool is_over(void *what)
{
    struct looking *looking = what;
    looking->rc = look(looking->waiter, looking->err);
    return looking->rc != 0;
}

/* Carry the messages of a few calls that are all of one executor. As look(). */
static int serve(struct waiter *waiter, lithops_error *err)
{
    const lithops_futures *futures = waiter->wait->futures;
    struct lithops__table *table = &futures->segments[0].job->fexec->table;
    struct looking looking = {waiter, err, 0};
    if (!table->has_service || waiter->wait->target - waiter->before > FEW_CALLS)
        return 0;
    for (size_t s = 1; s < futures->count; s++)
        if (&futures->segments[s].job->fexec->table != table)
            return 0;
    lithops__service_wait(table, is_over, &looking, waiter->wait->deadline_ns);
    return looking.rc;
}

int lithops__wait(const struct lithops__wait *wait, lithops_error *err)
{
    const lithops_futures *futures = wait->futures;
    struct waiter waiter = {.wait = wait};
    if (futures->count == 0)
        return 0;
    waiter.call = futures->segments[0].begin;
    uint64_t spin = futures->segments[0].job->fexec->table.area.control->spin_ticks;
    uint64_t start = lithops__ticks();
    int rc;
    while ((rc = look(&waiter, err)) == 0 && lithops__ticks() - start < spin)
        lithops__pause();
    if (rc == 0)
        rc = serve(&waiter, err);
    if (rc == 0) {
        struct lithops__progress *progress =
            wait->progress ? lithops__progress_new(stderr, futures->size) : NULL;
        rc = sleep_until_over(&waiter, progress, err);
        lithops__progress_free(progress, lithops_futures_done(futures));
    }
    return rc == 1 ? 0 : rc;
}

/* ---- the public calls ------------------------------------------------------------------------ */

int lithops__wait_options_read(lithops_wait_options *own, const lithops_wait_options *options,
                               lithops_error *err)
{
    *own = (lithops_wait_options)LITHOPS_WAIT_OPTIONS_INIT;
    static const char init[] = "LITHOPS_WAIT_OPTIONS_INIT";
    int rc = lithops__options_read(own, sizeof *own, options, init, err);
    return rc ? rc : lithops__options_begun(own->threadpool_size, own->wait_dur_ms, init, err);
}

static int check_options(const lithops_wait_options *options, lithops_error *err)
{
    if (options->return_when < LITHOPS_ALWAYS || options->return_when > LITHOPS_ALL)
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "return_when is %d: LITHOPS_ANY, LITHOPS_ALL, LITHOPS_ALWAYS or a "
                             "percentage is needed",
                             options->return_when);
    if (options->timeout_ms != LITHOPS_DEFAULT && options->timeout_ms <= 0)
        return lithops__fail(err, LITHOPS_EUSAGE, "timeout_ms is %lld: it must be more than 0",
                             (long long)options->timeout_ms);
    if (options->threadpool_size <= 0)
        return lithops__fail(err, LITHOPS_EUSAGE, "threadpool_size is %d: it must be more than 0",
                             options->threadpool_size);
    if (options->wait_dur_ms != LITHOPS_DEFAULT && options->wait_dur_ms <= 0)
        return lithops__fail(err, LITHOPS_EUSAGE, "wait_dur_ms is %lld: it must be more than 0",
                             (long long)options->wait_dur_ms);
    return 0;
}

static uint64_t target_of(int return_when, uint64_t size)
{
    if (return_when == LITHOPS_ALWAYS)
        return 0;
    if (return_when == LITHOPS_ANY)
        return size ? 1 : 0;
    return size / 100 * (uint64_t)return_when + (size % 100 * (uint64_t)return_when + 99) / 100;
}

int lithops__wait_checked(lithops_executor *fexec, lithops_futures *fs,
                          const lithops_wait_options *options, enum lithops__which which,
                          lithops_futures **ret_futures, lithops_error *err)
{
    int rc = check_options(options, err);
    if (rc != 0)
        return rc;
    if (!fs && (rc = lithops__executor_check(fexec, err)) != 0)
        return rc;
    lithops_futures *futures =
        fs ? lithops_futures_ref(fs) : lithops__futures_of_executor(fexec, which);
    if (!futures)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    if (futures->count && lithops__is_forked(futures->segments[0].job->fexec)) {
        lithops_futures_unref(futures);
        return lithops__fail(err, LITHOPS_EFORKED,
                             "these futures belong to the process that started the calls");
    }
    struct lithops__wait wait = {.futures = futures,
                                 .target = target_of(options->return_when, futures->size),
                                 .throw_except = options->throw_except,
                                 .deadline_ns = lithops__deadline_ns(options->timeout_ms),
                                 .progress = options->show_progressbar,
                                 .interrupted = options->interrupted,
                                 .user = options->user};
    rc = lithops__wait(&wait, err);
    for (size_t s = 0; rc == 0 && s < futures->count; s++)
        if (wait.target >= futures->size)
            lithops__job_saw(futures->segments[s].job, futures->segments[s].begin,
                             futures->segments[s].end, false);
    *ret_futures = futures;
    return rc;
}

/* Which calls are done, a bit each: both lists are made from one look, so that a call which ends
 * meanwhile is in one of them. */
static uint64_t *look_at_all(const lithops_futures *futures)
{
    uint64_t *done = calloc(futures->size / 64 + 1, sizeof *done), at = 0;
    for (size_t s = 0; done && s < futures->count; s++) {
        const struct lithops__segment *segment = &futures->segments[s];
        for (uint64_t i = segment->begin; i < segment->end; i++, at++)
            if (lithops__state_is_done(lithops__job_state(segment->job, i)))
                done[at / 64] |= 1ull << at % 64;
    }
    return done;
}

/* Those calls whose bit is `bit`, in runs. */
static lithops_futures *select_calls(const lithops_futures *futures, const uint64_t *bits, bool bit)
{
    size_t runs = 0;
    lithops_futures *selected = NULL;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && !(selected = lithops__futures_alloc(runs)))
            return NULL;
        uint64_t at = 0;
        for (size_t s = 0; s < futures->count; s++) {
            const struct lithops__segment *segment = &futures->segments[s];
            for (uint64_t i = segment->begin; i < segment->end;) {
                uint64_t begin = i;
                while (i < segment->end && (bits[at / 64] >> at % 64 & 1) == bit)
                    i++, at++;
                runs += i > begin;
                if (i > begin && pass == 1)
                    lithops__futures_add(selected, segment->job, begin, i);
                if (i == begin)
                    i++, at++;
            }
        }
    }
    return selected;
}

static void mark_done(const lithops_futures *done)
{
    for (size_t s = 0; s < done->count; s++)
        lithops__job_saw(done->segments[s].job, done->segments[s].begin, done->segments[s].end,
                         false);
}

int lithops_wait(lithops_executor *fexec, lithops_futures *fs, const lithops_wait_options *options,
                 lithops_futures **ret_done, lithops_futures **ret_not_done, lithops_error *err)
{
    lithops_futures *futures = NULL;
    lithops_wait_options own;
    int rc = lithops__wait_options_read(&own, options, err);
    if (rc == 0)
        rc = lithops__wait_checked(fexec, fs, &own, LITHOPS__LIVE_CALLS, &futures, err);
    if (!futures)
        return rc;
    /* After a time-out or a failure too: the lists show how far the calls are. */
    bool all_done = rc == 0 && own.return_when == LITHOPS_ALL;
    uint64_t *done = (ret_done || ret_not_done) && !all_done ? look_at_all(futures) : NULL;
    if (ret_done)
        *ret_done = all_done ? lithops_futures_ref(futures)
                    : done   ? select_calls(futures, done, true)
                             : NULL;
    if (ret_not_done)
        *ret_not_done = all_done ? lithops__futures_alloc(0)
                        : done   ? select_calls(futures, done, false)
                                 : NULL;
    if (ret_done && *ret_done && !all_done)
        mark_done(*ret_done);
    if ((ret_done && !*ret_done) || (ret_not_done && !*ret_not_done))
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    free(done);
    lithops_futures_unref(futures);
    return rc;
}
