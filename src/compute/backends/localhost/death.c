/* SPDX-License-Identifier: Apache-2.0 */
/* A worker process is dead: what becomes of its calls.
 *
 * The call whose state says RUNNING by this slot ends with an error that says why. Calls of its
 * block that it had not begun are PENDING still; their block is offered again. If it died between
 * claiming a block and saying which, the whole range is offered again: calls that are taken or
 * done are skipped, by their state. Reducers are too: those that its map calls had made ready were
 * never in a block. */
#include "base/clock.h"
#include "base/error.h"
#include "compute/backends/localhost/pool.h"
#include "ipc/bell.h"
#include "ipc/queue.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { TAIL_BYTES = 700 }; /* of the output, for the traceback */

/* Append the end of what the call wrote to its error. */
static void add_output(const struct lithops__slot_process *process, uint64_t begin, uint64_t end,
                       lithops_error *error)
{
    char text[TAIL_BYTES];
    size_t used = strlen(error->traceback), room = sizeof error->traceback - used;
    uint64_t from = end - begin > sizeof text ? end - sizeof text : begin;
    ssize_t len = pread(process->log_fd, text, end - from, (off_t)from);
    if (len > 0)
        snprintf(error->traceback + used, room, "last output:\n%.*s", (int)len, text);
}

static void describe_signal(const struct lithops__worker *line, int signal, lithops_error *error)
{
    bool noted = (int)atomic_load(&line->crash_signal) == signal;
    if (noted && line->crash_memory) {
        lithops__fail(error, LITHOPS_EMEMORY,
                      "the call ran out of its runtime_memory, and crashed (%s)",
                      strsignal(signal));
    } else if (noted && (signal == SIGSEGV || signal == SIGBUS)) {
        lithops__fail(error, LITHOPS_ECRASH,
                      "the function crashed: %s (signal %d) at address 0x%llx", strsignal(signal),
                      signal, (unsigned long long)line->crash_address);
    } else {
        lithops__fail(error, LITHOPS_ECRASH, "the function crashed: %s (signal %d)",
                      strsignal(signal), signal);
    }
    if (noted && line->crash_text[0])
        snprintf(error->traceback, sizeof error->traceback, "at:\n%s", line->crash_text);
    error->signal = signal;
}

/* The kernel has ended more processes for want of memory than when this one was started. One of
 * them is accounted for now: who dies next, by another hand, is not taken for it. */
static bool was_out_of_memory(struct lithops__pool *pool, uint32_t slot, const siginfo_t *status)
{
    if (status->si_code != CLD_KILLED || status->si_status != SIGKILL)
        return false;
    uint64_t kills = lithops__own_oom_kills();
    if (kills == UINT64_MAX || kills <= pool->slots[slot].own_oom_kills)
        return false;
    for (uint32_t other = 0; other < pool->count; other++)
        if (pool->slots[other].own_oom_kills < kills)
            pool->slots[other].own_oom_kills++;
    return true;
}

static void describe_death(struct lithops__pool *pool, uint32_t slot,
                           const struct lithops__range *range, const siginfo_t *status,
                           lithops_error *error)
{
    const struct lithops__control *control = pool->table->area.control;
    const struct lithops__slot_process *process = &pool->slots[slot];
    if (process->reason == LITHOPS__KILL_TIMEOUT)
        lithops__fail(error, LITHOPS_ETIMEOUT, "the call ran longer than its timeout of %g s",
                      (double)range->timeout_ticks / (double)control->ticks_per_ms / 1e3);
    else if (process->reason == LITHOPS__KILL_CANCEL || atomic_load(&range->canceled))
        lithops__fail(error, LITHOPS_ECANCELED, "the call was cancelled");
    else if (range->memory_bytes && lithops__group_oom_kills(control, slot) > process->oom_kills)
        lithops__fail(error, LITHOPS_EMEMORY,
                      "the call used more than its runtime_memory of %llu MB",
                      (unsigned long long)(range->memory_bytes >> 20));
    else if (was_out_of_memory(pool, slot, status))
        lithops__fail(error, LITHOPS_EMEMORY,
                      "memory was out, and the kernel ended the call's process: let fewer calls "
                      "run at a time (worker_processes), or give each a limit (runtime_memory)");
    else if (status->si_pid == 0)
        lithops__fail(error, LITHOPS_ECRASH, "the function ended its worker process");
    else if (status->si_code == CLD_EXITED)
        lithops__fail(error, LITHOPS_ECRASH,
                      "the function ended its worker process with exit status %d",
                      status->si_status);
    else
        describe_signal(&control->workers[slot], status->si_status, error);
}

static bool has_pending(const lithops__state *states, uint64_t begin, uint64_t end)
{
    for (uint64_t i = begin; i < end; i++)
        if (atomic_load(&states[i]) == LITHOPS__PENDING)
            return true;
    return false;
}

static void offer_rest(struct lithops__pool *pool, uint32_t range_id, uint64_t begin, uint64_t end)
{
    struct lithops__table *table = pool->table;
    const lithops__state *states =
        lithops__range_states(&table->area, &table->area.ranges[range_id]);
    if (has_pending(states, begin, end))
        (void)lithops__table_offer(table, range_id, begin, end, NULL);
}

