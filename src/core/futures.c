/* SPDX-License-Identifier: Apache-2.0 */
/* Sequences of futures: pieces of jobs, so that a million futures of one map are one segment. */
#include "core/futures.h"

#include "core/cancel.h"
#include "core/fork.h"
#include "core/future.h"
#include "core/job.h"
#include "core/marks.h"
#include "core/seen.h"
#include "ipc/area.h"
#include "ipc/layout.h"
#include "ipc/take.h"

#include <lithops/plugin/runtime.h>

#include <stdlib.h>

enum {
    ALL_MARKS =
        LITHOPS_MARK_READ | LITHOPS_MARK_COLLECTED | LITHOPS_MARK_GIVEN_UP | LITHOPS_MARK_CONSUMED
};

lithops_futures *lithops__futures_alloc(size_t segments)
{
    lithops_futures *futures = calloc(1, sizeof *futures + segments * sizeof futures->segments[0]);
    if (futures) {
        atomic_init(&futures->refs, 1);
        pthread_mutex_init(&futures->lock, NULL);
    }
    return futures;
}

/* Add calls [begin, end) of a job; a piece that continues the last one is joined to it. */
void lithops__futures_add(lithops_futures *futures, struct lithops__job *job, uint64_t begin,
                          uint64_t end)
{
    struct lithops__segment *last = futures->count ? &futures->segments[futures->count - 1] : NULL;
    if (last && last->job == job && last->end == begin &&
        futures->count - 1 != futures->reduce_segment) {
        last->end = end;
    } else {
        futures->segments[futures->count++] =
            (struct lithops__segment){lithops__job_ref(job), begin, end, futures->size};
    }
    for (uint64_t i = begin; job->handles && i < end; i++)
        lithops__handle_ref(&job->handles[i]);
    futures->size += end - begin;
}

lithops_futures *lithops__futures_of_job(struct lithops__job *job)
{
    lithops_futures *futures = lithops__futures_alloc(1);
    if (futures)
        lithops__futures_add(futures, job, 0, lithops__job_count(job));
    return futures;
}

struct runs {
    struct lithops__segment *items;
    size_t count, capacity;
    bool no_memory;
};

static void add_run(struct runs *runs, struct lithops__job *job, uint64_t begin, uint64_t end)
{
    if (begin >= end || runs->no_memory)
        return;
    if (runs->count == runs->capacity) {
        size_t capacity = runs->capacity ? runs->capacity * 2 : 64;
        struct lithops__segment *more = realloc(runs->items, capacity * sizeof *more);
        if (!more) {
            runs->no_memory = true;
            return;
        }
        runs->items = more;
        runs->capacity = capacity;
    }
    runs->items[runs->count++] = (struct lithops__segment){job, begin, end, 0};
}

/* Of a page: only those whose future somebody holds. */
static void add_held_runs(struct runs *runs, struct lithops__job *job, uint64_t begin, uint64_t end)
{
    for (uint64_t i = begin; job->handles && i < end; i++)
        if (atomic_load(&job->handles[i].refs) == 0) {
            add_run(runs, job, begin, i);
            begin = i + 1;
        }
    add_run(runs, job, begin, end);
}

/* Calls may have been read one by one, in any order. */
static void add_unread_runs(struct runs *runs, struct lithops__job *job)
{
    uint64_t count = lithops__job_count(job), end = 0;
    while (end < count) {
        uint64_t begin = lithops__marks_find(&job->marks, end, count, LITHOPS_MARK_READ, false);
        end = lithops__marks_find(&job->marks, begin, count, LITHOPS_MARK_READ, true);
        add_held_runs(runs, job, begin, end);
    }
}

lithops_futures *lithops__futures_of_executor(lithops_executor *fexec, enum lithops__which which)
{
    struct runs runs = {NULL, 0, 0, false};
    pthread_mutex_lock(&fexec->table.lock);
    for (struct lithops__job *job = fexec->jobs.first; job; job = job->links.next) {
        bool live = job->stage != LITHOPS__JOB_PAST;
        if (which == LITHOPS__ALL_CALLS || (which == LITHOPS__LIVE_CALLS && live))
            add_run(&runs, job, 0, lithops__job_count(job));
        else if (which == LITHOPS__UNREAD_CALLS && job->stage == LITHOPS__JOB_NAMED &&
                 !job->feeds_reducer)
            add_unread_runs(&runs, job);
    }
    lithops_futures *futures = runs.no_memory ? NULL : lithops__futures_alloc(runs.count);
    for (size_t r = 0; futures && r < runs.count; r++)
        lithops__futures_add(futures, runs.items[r].job, runs.items[r].begin, runs.items[r].end);
    pthread_mutex_unlock(&fexec->table.lock);
    free(runs.items);
    return futures;
}

