/* SPDX-License-Identifier: Apache-2.0 */
/* Outcomes of calls, out of a table and into another one, as the journal has them. */
#ifndef LITHOPS_DETACHED_OUTCOME_H
#define LITHOPS_DETACHED_OUTCOME_H

#include "base/clock.h"
#include "ipc/table.h"
#include "wire/message.h"

/* [L] Append the outcome of a call that is done. Where there is no memory, `out` fails, with a part
 * of it. */
void lithops__outcome_append(const struct lithops__table *table,
                             const struct lithops__tick_clock *clock, uint32_t range,
                             uint64_t index, struct lithops__buffer *out);
/* Append an outcome that nothing ran for: `error`; ECANCELED: it was cancelled. */
void lithops__outcome_append_error(uint64_t index, const lithops_error *error,
                                   struct lithops__buffer *out);

/* [L] Give a call this outcome, with memory of the heap, unless it has one. 1: it has now; 0: it
 * had one; LITHOPS_ENOSPACE: there is no room for its result, and nothing was done; EPARSE. Waiters
 * are woken by lithops__take_finish().
 * @param with_notes  its output goes to the log of slot 0, its resources into the heap
 * @param is_same_boot  its times are of this machine's clock */
int lithops__outcome_put(struct lithops__table *table, uint32_t range,
                         const struct lithops__outcome *outcome, bool with_notes, bool is_same_boot,
                         lithops_error *err);

#endif
