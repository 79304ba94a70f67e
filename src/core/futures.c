/* SPDX-License-Identifier: Apache-2.0 */
/* Sequences of futures: pieces of jobs, so that a million futures of one map are one segment. */
#include "base/error.h"
#include "core/core.h"

#include <lithops/plugin/runtime.h>

#include <stdlib.h>

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

/* Calls may have been read one by one, in any order. */
static void add_unread_runs(struct runs *runs, struct lithops__job *job)
{
    uint64_t count = lithops__job_count(job);
    pthread_mutex_lock(&job->seen_lock);
    uint64_t i = job->read_upto;
    if (!job->seen_each) {
        add_run(runs, job, i, count);
        i = count;
    }
    while (i < count) {
        while (i < count && job->seen_each[i].result_done)
            i++;
        uint64_t begin = i;
        while (i < count && !job->seen_each[i].result_done)
            i++;
        add_run(runs, job, begin, i);
    }
    pthread_mutex_unlock(&job->seen_lock);
}

lithops_futures *lithops__futures_of_executor(lithops_executor *fexec, bool unread)
{
    struct runs runs = {NULL, 0, 0, false};
    pthread_mutex_lock(&fexec->table.lock);
    for (size_t j = 0; j < fexec->job_count; j++) {
        struct lithops__job *job = fexec->jobs[j];
        if (!unread)
            add_run(&runs, job, 0, lithops__job_count(job));
        else if (!job->feeds_reducer)
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
    for (size_t i = 0; i < futures->count; i++)
        lithops__job_unref(futures->segments[i].job);
    pthread_mutex_destroy(&futures->lock);
    free(futures->given);
    free(futures->ready);
    free(futures);
    return NULL;
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

/* Pieces of segments of `piece`; with `into`, they are added to it. */
static size_t take_piece(const lithops_futures_piece *piece, lithops_futures *into)
{
    size_t count = 0;
    for (uint64_t at = piece->begin; at < piece->end; count++) {
        uint64_t call = 0;
        const struct lithops__segment *segment = lithops__futures_find(piece->futures, at, &call);
        uint64_t end = call + (piece->end - at);
        end = end < segment->end ? end : segment->end;
        if (into)
            lithops__futures_add(into, segment->job, call, end);
        at += end - call;
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
    uint64_t call = 0;
    const struct lithops__segment *segment;
    for (uint64_t at = begin;
         at < end && (segment = lithops__futures_find(futures, at, &call)) != NULL;) {
        uint64_t last = call + (end - at) < segment->end ? call + (end - at) : segment->end;
        lithops__job_saw(segment->job, call, last, result);
        at += last - call;
    }
}

size_t lithops_futures_size(const lithops_futures *futures)
{
    return futures ? futures->size : 0;
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

lithops_future *lithops_futures_get(const lithops_futures *futures, size_t index)
{
    uint64_t call = 0;
    const struct lithops__segment *segment = lithops__futures_find(futures, index, &call);
    return segment ? lithops__future_of(segment->job, call) : NULL;
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

/* ---- as_completed ---------------------------------------------------------------------------- */

struct lithops__completed {
    uint64_t end, index; /* ticks */
};

static int compare_ends(const void *left, const void *right)
{
    const struct lithops__completed *a = left, *b = right;
    if (a->end != b->end)
        return a->end < b->end ? -1 : 1;
    return a->index < b->index ? -1 : a->index > b->index;
}

/* When the call at `index` ended; at the latest when its worker has not said yet. */
static uint64_t end_of(const struct lithops__segment *segment, uint64_t call)
{
    uint64_t end = lithops__job_record(segment->job, call)->end;
    return end ? end + segment->job->fexec->table.area.control->epoch_ticks : UINT64_MAX;
}

/* Find all calls that are done and were not found before, in the order in which they ended.
 * [futures->lock] */
static void find_completed(lithops_futures *futures)
{
    uint64_t index = futures->given_start;
    bool gap = false;
    futures->ready_count = futures->ready_next = 0;
    while (index < futures->size) {
        uint64_t call = 0;
        const struct lithops__segment *segment = lithops__futures_find(futures, index, &call);
        for (; call < segment->end; call++, index++) {
            bool given = futures->given[index / 64] >> index % 64 & 1;
            if (!given && lithops__state_is_done(lithops__job_state(segment->job, call))) {
                futures->ready[futures->ready_count++] =
                    (struct lithops__completed){end_of(segment, call), index};
                futures->given[index / 64] |= 1ull << index % 64;
                given = true;
            }
            if (!given)
                gap = true;
            else if (!gap)
                futures->given_start = index + 1;
        }
    }
    qsort(futures->ready, futures->ready_count, sizeof futures->ready[0], compare_ends);
}

static bool make_ready(lithops_futures *futures)
{
    if (!futures->given)
        futures->given = calloc(futures->size / 64 + 1, sizeof *futures->given);
    if (!futures->ready)
        futures->ready = calloc(futures->size + 1, sizeof *futures->ready);
    return futures->given && futures->ready;
}

/* The next one that was found, and where there is none, that is found now. [futures->lock] */
static bool take_completed(lithops_futures *futures, uint64_t *ret_index)
{
    if (futures->ready_next == futures->ready_count)
        find_completed(futures);
    if (futures->ready_next == futures->ready_count)
        return false;
    *ret_index = futures->ready[futures->ready_next++].index;
    futures->given_count++;
    return true;
}

/* @param wait  its target is set here */
static int next_completed(struct lithops__wait *wait, uint64_t *ret_index, lithops_error *err)
{
    lithops_futures *futures = wait->futures;
    int rc = 0;
    pthread_mutex_lock(&futures->lock);
    while (rc == 0) {
        if (!make_ready(futures)) {
            rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
        } else if (futures->given_count == futures->size) {
            rc = lithops__fail(err, LITHOPS_ENOTFOUND, "all %llu calls were given",
                               (unsigned long long)futures->size);
        } else if (take_completed(futures, ret_index)) {
            break;
        } else {
            wait->target = futures->given_count + 1;
            pthread_mutex_unlock(&futures->lock);
            rc = lithops__wait(wait, err);
            pthread_mutex_lock(&futures->lock);
        }
    }
    pthread_mutex_unlock(&futures->lock);
    if (rc == 0)
        lithops_futures_seen(futures, *ret_index, *ret_index + 1, false);
    return rc;
}

int lithops_futures_next(lithops_futures *futures, const lithops_wait_options *options,
                         size_t *ret_index, lithops_error *err)
{
    const lithops_wait_options defaults = LITHOPS_WAIT_OPTIONS_INIT;
    options = options ? options : &defaults;
    if (!futures || !ret_index)
        return lithops__fail(err, LITHOPS_EUSAGE, "%s is NULL", futures ? "ret_index" : "futures");
    /* in a child the lock may be held for ever */
    if (futures->count && lithops__is_forked(futures->segments[0].job->fexec))
        return lithops__fail(err, LITHOPS_EFORKED,
                             "these futures belong to the process that started the calls");
    struct lithops__wait wait = {.futures = futures,
                                 .deadline_ns = lithops__deadline_ns(options->timeout_ms),
                                 .interrupted = options->interrupted,
                                 .user = options->user};
    uint64_t index = 0;
    int rc = next_completed(&wait, &index, err);
    if (rc == 0)
        *ret_index = index;
    return rc;
}

lithops_future *lithops_futures_as_completed(lithops_futures *futures, int64_t timeout_ms)
{
    size_t index = 0;
    lithops_wait_options options = LITHOPS_WAIT_OPTIONS_INIT;
    options.timeout_ms = timeout_ms < 0 ? 0 : timeout_ms;
    int rc = lithops_futures_next(futures, &options, &index, NULL);
    return rc == 0 ? lithops_futures_get(futures, index) : NULL;
}
