/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs: their life in the executor's lists.
 *
 * The last reference besides the executor's is dropped under the lock, so whoever finds a job in
 * the list can take one. A job without references goes to `doomed` and is freed after the lock is
 * released, as freeing takes it again. */
#include "core/job.h"

#include "core/charge.h"
#include "core/draft.h"
#include "core/executor.h"
#include "core/executor_ref.h"
#include "core/fork.h"
#include "core/future.h"
#include "core/seen.h"
#include "ipc/area.h"
#include "ipc/layout.h"
#include "ipc/release.h"
#include "ipc/table.h"
#include "value/value.h"

#include <stdlib.h>
#include <string.h>

enum {
    PAST_CALLS = 1 << 17,     /* so many calls of past jobs are remembered ... */
    JOB_AS_CALLS = 8,         /* ... where a job counts as some itself: it takes 1 KB */
    LAST_JOB_CALLS = 1 << 20, /* or the last job alone, if it has no more than this */
    SMALL_ERROR = 4096,       /* of a single call: it is kept as long as its page */
    SWEEP_AT_MOST = 16,       /* abandoned jobs that are looked at whenever one is started */
    LOOK_AT_MOST = 1000,      /* abandoned jobs at a time, before others get the lock */
    FIRST_LOOK_NS = 100000000,
    LAST_LOOK_NS = 1000000000, /* from one look to the next, where calls take long */
};

struct lithops__job *lithops__job_new(lithops_executor *fexec, char kind, const char *function)
{
    struct lithops__job *job = calloc(1, sizeof *job);
    if (!job || !(job->function = strdup(function))) {
        free(job);
        return NULL;
    }
    atomic_init(&job->refs, 1);
    pthread_mutex_init(&job->seen_lock, NULL);
    job->fexec = lithops__executor_ref(fexec);
    job->range = UINT32_MAX;
    job->kind = kind;
    return job;
}

struct lithops__job *lithops__job_ref(struct lithops__job *job)
{
    atomic_fetch_add_explicit(&job->refs, 1, memory_order_relaxed);
    return job;
}

/* ---- lists ----------------------------------------------------------------------------------- */

static struct lithops__job_links *links_of(struct lithops__job *job, bool of_stage)
{
    return of_stage ? &job->stage_links : &job->links;
}

static void append(struct lithops__job_list *list, struct lithops__job *job, bool of_stage)
{
    *links_of(job, of_stage) = (struct lithops__job_links){NULL, list->last};
    if (list->last)
        links_of(list->last, of_stage)->next = job;
    else
        list->first = job;
    list->last = job;
}

static void take_out(struct lithops__job_list *list, struct lithops__job *job, bool of_stage)
{
    struct lithops__job_links links = *links_of(job, of_stage);
    if (links.next)
        links_of(links.next, of_stage)->previous = links.previous;
    else
        list->last = links.previous;
    if (links.previous)
        links_of(links.previous, of_stage)->next = links.next;
    else
        list->first = links.next;
}

static uint64_t past_weight(const struct lithops__job *job)
{
    return lithops__job_count(job) + JOB_AS_CALLS;
}

static void leave_stage(struct lithops__job *job)
{
    lithops_executor *fexec = job->fexec;
    if (job->is_dropping)
        take_out(&fexec->dropping, job, true);
    job->is_dropping = false;
    if (job->stage == LITHOPS__JOB_ABANDONED)
        take_out(&fexec->abandoned, job, true);
    if (job->stage == LITHOPS__JOB_PAST) {
        take_out(&fexec->past, job, true);
        fexec->past_calls -= past_weight(job);
    }
    job->stage = LITHOPS__JOB_NAMED;
}

void lithops__job_forget(struct lithops__job *job)
{
    bool was_listed = job->is_listed, was_held = job->is_held;
    if (was_listed)
        lithops__charge_forget(job);
    job->is_forgotten = true;
    job->is_listed = job->is_held = false;
    if (was_listed) {
        leave_stage(job);
        take_out(&job->fexec->jobs, job, false);
    }
    if (was_held)
        lithops__job_unref_locked(job);
    if (was_listed)
        lithops__job_unref_locked(job);
}

/* ---- results --------------------------------------------------------------------------------- */

bool lithops__job_is_finished(const struct lithops__job *job)
{
    const struct lithops__range *range = lithops__job_range(job);
    uint64_t count = lithops__job_count(job);
    if (atomic_load(&range->done_hint) >= count) /* never more than there are */
        return true;
    for (uint64_t i = 0; i < count; i++)
        if (!lithops__state_is_done(lithops__job_state(job, i)))
            return false;
    return true;
}