lithops_futures *lithops_futures_ref(lithops_futures *futures)
{
    if (futures)
        atomic_fetch_add(&futures->refs, 1);
    return futures;
}

lithops_futures *lithops_futures_unref(lithops_futures *futures)
{
    if (!futures || atomic_fetch_sub(&futures->refs, 1) != 1)
        return NULL;
    for (size_t s = 0; s < futures->count; s++) {
        const struct lithops__segment *segment = &futures->segments[s];
        for (uint64_t i = segment->begin; segment->job->handles && i < segment->end; i++)
            lithops__handle_unref(&segment->job->handles[i]);
        lithops__job_unref(segment->job);
    }
    pthread_mutex_destroy(&futures->lock);
    free(futures->given);
    free(futures->ready);
    free(futures);
    return NULL;
}

lithops_futures *lithops_futures_release(lithops_futures *futures)
{
    for (size_t s = 0; futures && s < futures->count; s++) {
        const struct lithops__segment *segment = &futures->segments[s];
        struct lithops__job *job = segment->job;
        if (lithops__is_forked(job->fexec) ||
            (!atomic_load(&lithops__job_range(job)->has_blocks) && !job->handles))
            continue;
        pthread_mutex_lock(&job->fexec->table.lock);
        for (uint64_t i = segment->begin; i < segment->end; i++) {
            if (job->handles)
                lithops_value_free(atomic_exchange(&job->handles[i].value, NULL));
            lithops__job_release(job, i);
        }
        pthread_mutex_unlock(&job->fexec->table.lock);
    }
    return lithops_futures_unref(futures);
}

lithops_futures *lithops_futures_new(lithops_future *const *list, size_t count)
{
    lithops_futures *futures = list || count == 0 ? lithops__futures_alloc(count) : NULL;
    for (size_t i = 0; futures && i < count; i++)
        if (list[i])
            lithops__futures_add(futures, list[i]->job, list[i]->index, list[i]->index + 1);
    return futures;
}

lithops_futures *lithops_futures_concat(const lithops_futures *a, const lithops_futures *b)
{
    size_t count = (a ? a->count : 0) + (b ? b->count : 0);
    lithops_futures *futures = lithops__futures_alloc(count);
    const lithops_futures *parts[] = {a, b};
    for (int p = 0; futures && p < 2; p++)
        for (size_t i = 0; parts[p] && i < parts[p]->count; i++) {
            const struct lithops__segment *segment = &parts[p]->segments[i];
            lithops__futures_add(futures, segment->job, segment->begin, segment->end);
        }
    return futures;
}

const struct lithops__segment *lithops__futures_find(const lithops_futures *futures, uint64_t index,
                                                     uint64_t *ret_call)
{
    if (!futures || index >= futures->size)
        return NULL;
    size_t low = 0, high = futures->count - 1;
    while (low < high) { /* the last segment that starts at or before index */
        size_t middle = low + (high - low + 1) / 2;
        if (futures->segments[middle].first <= index)
            low = middle;
        else
            high = middle - 1;
    }
    const struct lithops__segment *segment = &futures->segments[low];
    *ret_call = segment->begin + (index - segment->first);
    return segment;
}

/* The first calls of [begin, end) that are of one job: [*ret_call, *ret_last) of it. NULL: none. */
static const struct lithops__segment *find_run(const lithops_futures *futures, uint64_t begin,
                                               uint64_t end, uint64_t *ret_call, uint64_t *ret_last)
{
    const struct lithops__segment *segment =
        begin < end ? lithops__futures_find(futures, begin, ret_call) : NULL;
    if (segment) {
        *ret_last = *ret_call + (end - begin);
        *ret_last = *ret_last < segment->end ? *ret_last : segment->end;
    }
    return segment;
}

