/* SPDX-License-Identifier: Apache-2.0 */
/* Taking calls out of the table and giving them their outcomes: everything about running calls
 * except running them. A worker process does it for itself; for a remote worker its relay does, in
 * a slot of its own.
 *
 *     find a span -> stake a claim in it -> own each call of the claim -> run -> publish -> finish
 *
 * The first two are in queue.h. Nothing offered: take from the claim of another worker. */
#ifndef LITHOPS_IPC_TAKE_H
#define LITHOPS_IPC_TAKE_H

#include "ipc/bell.h"
#include "ipc/queue.h"
#include "ipc/table.h"

/* ---- claims ---------------------------------------------------------------------------------- */

/* How many calls to claim of a span at a time. */
uint64_t lithops__take_claim_size(const struct lithops__area *area,
                                  const struct lithops__range *range,
                                  const struct lithops__span *span);
/* A claim of `claimed` calls was staked: where there is more than one worker should do alone, wake
 * another one, which does the same. */
void lithops__take_share(const struct lithops__area *area, const struct lithops__range *range,
                         const struct lithops__span *span, uint64_t position, uint64_t claimed);
/* Find a call that `victim` has claimed but not begun. True: it is *ret_index of the range that is
 * now announced in `line`, until lithops__queue_leave(), and still to be owned. */
bool lithops__take_from(struct lithops__area *area, struct lithops__worker *line,
                        struct lithops__worker *victim, uint64_t *ret_index);

/* ---- one call -------------------------------------------------------------------------------- */

/* Take a call. True: nobody else has it or will; also a full fence. */
static inline bool lithops__take_own(lithops__state *state, unsigned slot)
{
    uint16_t pending = LITHOPS__PENDING;
    return atomic_compare_exchange_strong(state, &pending,
                                          lithops__state_make(LITHOPS__RUNNING, slot));
}
/* Nobody holds a future of the call any more. (Who lets go of it later sees to its result.) */
static inline bool lithops__take_is_unwanted(const struct lithops__area *area,
                                             const struct lithops__range *range, uint64_t index)
{
    if (!range->numbers)
        return atomic_load_explicit(&range->unwanted, memory_order_relaxed);
    const _Atomic uint32_t *numbers = lithops__at(area, range->numbers);
    return atomic_load_explicit(&numbers[index], memory_order_relaxed) & LITHOPS__NUMBER_UNWANTED;
}
/* Something of a call takes memory of its own. */
static inline void lithops__take_note_block(struct lithops__range *range)
{
    if (!atomic_load_explicit(&range->has_blocks, memory_order_relaxed))
        atomic_store_explicit(&range->has_blocks, 1, memory_order_relaxed);
}
/* Give a call that `slot` owns its outcome, SUCCESS or FAILED; its record and extra are written.
 * Its waiters are woken by what follows, except those that wait for a failure. */
static inline void lithops__take_publish(const struct lithops__area *area,
                                         struct lithops__range *range, lithops__state *state,
                                         unsigned outcome, unsigned slot)
{
    if (outcome == LITHOPS__FAILED) /* first, so that whoever sees the state sees that too */
        atomic_fetch_add(&range->failed, 1);
    atomic_store_explicit(state, lithops__state_make(outcome, slot), memory_order_release);
    if (outcome == LITHOPS__FAILED && atomic_load(&range->want_end))
        lithops__bell_landed(area->control);
}
/* `done` calls of a claim were published, and it is over: waiters are woken. */
void lithops__take_finish(const struct lithops__area *area, struct lithops__range *range,
                          uint64_t done);
/* In the middle of a claim: a waiter wants this call, or each. */
static inline bool lithops__take_is_wanted(const struct lithops__range *range)
{
    return atomic_load_explicit(&range->want_each, memory_order_relaxed) ||
           atomic_load_explicit(&range->want_call, memory_order_relaxed);
}
/* A reader waits for this very call. */
static inline bool lithops__take_is_next(const struct lithops__range *range, uint64_t index)
{
    return atomic_load(&range->want_call) == index + 1;
}
/* Nobody gives results of the call's job back before the call is done. */
static inline bool lithops__take_is_awaited(const struct lithops__range *range, uint64_t index)
{
    return range->dependents || atomic_load(&range->want_end) ||
           lithops__take_is_next(range, index);
}
/* Who reads in order has no use for the call's result yet, and needs those of older calls. */
static inline bool lithops__take_is_ahead(const struct lithops__range *range, uint64_t index)
{
    return !lithops__take_is_awaited(range, index) && atomic_load(&range->want_any) == 0;
}
/* After a full fence: wake the waiters for what was published. */
void lithops__take_wake_waiters(const struct lithops__area *area, struct lithops__range *range,
                                bool at_end);

/* ---- the client ------------------------------------------------------------------------------ */

/* For a waiter: see that no worker sleeps while calls wait. @return when to do it again, by
 * lithops__now_ns(); UINT64_MAX: never */
uint64_t lithops__wake_more_workers(struct lithops__table *table);

#endif