/* lithops_clean() deletes the cloudobjects named in freed results. */
static void note_stored(struct lithops__job *job, const struct lithops__record *record)
{
    static const char mark[] = "$cloudobject";
    if (lithops__record_content(record) != LITHOPS__CONTENT_PACKED || record->payload == 0)
        return;
    lithops_bytes bytes = lithops__payload_bytes(&job->fexec->table.area, record->payload);
    if (!memmem(bytes.ptr, bytes.len, mark, sizeof mark - 1))
        return;
    if (!job->fexec->stored)
        job->fexec->stored = lithops_value_list();
    (void)lithops_value_append(job->fexec->stored, lithops_value_from_packed(bytes, NULL));
}

/* Of a map: its reducers are not all done. */
static bool feeds_reducers(const struct lithops__job *job)
{
    const struct lithops__area *area = &job->fexec->table.area;
    const struct lithops__range *maps = lithops__job_range(job);
    if (!job->feeds_reducer || maps->dependents == 0)
        return false;
    const struct lithops__range *reducers = &area->ranges[maps->dependents - 1];
    const lithops__state *states = lithops__range_states(area, reducers);
    uint64_t count = atomic_load(&reducers->count);
    if (atomic_load(&reducers->generation) != maps->dependents_generation ||
        atomic_load(&reducers->done_hint) >= count)
        return false; /* they are gone, or done */
    for (uint64_t i = 0; i < count; i++)
        if (!lithops__state_is_done(lithops__state_of(atomic_load(&states[i]))))
            return true;
    return false;
}

void lithops__job_release(struct lithops__job *job, uint64_t index)
{
    if (lithops__state_of(lithops__job_state(job, index)) != LITHOPS__SUCCESS ||
        feeds_reducers(job)) /* then it goes with the job, which they name */
        return;
    if (job->readers > 0) {
        if (!job->release_later)
            job->release_later = calloc(lithops__job_count(job) / 64 + 1, sizeof(uint64_t));
        if (job->release_later)
            job->release_later[index / 64] |= 1ull << index % 64;
        return;
    }
    note_stored(job, lithops__job_record(job, index));
    lithops__release_call(&job->fexec->table, lithops__job_range(job), index);
}

/* Nobody can ask for the outcome of this call any more: the same for what it says of a failure. */
static void release_dropped(struct lithops__job *job, uint64_t index)
{
    struct lithops__table *table = &job->fexec->table;
    lithops__job_release(job, index);
    if (lithops__state_of(lithops__job_state(job, index)) != LITHOPS__FAILED || job->readers > 0)
        return;
    const struct lithops__record *record = lithops__job_record(job, index);
    if (record->payload && lithops__payload_bytes(&table->area, record->payload).len > SMALL_ERROR)
        lithops__release_call(table, lithops__job_range(job), index);
}

void lithops__job_was_read(struct lithops__job *job)
{
    uint64_t *later = job->release_later;
    if (--job->readers > 0 || !later)
        return;
    job->release_later = NULL;
    uint64_t count = lithops__job_count(job);
    for (uint64_t i = 0; i < count; i++)
        if (later[i / 64] >> i % 64 & 1)
            lithops__job_release(job, i);
    free(later);
}

/* ---- the end of a job ------------------------------------------------------------------------ */

static void doom(struct lithops__job *job)
{
    job->links.next = job->fexec->doomed;
    job->fexec->doomed = job;
}

static void forget_oldest(lithops_executor *fexec)
{
    struct lithops__job *oldest;
    while ((oldest = fexec->past.first) != NULL && fexec->past_calls > PAST_CALLS &&
           (oldest != fexec->past.last || lithops__job_count(oldest) > LAST_JOB_CALLS)) {
        oldest->saves_output = atomic_load(&lithops__job_range(oldest)->wrote);
        lithops__job_forget(oldest);
    }
}

static void free_values(struct lithops__job *job)
{
    uint64_t count = job->handles && job->range != UINT32_MAX ? lithops__job_count(job) : 0;
    for (uint64_t i = 0; i < count; i++)
        lithops_value_free(atomic_load(&job->handles[i].value));
    free(job->handles);
    job->handles = NULL;
    lithops_value_free(job->kept);
    job->kept = NULL;
}

