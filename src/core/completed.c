/* SPDX-License-Identifier: Apache-2.0 */
/* as_completed: the calls of a sequence in the order in which they end, each once. */
#include "base/error.h"
#include "core/fork.h"
#include "core/futures.h"
#include "core/job.h"
#include "core/wait.h"
#include "ipc/layout.h"

#include <lithops/plugin/runtime.h>

#include <stdlib.h>

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

/* The next one found earlier, or else one found now. [futures->lock] */
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
    lithops_wait_options own;
    int rc = lithops__wait_options_read(&own, options, err);
    if (rc != 0)
        return rc;
    if (!futures || !ret_index)
        return lithops__fail(err, LITHOPS_EUSAGE, "%s is NULL", futures ? "ret_index" : "futures");
    /* in a child the lock may be held for ever */
    if (futures->count && lithops__is_forked(futures->segments[0].job->fexec))
        return lithops__fail(err, LITHOPS_EFORKED,
                             "these futures belong to the process that started the calls");
    struct lithops__wait wait = {.futures = futures,
                                 .deadline_ns = lithops__deadline_ns(own.timeout_ms),
                                 .interrupted = own.interrupted,
                                 .user = own.user};
    uint64_t index = 0;
    rc = next_completed(&wait, &index, err);
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
