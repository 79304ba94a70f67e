/* SPDX-License-Identifier: Apache-2.0 */
/* Ending calls: those that have run past their timeout, and those that were cancelled.
 *
 * A call is ended by killing its process. Dooming a call means noting it in the slot of its
 * process, which needs no memory. The supervisor then stops all these processes, releases the lock
 * until they have stopped, and looks again under the lock: a process that still runs its doomed
 * call is killed, one that has moved on to another is continued. */
#include "base/clock.h"
#include "compute/backends/localhost/pool.h"
#include "ipc/queue.h"

#include <signal.h>
#include <time.h>

enum { START_TIMEOUT_S = 60, STOP_MS = 50 };

static void doom(struct lithops__pool *pool, uint32_t slot, enum lithops__kill_reason reason,
                 uint32_t range, uint64_t index, uint64_t busy)
{
    uint32_t generation = atomic_load(&pool->table->area.ranges[range].generation);
    pool->slots[slot].doom = (struct lithops__doom){reason, range, generation, index, busy};
}

/* ---- timeouts -------------------------------------------------------------------------------- */

static bool is_idle(struct lithops__pool *pool)
{
    const struct lithops__control *control = pool->table->area.control;
    for (uint32_t slot = 0; slot < pool->count; slot++)
        if (atomic_load(&control->workers[slot].range) ||
            atomic_load(&control->workers[slot].state) == LITHOPS__WORKER_STARTING)
            return false;
    lithops__queue_advance(&pool->table->area);
    for (uint64_t at = atomic_load(&control->head); at < atomic_load(&control->tail); at++)
        if (lithops__queue_left(&pool->table->area, lithops__span_at(&pool->table->area, at)))
            return false;
    return true;
}

/* Since when the call has been running, as far as is known. The worker notes the time once for a
 * group of short calls; if a later one of them turns out to be long, it gets its whole time from
 * when it was first seen here. */
static uint64_t running_since(struct lithops__slot_process *process,
                              const struct lithops__worker *line,
                              const struct lithops__seen_call *call)
{
    struct lithops__seen_call *seen = &process->seen;
    if (atomic_load(&line->busy_first) == call->index)
        return call->busy - 1;
    if (seen->range != call->range || seen->index != call->index || seen->busy != call->busy)
        *seen = *call;
    return seen->since;
}

uint64_t lithops__pool_check_deadlines(struct lithops__pool *pool)
{
    const struct lithops__area *area = &pool->table->area;
    uint64_t now_ns = lithops__now_ns(), next_ns = UINT64_MAX;
    for (uint32_t slot = 0; slot < pool->count; slot++) {
        const struct lithops__worker *line = &area->control->workers[slot];
        uint32_t range = atomic_load(&line->range);
        uint64_t busy = atomic_load(&line->busy_since), index = atomic_load(&line->current);
        if (pool->slots[slot].watch.pid == 0 || pool->slots[slot].reason != LITHOPS__KILL_NONE ||
            pool->slots[slot].doom.reason != LITHOPS__KILL_NONE)
            continue;
        if (atomic_load(&line->state) == LITHOPS__WORKER_STARTING) {
            uint64_t limit_ns = pool->slots[slot].started_ns + START_TIMEOUT_S * 1000000000ull;
            if (now_ns >= limit_ns)
                lithops__watch_signal(&pool->slots[slot].watch, SIGKILL);
            else if (limit_ns < next_ns)
                next_ns = limit_ns;
            continue;
        }
        if (range == 0 || busy == 0 || area->ranges[range - 1].timeout_ticks == 0)
            continue;
        uint64_t now = lithops__ticks() - area->control->epoch_ticks;
        struct lithops__seen_call call = {range, index, busy, now};
        uint64_t ran = now - running_since(&pool->slots[slot], line, &call);
        uint64_t limit = area->ranges[range - 1].timeout_ticks;
        if ((int64_t)ran < 0)
            ran = 0;
        if (ran >= limit) {
            doom(pool, slot, LITHOPS__KILL_TIMEOUT, range - 1, index, busy);
        } else {
            double left_ms = (double)(limit - ran) / (double)area->control->ticks_per_ms;
            uint64_t at_ns = now_ns + (uint64_t)(left_ms * 1e6) + 100000;
            next_ns = at_ns < next_ns ? at_ns : next_ns;
        }
    }
    /* A worker that takes a call between the two halves of a look would be missed: only two looks
     * in a row, a timeout apart, count. */
    bool idle = is_idle(pool), again = idle && pool->was_idle;
    pool->was_idle = idle;
    if (again) {
        pool->shortest_ns = UINT64_MAX;
        return UINT64_MAX;
    }
    if (pool->start_again_ns > now_ns && pool->start_again_ns < next_ns)
        next_ns = pool->start_again_ns;
    uint64_t any_ns = pool->shortest_ns == UINT64_MAX ? UINT64_MAX : now_ns + pool->shortest_ns;
    return any_ns < next_ns ? any_ns : next_ns;
}