/* It is done, and nobody can ask for its results. */
static void become_past(struct lithops__job *job)
{
    lithops_executor *fexec = job->fexec;
    lithops__job_count_unseen(job);
    leave_stage(job);
    if (!fexec->compute || job->is_forgotten) { /* closed: its output is kept */
        lithops__job_forget(job);
        return;
    }
    uint64_t count =
        atomic_load(&lithops__job_range(job)->has_blocks) ? lithops__job_count(job) : 0;
    for (uint64_t i = 0; i < count; i++)
        if (lithops__state_of(lithops__job_state(job, i)) == LITHOPS__SUCCESS)
            note_stored(job, lithops__job_record(job, i));
    lithops__release_outcomes(&fexec->table, lithops__job_range(job));
    free_values(job);
    job->stage = LITHOPS__JOB_PAST;
    append(&fexec->past, job, true);
    fexec->past_calls += past_weight(job);
    struct lithops__job *maps = job->maps;
    job->maps = NULL;
    if (maps)
        lithops__job_unref_locked(maps);
    forget_oldest(fexec);
}

/* Look after what was not done when its last name went. */
static void look_soon(lithops_executor *fexec)
{
    fexec->look_delay_ns = FIRST_LOOK_NS;
    lithops__table_look_later(&fexec->table, FIRST_LOOK_NS);
}

/* The executor's reference is the last one. */
static void lose_name(struct lithops__job *job)
{
    if (job->stage == LITHOPS__JOB_PAST)
        return; /* somebody had looked at it */
    if (lithops__job_is_finished(job)) {
        become_past(job);
        return;
    }
    if (job->stage == LITHOPS__JOB_ABANDONED)
        return;
    atomic_store(&lithops__job_range(job)->unwanted, 1);
    if (atomic_load(&lithops__job_range(job)->has_blocks))
        for (uint64_t i = 0; i < lithops__job_count(job); i++)
            lithops__job_release(job, i);
    leave_stage(job);
    job->stage = LITHOPS__JOB_ABANDONED;
    append(&job->fexec->abandoned, job, true);
    look_soon(job->fexec);
}

/* Abandoned jobs that are done meanwhile become past; of these at most so many are looked at. One
 * that somebody waits for, or has in a sequence, keeps its handles: see lose_name(). */
static void sweep(lithops_executor *fexec, unsigned most)
{
    for (unsigned i = 0; i < most && fexec->abandoned.first; i++) {
        struct lithops__job *job = fexec->abandoned.first;
        if (atomic_load(&job->refs) == 1 && lithops__job_is_finished(job)) {
            become_past(job);
        } else { /* the others first, next time */
            take_out(&fexec->abandoned, job, true);
            append(&fexec->abandoned, job, true);
        }
    }
}

void lithops__job_keep(struct lithops__job *job)
{
    sweep(job->fexec, SWEEP_AT_MOST);
    append(&job->fexec->jobs, lithops__job_ref(job), false);
    job->is_listed = true;
}

/* Results of single calls that a worker had begun to write when their handles went. */
static void sweep_page(struct lithops__job *job)
{
    uint64_t count = lithops__job_count(job);
    bool is_left = false;
    for (uint64_t i = 0; i < count; i++) {
        if (atomic_load(&job->handles[i].refs) > 0)
            continue;
        if (lithops__state_is_done(lithops__job_state(job, i)))
            release_dropped(job, i);
        else
            is_left = true;
    }
    if (!is_left)
        leave_stage(job);
}

void lithops__jobs_look(void *user)
{
    lithops_executor *fexec = user;
    pthread_mutex_lock(&fexec->table.lock);
    struct lithops__job *next;
    for (struct lithops__job *job = fexec->dropping.first; job; job = next) {
        next = job->stage_links.next;
        sweep_page(job);
    }
    sweep(fexec, LOOK_AT_MOST);
    if (fexec->dropping.first || fexec->abandoned.first) {
        lithops__table_look_later(&fexec->table, fexec->look_delay_ns);
        fexec->look_delay_ns *= 2;
        if (fexec->look_delay_ns > LAST_LOOK_NS)
            fexec->look_delay_ns = LAST_LOOK_NS;
    }
    lithops__unlock(fexec);
}

static void free_job(struct lithops__job *job)
{
    lithops_executor *fexec = job->fexec;
    lithops__job_count_unseen(job);
    free_values(job);
    pthread_mutex_lock(&fexec->table.lock);
    if (job->range != UINT32_MAX)
        lithops__table_free_range(&fexec->table, job->range);
    pthread_mutex_unlock(&fexec->table.lock);
    struct lithops__job *maps = job->maps;
    pthread_mutex_destroy(&job->seen_lock);
    lithops__marks_deinit(&job->marks);
    free(job->function);
    lithops__draft_free(job->draft);
    free(job->chunk_counts);
    free(job->submit_times);
    free(job->data_sizes);
    free(job->seen_each);
    free(job->release_later);
    free(job);
    if (maps)
        lithops__job_unref(maps);
    lithops__executor_unref(fexec);
}

