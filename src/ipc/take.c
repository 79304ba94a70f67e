/* SPDX-License-Identifier: Apache-2.0 */
/* Taking calls out of the table.
 *
 * A worker stakes a claim in a span (calls for about 20 us of work, as far as can be estimated),
 * and then each call of the claim is taken by a CAS on its state. Where nothing is offered, calls
 * are taken from the ends of other workers' claims, so a call that turns out long never holds up
 * others behind it. */
#include "ipc/take.h"

#include "base/clock.h"

enum {
    CLAIM_US = 20,      /* work that a claim should hold */
    CLAIM_CALLS = 4096, /* at most */
    SERIAL_US = 50,     /* work that is not worth waking another process for */
};
static const uint64_t look_again_ns = 200000;

/* ---- claims ---------------------------------------------------------------------------------- */

static uint64_t average_ns(const struct lithops__area *area, const struct lithops__range *range)
{
    const struct lithops__function_slot *function = &area->functions[range->function];
    return (atomic_load_explicit(&function->average_ps, memory_order_relaxed) + 999) / 1000;
}

uint64_t lithops__take_claim_size(const struct lithops__area *area,
                                  const struct lithops__range *range,
                                  const struct lithops__span *span)
{
    if (range->chunk)
        return range->chunk;
    uint64_t average = average_ns(area, range);
    if (average == 0)
        return 1;
    uint64_t size = CLAIM_US * 1000 / average;
    uint64_t share = lithops__queue_left(area, span) / (2 * area->control->max_workers);
    size = size < CLAIM_CALLS ? size : CLAIM_CALLS;
    size = size < share ? size : share;
    return size ? size : 1;
}

void lithops__take_share(const struct lithops__area *area, const struct lithops__range *range,
                         const struct lithops__span *span, uint64_t position, uint64_t claimed)
{
    struct lithops__control *control = area->control;
    if (!lithops__bell_anyone_parked(control))
        return;
    uint64_t left = lithops__queue_left(area, span);
    bool other_spans = atomic_load_explicit(&control->tail, memory_order_acquire) > position + 1;
    if (left == 0 && claimed == 1 && !other_spans)
        return;
    uint64_t average = average_ns(area, range);
    if (!other_spans && average && (left + claimed) * average < SERIAL_US * 1000)
        return;
    lithops__bell_wake_one(control);
}

bool lithops__take_from(struct lithops__area *area, struct lithops__worker *line,
                        struct lithops__worker *victim, uint64_t *ret_index)
{
    uint32_t range = atomic_load(&victim->range);
    uint64_t end = atomic_load(&victim->end), current = atomic_load(&victim->current);
    if (range == 0 || atomic_load(&victim->claiming) || end <= current + 1)
        return false;
    if (!lithops__queue_join(area, line, range - 1))
        return false;
    const struct lithops__range *target = &area->ranges[range - 1];
    if (target->chunk == 0 && target->job_kind != 'R' && end <= atomic_load(&target->count)) {
        const lithops__state *states = lithops__range_states(area, target);
        uint64_t i = end - 1;
        while (i > current && atomic_load(&states[i]) != LITHOPS__PENDING)
            i--;
        if (i > current) {
            atomic_store(&line->begin, i);
            atomic_store(&line->end, i + 1);
            *ret_index = i;
            return true;
        }
    }
    lithops__queue_leave(line);
    return false;
}

/* ---- waiters --------------------------------------------------------------------------------- */

void lithops__take_wake_waiters(const struct lithops__area *area, struct lithops__range *range,
                                bool at_end)
{
    bool wake = atomic_load(&range->want_each) > 0 || at_end;
    uint64_t wanted = atomic_load(&range->want_call);
    if (wanted &&
        lithops__state_is_done(atomic_load(&lithops__range_states(area, range)[wanted - 1]))) {
        atomic_compare_exchange_strong(&range->want_call, &wanted, 0);
        wake = true;
    }
    if (wake)
        lithops__bell_landed(area->control);
}

void lithops__take_finish(const struct lithops__area *area, struct lithops__range *range,
                          uint64_t done)
{
    uint64_t all = atomic_fetch_add(&range->done_hint, done) + done;
    atomic_thread_fence(memory_order_seq_cst); /* states before wants, and before other states */
    bool at_end = atomic_load(&range->want_end) > 0 &&
                  (all >= atomic_load(&range->count) || atomic_load(&range->recount));
    lithops__take_wake_waiters(area, range, at_end);
}

/* ---- calls that wait although a worker sleeps ------------------------------------------------ */

/* [L] The worker has claimed calls that it has not begun, and that another one may take. */
static bool holds_waiting_calls(const struct lithops__area *area,
                                const struct lithops__worker *worker)
{
    uint64_t end = atomic_load(&worker->end), current = atomic_load(&worker->current);
    uint32_t id = atomic_load(&worker->range);
    if (id == 0 || atomic_load(&worker->claiming))
        return id != 0;
    const struct lithops__range *range = &area->ranges[id - 1];
    if (range->chunk || range->job_kind == 'R' || end > atomic_load(&range->count))
        return false;
    const lithops__state *states = lithops__range_states(area, range);
    while (end > current + 1)
        if (atomic_load_explicit(&states[--end], memory_order_relaxed) == LITHOPS__PENDING)
            return true;
    return false;
}

static bool do_calls_wait(struct lithops__table *table)
{
    struct lithops__area *area = &table->area;
    uint64_t head = atomic_load(&area->control->head), tail = atomic_load(&area->control->tail);
    for (uint64_t at = head; at < tail; at++)
        if (lithops__queue_left(area, lithops__span_at(area, at)) > 0)
            return true;
    /* Possibly held by this very thread: assume that calls are waiting. */
    if (pthread_mutex_trylock(&table->lock) != 0)
        return true;
    bool wait = false;
    for (uint32_t w = 0; w < area->control->max_workers && !wait; w++)
        wait = holds_waiting_calls(area, &area->control->workers[w]);
    pthread_mutex_unlock(&table->lock);
    return wait;
}

/* Calls wait while a worker sleeps: waking it was not worth it when they were offered, but the
 * others have taken longer than expected. If the woken one hits a long call too, the next one is
 * woken. */
uint64_t lithops__wake_more_workers(struct lithops__table *table)
{
    struct lithops__control *control = table->area.control;
    if (!lithops__bell_anyone_parked(control) || !do_calls_wait(table))
        return UINT64_MAX;
    lithops__bell_wake_one(control);
    return lithops__now_ns() + look_again_ns;
}
