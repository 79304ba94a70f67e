/* SPDX-License-Identifier: Apache-2.0 */
/* Sleeping and waking, across processes.
 *
 * A wake-up is the most expensive operation here: 13 us or more for the waker, twice that until
 * the sleeper runs. So an idle process first spins for a short, bounded time, and one wake-up
 * serves a whole batch: wake one worker, which wakes the next if there is more to do. */
#ifndef LITHOPS_IPC_BELL_H
#define LITHOPS_IPC_BELL_H

#include "ipc/area.h"

/* Client: calls were offered; see that a worker looks. */
void lithops__bell_ring(struct lithops__control *control);
/* Wake one sleeping worker, if there is one. */
void lithops__bell_wake_one(struct lithops__control *control);
/* Worker: sleep until woken. The caller has looked for work since `doorbell` was read. False: the
 * time has passed. */
bool lithops__bell_park(struct lithops__control *control, uint32_t slot, uint32_t doorbell,
                        uint64_t deadline_ns);
/* The same for who sleeps elsewhere, woken by control->wake_fd: it is going to. False: it must look
 * once more. In both cases retract() when it is awake. */
bool lithops__bell_announce(struct lithops__control *control, uint32_t slot, uint32_t doorbell);
void lithops__bell_retract(struct lithops__control *control, uint32_t slot);
/* Worker: may this process spin? Undone by lithops__bell_stop_spinning(). */
bool lithops__bell_start_spinning(struct lithops__control *control, uint32_t slot);
void lithops__bell_stop_spinning(struct lithops__control *control);
bool lithops__bell_anyone_parked(const struct lithops__control *control);
/* Client: worker `slot` is dead, whatever it was doing. */
void lithops__bell_forget(struct lithops__control *control, uint32_t slot);
/* Client: wake all workers and waiters, whatever bits and flags say. A process may have died after
 * clearing a sleeper's bit or flag and before waking it. */
void lithops__bell_wake_everyone(struct lithops__control *control);

/* Calls have landed: wake waiters that sleep. */
void lithops__bell_landed(struct lithops__control *control);

/* Wait until something lands. Use:
 *     seen = lithops__bell_prepare(control);
 *     if (not done yet)
 *         lithops__bell_wait(control, seen, deadline_ns);
 * Spurious returns are normal. `deadline_ns`: CLOCK_MONOTONIC, UINT64_MAX none. */
uint32_t lithops__bell_prepare(struct lithops__control *control);
void lithops__bell_wait(struct lithops__control *control, uint32_t seen, uint64_t deadline_ns);
/* The same over several areas at once; seen[i] from prepare(controls[i]). */
void lithops__bell_wait_many(struct lithops__control *const *controls, const uint32_t *seen,
                             size_t count, uint64_t deadline_ns);

/* Memory was given back: wake workers waiting for it. One load when there are none. */
void lithops__bell_wake_for_memory(struct lithops__control *control);
static inline void lithops__bell_freed(struct lithops__control *control)
{
    if (atomic_load(&control->memory_wanted))
        lithops__bell_wake_for_memory(control);
}
/* Worker: wait until memory is given back. Use as prepare and wait above, where looking is another
 * try to take memory; then say how that went. */
uint32_t lithops__bell_want_memory(struct lithops__control *control);
void lithops__bell_await_memory(struct lithops__control *control, uint32_t seen,
                                uint64_t deadline_ns);
void lithops__bell_got_memory(struct lithops__control *control);
/* When who lacks memory gives up: 60 s without any coming back, 5 s where that cannot be expected.
 * Once it is over it stays so, until memory comes back. */
uint64_t lithops__bell_patience_until(const struct lithops__control *control, bool little,
                                      uint64_t now_ns);

/* After this many spins the caller should look at the clock. */
enum { LITHOPS__SPINS_PER_LOOK = 32 };

#endif