void lithops__unlock(lithops_executor *fexec)
{
    struct lithops__job *job = fexec->doomed, *next;
    fexec->doomed = NULL;
    pthread_mutex_unlock(&fexec->table.lock);
    for (; job; job = next) {
        next = job->links.next;
        if (job->saves_output) {
            atomic_store(&job->refs, 1); /* it makes futures of its own */
            fexec->save_output(fexec, job);
        }
        free_job(job);
    }
}

void lithops__job_unref_locked(struct lithops__job *job)
{
    uint32_t left = atomic_fetch_sub_explicit(&job->refs, 1, memory_order_acq_rel) - 1;
    if (left == 0)
        doom(job);
    else if (left == 1 && job->is_listed)
        lose_name(job);
}

void lithops__job_unref(struct lithops__job *job)
{
    uint32_t refs = job ? atomic_load_explicit(&job->refs, memory_order_relaxed) : 0;
    while (refs > 2)
        if (atomic_compare_exchange_weak_explicit(&job->refs, &refs, refs - 1, memory_order_acq_rel,
                                                  memory_order_relaxed))
            return;
    if (!job || lithops__is_forked(job->fexec))
        return; /* a child's copy: the shared memory is the parent's */
    lithops_executor *fexec = lithops__executor_ref(job->fexec);
    pthread_mutex_lock(&fexec->table.lock);
    lithops__job_unref_locked(job);
    lithops__unlock(fexec);
    lithops__executor_unref(fexec);
}

/* ---- calls of a page ------------------------------------------------------------------------- */

static _Atomic uint32_t *number_at(const struct lithops__job *job, uint64_t index)
{
    const struct lithops__area *area = &job->fexec->table.area;
    return (_Atomic uint32_t *)lithops__at(area, lithops__job_range(job)->numbers) + index;
}

void lithops__handle_ref(lithops_future *handle)
{
    if (atomic_fetch_add(&handle->refs, 1) == 0)
        lithops__job_ref(handle->job);
}

/* The result is not kept when it comes, or, where a worker is writing it already, not for long. */
static void drop_later(struct lithops__job *job, uint64_t index)
{
    atomic_fetch_or(number_at(job, index), LITHOPS__NUMBER_UNWANTED);
    if (job->stage != LITHOPS__JOB_NAMED || !job->is_listed)
        return;
    if (!job->is_dropping)
        append(&job->fexec->dropping, job, true);
    job->is_dropping = true;
    look_soon(job->fexec);
}

/* The handle is gone: free its result now, or do not keep it when it comes. */
static void drop_result(lithops_future *handle)
{
    struct lithops__job *job = handle->job;
    struct lithops__table *table = &job->fexec->table;
    uint64_t index = handle->index;
    bool done = lithops__state_is_done(lithops__job_state(job, index));
    if (done && !atomic_load(&handle->value)) {
        /* Without the lock: its holder may be releasing this very result. */
        struct lithops__record record = {
            .start_and_content = __atomic_load_n(
                &lithops__job_record(job, index)->start_and_content, __ATOMIC_RELAXED)};
        if (lithops__record_content(&record) <= LITHOPS__CONTENT_INLINE)
            return;
    }
    pthread_mutex_lock(&table->lock);
    if (atomic_load(&handle->refs) == 0) { /* else it was found in the executor's list meanwhile */
        lithops_value_free(atomic_exchange(&handle->value, NULL));
        if (done)
            release_dropped(job, index);
        else
            drop_later(job, index);
    }
    pthread_mutex_unlock(&table->lock);
}

void lithops__handle_unref(lithops_future *handle)
{
    struct lithops__job *job = handle->job;
    if (atomic_fetch_sub(&handle->refs, 1) != 1)
        return;
    if (!lithops__is_forked(job->fexec))
        drop_result(handle);
    lithops__job_unref(job);
}

lithops_future *lithops__future_of(struct lithops__job *job, uint64_t index)
{
    if (job->handles) {
        lithops__handle_ref(&job->handles[index]);
        return &job->handles[index];
    }
    lithops_future *future = calloc(1, sizeof *future);
    if (!future)
        return NULL;
    atomic_init(&future->refs, 1);
    future->job = lithops__job_ref(job);
    future->index = index;
    return future;
}

uint32_t lithops__job_number(const struct lithops__job *job, uint64_t index)
{
    const struct lithops__range *range = lithops__job_range(job);
    if (!range->numbers)
        return job->number;
    return *number_at(job, index) & LITHOPS__NUMBER_MASK;
}