/* Somebody was told that the call will end as cancelled. */
static bool is_cancel_asked(const struct lithops__pool *pool, uint32_t range, uint64_t index)
{
    uint32_t generation = atomic_load(&pool->table->area.ranges[range].generation);
    for (size_t c = 0; c < pool->cancel_count; c++) {
        const struct lithops__cancel *cancel = &pool->cancels[c];
        if (cancel->range == range && cancel->generation == generation && index >= cancel->begin &&
            index < cancel->end)
            return true;
    }
    return false;
}

/* Where retries are set, the call waits again. */
static bool try_again(struct lithops__table *table, uint32_t range_id, uint64_t index,
                      uint16_t running, const lithops_error *error)
{
    struct lithops__range *range = &table->area.ranges[range_id];
    uint32_t *attempts = &lithops__range_extras(&table->area, range)[index];
    if (*attempts >= range->retries || range->retries == 0 || error->code == LITHOPS_ECANCELED)
        return false;
    ++*attempts;
    lithops__state *state = &lithops__range_states(&table->area, range)[index];
    atomic_store(state, LITHOPS__PENDING);
    uint16_t pending = LITHOPS__PENDING;
    return lithops__table_offer(table, range_id, index, index + 1, NULL) == 0 ||
           !atomic_compare_exchange_strong(state, &pending, running); /* somebody has it already */
}

static void settle_running(struct lithops__pool *pool, uint32_t slot, uint32_t range_id,
                           const siginfo_t *status)
{
    struct lithops__table *table = pool->table;
    struct lithops__worker *line = &table->area.control->workers[slot];
    struct lithops__range *range = &table->area.ranges[range_id];
    uint64_t index = atomic_load(&line->current);
    uint16_t running = lithops__state_make(LITHOPS__RUNNING, slot);
    if (index >= atomic_load(&range->count) ||
        atomic_load(&lithops__range_states(&table->area, range)[index]) != running)
        return;
    uint64_t busy = atomic_load(&line->busy_since);
    struct lithops__settlement settlement = {.start = busy ? busy - 1 : 0};
    describe_death(pool, slot, range, status, &settlement.error);
    if (is_cancel_asked(pool, range_id, index))
        lithops__fail(&settlement.error, LITHOPS_ECANCELED, "the call was cancelled");
    else if (try_again(table, range_id, index, running, &settlement.error))
        return;
    struct lithops__call_extra extra = {.log_begin = atomic_load(&line->log_size)};
    off_t end = lseek(pool->slots[slot].log_fd, 0, SEEK_END);
    extra.log_end = end < 0 ? extra.log_begin : (uint64_t)end;
    if (extra.log_end > extra.log_begin) {
        add_output(&pool->slots[slot], extra.log_begin, extra.log_end, &settlement.error);
        settlement.extra = &extra;
    }
    (void)lithops__table_settle(table, range_id, index, running, &settlement);
}

void lithops__pool_bury(struct lithops__pool *pool, uint32_t slot, const siginfo_t *status)
{
    struct lithops__table *table = pool->table;
    struct lithops__control *control = table->area.control;
    struct lithops__worker *line = &control->workers[slot];
    uint32_t announced = atomic_load(&line->range);
    lithops__bell_forget(control, slot);
    if (announced) {
        uint32_t range_id = announced - 1;
        struct lithops__range *range = &table->area.ranges[range_id];
        uint32_t generation = atomic_load(&range->generation);
        if (!(generation & 1)) {
            settle_running(pool, slot, range_id, status);
            uint64_t count = atomic_load(&range->count), end = atomic_load(&line->end);
            atomic_store(&range->recount, 1);
            if (atomic_load(&line->claiming) || range->job_kind == 'R')
                offer_rest(pool, range_id, 0, count);
            else
                offer_rest(pool, range_id, atomic_load(&line->begin), end < count ? end : count);
            lithops__table_kick_dependents(table, range_id);
        }
    }
    atomic_store(&line->claiming, 0);
    atomic_store(&line->busy_since, 0);
    atomic_store(&line->begin, 0);
    atomic_store(&line->end, 0);
    atomic_store(&line->crash_signal, 0);
    line->crash_text[0] = '\0';
    atomic_store(&line->range, 0);
    atomic_store(&line->state, LITHOPS__WORKER_NONE);
    atomic_store(&line->pid, 0);
    lithops__bell_wake_everyone(control);
}

void lithops__pool_fail_all(struct lithops__pool *pool, const lithops_error *error)
{
    struct lithops__table *table = pool->table;
    struct lithops__settlement settlement = {.error = *error};
    uint64_t high = atomic_load(&table->area.control->ranges_high);
    for (uint32_t id = 0; id < high; id++) {
        struct lithops__range *range = &table->area.ranges[id];
        if (atomic_load(&range->generation) & 1)
            continue;
        uint64_t count = atomic_load(&range->count);
        for (uint64_t i = 0; i < count; i++)
            (void)lithops__table_settle(table, id, i, LITHOPS__PENDING, &settlement);
    }
    lithops__queue_drop(&table->area);
    lithops__bell_landed(table->area.control);
}
