/* SPDX-License-Identifier: Apache-2.0 */
/* Handles the death of a worker process: its calls fail or run again.
 *
 * The call whose state says RUNNING by this slot ends with an error that says why. Calls of its
 * claim that it had not begun are still PENDING; their claim is offered again. If it died between
 * staking a claim and announcing it, the whole range is offered again; the states of calls that are
 * taken or done make workers skip them. So are its reducers: those that its map calls had made
 * ready were never in a claim. */
#include "base/clock.h"
#include "base/error.h"
#include "compute/backends/localhost/pool.h"
#include "ipc/bell.h"
#include "ipc/settle.h"
#include "ipc/slotlog.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TAIL_BYTES = 700 }; /* of the output, for the traceback */
static const uint64_t own_end_again_ns = 10000000000u;

/* Append the end of what the call wrote to its error. */
static void add_output(const struct lithops__table *table, uint32_t slot, uint64_t begin,
                       uint64_t end, lithops_error *error)
{
    char text[TAIL_BYTES];
    size_t used = strlen(error->traceback), room = sizeof error->traceback - used;
    uint64_t from = end - begin > sizeof text ? end - sizeof text : begin;
    size_t len = lithops__slotlog_read(table, slot, from, text, end - from);
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

/* Whether the kernel's out-of-memory killer has struck since this process was started. One kill is
 * then accounted for, so that a process killed later by someone else is not counted as one. */
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
                      "the kernel's out-of-memory killer ended the call's process: let fewer calls "
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

/* Whether a cancel returned true: then the call must end as cancelled. */
static bool is_cancel_asked(const struct lithops__pool *pool, uint32_t slot, uint32_t range,
                            uint64_t index)
{
    const struct lithops__doom *doom = &pool->slots[slot].doom;
    return doom->reason == LITHOPS__KILL_CANCEL && doom->range == range && doom->index == index &&
           doom->generation == atomic_load(&pool->table->area.ranges[range].generation);
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
    if (is_cancel_asked(pool, slot, range_id, index))
        lithops__fail(&settlement.error, LITHOPS_ECANCELED, "the call was cancelled");
    else if (lithops__settle_try_again(table, range_id, index, running, &settlement.error))
        return;
    struct lithops__call_extra extra = {.log_begin = atomic_load(&line->log_size)};
    extra.log_end = lithops__slotlog_size(table, slot);
    lithops__slotlog_mend(lithops__slotlog_open(table, slot, NULL), table->area.control, line,
                          &extra.log_begin, &extra.log_end);
    if (extra.log_end > extra.log_begin) {
        add_output(table, slot, extra.log_begin, extra.log_end, &settlement.error);
        settlement.extra = &extra;
        atomic_store(&range->wrote, 1);
        lithops__slotlog_trim(lithops__slotlog_open(table, slot, NULL), table->area.control, line,
                              extra.log_begin, extra.log_end);
    }
    (void)lithops__table_settle(table, range_id, index, running, &settlement);
}

/* Who ends an allocation or a container sends SIGTERM to all of its processes. If it has come to
 * the call's process first, this one's is on its way, and the client says better why the call is
 * lost. With the lock held: there is nothing to do for others then. Not again soon, as a function
 * may do that to itself. */
static void await_own_end(struct lithops__pool *pool, uint32_t slot, const siginfo_t *status)
{
    uint64_t now = lithops__now_ns();
    if (!pool->table->area.control->is_elsewhere || status->si_code != CLD_KILLED ||
        status->si_status != SIGTERM || pool->closing || now < pool->own_end_ns ||
        pool->slots[slot].reason != LITHOPS__KILL_NONE)
        return;
    pool->own_end_ns = now + own_end_again_ns;
    (void)nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
}

void lithops__pool_bury(struct lithops__pool *pool, uint32_t slot, const siginfo_t *status)
{
    struct lithops__table *table = pool->table;
    struct lithops__control *control = table->area.control;
    struct lithops__worker *line = &control->workers[slot];
    uint32_t announced = atomic_load(&line->range);
    if (announced)
        await_own_end(pool, slot, status);
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
                lithops__settle_offer_rest(table, range_id, 0, count);
            else
                lithops__settle_offer_rest(table, range_id, atomic_load(&line->begin),
                                           end < count ? end : count);
            lithops__table_kick_dependents(table, range_id);
        }
    }
    atomic_store(&line->claiming, 0);
    atomic_store(&line->busy_since, 0);
    if (atomic_exchange(&line->lacks_bytes, 0))
        atomic_fetch_sub(&control->lacking, 1);
    atomic_store(&line->begin, 0);
    atomic_store(&line->end, 0);
    atomic_store(&line->crash_signal, 0);
    line->crash_text[0] = '\0';
    atomic_store(&line->range, 0);
    atomic_store(&line->state, LITHOPS__WORKER_NONE);
    atomic_store(&line->pid, 0);
    lithops__bell_wake_everyone(control);
}