/* Pieces of segments of `piece`; with `into`, they are added to it. */
static size_t take_piece(const lithops_futures_piece *piece, lithops_futures *into)
{
    size_t count = 0;
    uint64_t at = piece->begin, call = 0, last = 0;
    const struct lithops__segment *segment;
    for (; (segment = find_run(piece->futures, at, piece->end, &call, &last)) != NULL; count++) {
        if (into)
            lithops__futures_add(into, segment->job, call, last);
        at += last - call;
    }
    return count;
}

lithops_futures *lithops_futures_join(const lithops_futures_piece *pieces, size_t count)
{
    size_t segments = 0;
    for (size_t i = 0; i < count; i++) {
        if (!pieces[i].futures || pieces[i].end > pieces[i].futures->size)
            return NULL;
        segments += take_piece(&pieces[i], NULL);
    }
    lithops_futures *futures = lithops__futures_alloc(segments);
    for (size_t i = 0; futures && i < count; i++)
        (void)take_piece(&pieces[i], futures);
    return futures;
}

void lithops_futures_seen(const lithops_futures *futures, size_t begin, size_t end, bool result)
{
    uint64_t call = 0, last = 0;
    const struct lithops__segment *segment;
    for (; (segment = find_run(futures, begin, end, &call, &last)) != NULL; begin += last - call)
        lithops__job_saw(segment->job, call, last, result);
}

void lithops_futures_mark(const lithops_futures *futures, size_t begin, size_t end, unsigned marks,
                          bool on)
{
    uint64_t call = 0, last = 0;
    const struct lithops__segment *segment;
    for (; (segment = find_run(futures, begin, end, &call, &last)) != NULL; begin += last - call)
        lithops__marks_change(&segment->job->marks, call, last, marks & ALL_MARKS, on);
}

unsigned lithops_futures_marks(const lithops_futures *futures, size_t index)
{
    uint64_t call = 0;
    const struct lithops__segment *segment = lithops__futures_find(futures, index, &call);
    return segment ? lithops__marks_of(&segment->job->marks, call) : 0;
}

size_t lithops_futures_size(const lithops_futures *futures)
{
    return futures ? futures->size : 0;
}

lithops_future *lithops_futures_get(const lithops_futures *futures, size_t index)
{
    uint64_t call = 0;
    const struct lithops__segment *segment = lithops__futures_find(futures, index, &call);
    return segment ? lithops__future_of(segment->job, call) : NULL;
}

uint32_t lithops_futures_workers(const lithops_futures *futures, uint32_t *ret_processes)
{
    uint32_t workers = 0, processes = 0;
    for (size_t s = 0; futures && s < futures->count; s++) {
        lithops_executor *fexec = futures->segments[s].job->fexec;
        bool is_counted = false;
        for (size_t before = s; before-- > 0 && !is_counted;) /* mostly the one before */
            is_counted = futures->segments[before].job->fexec == fexec;
        uint32_t own = 0;
        workers += is_counted ? 0 : lithops__table_workers(&fexec->table, &own);
        processes += own;
    }
    if (ret_processes)
        *ret_processes = processes;
    return workers;
}

bool lithops_futures_lack_memory(const lithops_futures *futures)
{
    for (size_t s = 0; futures && s < futures->count; s++) {
        const struct lithops__table *table = &futures->segments[s].job->fexec->table;
        if (atomic_load_explicit(&table->area.control->lacking, memory_order_relaxed) > 0)
            return true;
    }
    return false;
}

size_t lithops_futures_done(const lithops_futures *futures)
{
    size_t done = 0;
    for (size_t s = 0; futures && s < futures->count; s++) {
        const struct lithops__segment *segment = &futures->segments[s];
        const lithops__state *states = lithops__range_states(&segment->job->fexec->table.area,
                                                             lithops__job_range(segment->job));
        for (uint64_t i = segment->begin; i < segment->end; i++)
            done += lithops__state_is_done(atomic_load_explicit(&states[i], memory_order_acquire));
        if (done < segment->first + (segment->end - segment->begin))
            (void)lithops__wake_more_workers(&segment->job->fexec->table);
    }
    return done;
}

size_t lithops_futures_cancel(lithops_futures *futures)
{
    size_t count = 0;
    for (size_t s = 0; futures && s < futures->count; s++)
        count += lithops__cancel_job(futures->segments[s].job, futures->segments[s].begin,
                                     futures->segments[s].end);
    return count;
}