/* ---- cancellation ---------------------------------------------------------------------------- */

/* A worker's RUNNING call is the one its line names: the line is written first.
 */
bool lithops__pool_doom_canceled(struct lithops__pool *pool, uint32_t range, uint64_t begin,
                                 uint64_t end)
{
    const struct lithops__area *area = &pool->table->area;
    const lithops__state *states = lithops__range_states(area, &area->ranges[range]);
    bool any = false;
    for (uint32_t slot = 0; slot < pool->count; slot++) {
        const struct lithops__worker *line = &area->control->workers[slot];
        uint64_t index = atomic_load(&line->current);
        if (atomic_load(&line->range) != range + 1 || index < begin || index >= end ||
            atomic_load(&states[index]) != lithops__state_make(LITHOPS__RUNNING, slot))
            continue;
        doom(pool, slot, LITHOPS__KILL_CANCEL, range, index, 0);
        any = true;
    }
    return any;
}

/* ---- carrying it out ------------------------------------------------------------------------- */

static bool is_doomed(const struct lithops__slot_process *process)
{
    return process->watch.pid && process->reason == LITHOPS__KILL_NONE &&
           process->doom.reason != LITHOPS__KILL_NONE;
}

/* For a timeout, it must be the same run, which began at `busy`. */
static bool still_runs(const struct lithops__pool *pool, uint32_t slot)
{
    const struct lithops__area *area = &pool->table->area;
    const struct lithops__worker *line = &area->control->workers[slot];
    const struct lithops__doom *doomed = &pool->slots[slot].doom;
    const lithops__state *states = lithops__range_states(area, &area->ranges[doomed->range]);
    return atomic_load(&line->range) == doomed->range + 1 &&
           atomic_load(&area->ranges[doomed->range].generation) == doomed->generation &&
           atomic_load(&line->current) == doomed->index &&
           (doomed->reason != LITHOPS__KILL_TIMEOUT ||
            atomic_load(&line->busy_since) == doomed->busy) &&
           atomic_load(&states[doomed->index]) == lithops__state_make(LITHOPS__RUNNING, slot);
}

/* Without the lock: only the supervisor, which this is, ends the watch over a process. A process
 * that does not stop in time is dying, or stuck in the kernel. */
static void await_stops(const struct lithops__pool *pool)
{
    uint64_t until_ns = lithops__now_ns() + STOP_MS * 1000000ull;
    for (uint32_t slot = 0; slot < pool->count; slot++)
        while (pool->slots[slot].is_stopping &&
               !lithops__watch_has_stopped(&pool->slots[slot].watch) &&
               lithops__now_ns() < until_ns)
            nanosleep(&(struct timespec){0, 50000}, NULL);
}

bool lithops__pool_end_doomed(struct lithops__pool *pool)
{
    bool any = false;
    for (uint32_t slot = 0; slot < pool->count; slot++) {
        struct lithops__slot_process *process = &pool->slots[slot];
        process->is_stopping = is_doomed(process);
        any |= process->is_stopping;
        if (process->is_stopping)
            lithops__watch_signal(&process->watch, SIGSTOP);
    }
    if (!any)
        return false;
    pthread_mutex_unlock(&pool->table->lock);
    await_stops(pool);
    pthread_mutex_lock(&pool->table->lock);
    for (uint32_t slot = 0; slot < pool->count; slot++) {
        struct lithops__slot_process *process = &pool->slots[slot];
        if (!process->is_stopping || process->reason != LITHOPS__KILL_NONE)
            continue; /* the latter: the executor closes, and has killed it */
        if (still_runs(pool, slot)) {
            process->reason = process->doom.reason;
            lithops__watch_signal(&process->watch, SIGKILL);
        } else {
            process->doom.reason = LITHOPS__KILL_NONE;
            lithops__watch_signal(&process->watch, SIGCONT);
        }
    }
    return true;
}
