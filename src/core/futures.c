/* SPDX-License-Identifier: Apache-2.0 */
/* Sequences of futures: pieces of jobs, so that a million futures of one map are one segment. */
#include "core/core.h"

#include <stdlib.h>

lithops_futures *lithops__futures_alloc(size_t segments)
{
    lithops_futures *futures =
        calloc(1, sizeof *futures + segments * sizeof futures->segments[0]);
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
    struct lithops__segment *last =
        futures->count ? &futures->segments[futures->count - 1] : NULL;
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

lithops_futures *lithops__futures_of_executor(lithops_executor *fexec, bool unread)
{
    pthread_mutex_lock(&fexec->table.lock);
    lithops_futures *futures = lithops__futures_alloc(fexec->job_count);
    for (size_t j = 0; futures && j < fexec->job_count; j++) {
        struct lithops__job *job = fexec->jobs[j];
        pthread_mutex_lock(&job->seen_lock);
        uint64_t begin = unread ? job->read_upto : 0;
        pthread_mutex_unlock(&job->seen_lock);
        uint64_t end = lithops__job_count(job);
        if (begin < end && !(unread && job->feeds_reducer))
            lithops__futures_add(futures, job, begin, end);
    }
    pthread_mutex_unlock(&fexec->table.lock);
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
    free(futures);
    return NULL;
}

lithops_futures *lithops_futures_new(lithops_future *const *list, size_t count)
{
    lithops_futures *futures = lithops__futures_alloc(count);
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

size_t lithops_futures_size(const lithops_futures *futures)
{
    return futures ? futures->size : 0;
}

const struct lithops__segment *lithops__futures_find(const lithops_futures *futures,
                                                     uint64_t index, uint64_t *ret_call)
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
    uint64_t call;
    const struct lithops__segment *segment = lithops__futures_find(futures, index, &call);
    return segment ? lithops__future_of(segment->job, call) : NULL;
}

size_t lithops_futures_done(const lithops_futures *futures)
{
    size_t done = 0;
    for (size_t s = 0; futures && s < futures->count; s++) {
        const struct lithops__segment *segment = &futures->segments[s];
        const lithops__state *states = lithops__range_states(
            &segment->job->fexec->table.area, lithops__job_range(segment->job));
        for (uint64_t i = segment->begin; i < segment->end; i++)
            done += lithops__state_is_done(
                atomic_load_explicit(&states[i], memory_order_acquire));
        if (done < segment->first + (segment->end - segment->begin))
            lithops__wake_more_workers(&segment->job->fexec->table.area);
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

/* ---- as_completed -------------------------------------------------------------------------------- */

/* A call that is done and was not given yet, from `*at` on. [futures->lock] */
static bool find_completed(lithops_futures *futures, uint64_t *ret_index)
{
    uint64_t index = futures->given_start;
    bool gap = false;
    while (index < futures->size) {
        uint64_t call;
        const struct lithops__segment *segment = lithops__futures_find(futures, index, &call);
        for (; call < segment->end; call++, index++) {
            bool given = futures->given[index / 64] >> index % 64 & 1;
            if (!given && lithops__state_is_done(lithops__job_state(segment->job, call))) {
                *ret_index = index;
                return true;
            }
            if (!given)
                gap = true;
            else if (!gap)
                futures->given_start = index + 1;
        }
    }
    return false;
}

lithops_future *lithops_futures_as_completed(lithops_futures *futures, int64_t timeout_ms)
{
    if (!futures)
        return NULL;
    uint64_t deadline_ns = lithops__deadline_ns(timeout_ms), index = 0;
    lithops_future *future = NULL;
    pthread_mutex_lock(&futures->lock);
    if (!futures->given)
        futures->given = calloc(futures->size / 64 + 1, sizeof *futures->given);
    while (futures->given && futures->given_count < futures->size) {
        if (find_completed(futures, &index)) {
            futures->given[index / 64] |= 1ull << index % 64;
            futures->given_count++;
            future = lithops_futures_get(futures, index);
            break;
        }
        struct lithops__wait wait = {.futures = futures,
                                     .target = futures->given_count + 1,
                                     .deadline_ns = deadline_ns};
        pthread_mutex_unlock(&futures->lock);
        int rc = lithops__wait(&wait, NULL);
        pthread_mutex_lock(&futures->lock);
        if (rc != 0)
            break;
    }
    pthread_mutex_unlock(&futures->lock);
    return future;
}
