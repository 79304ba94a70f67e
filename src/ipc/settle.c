/* SPDX-License-Identifier: Apache-2.0 */
#include "ipc/settle.h"

#include "ipc/bell.h"
#include "ipc/queue.h"

static bool has_pending(const lithops__state *states, uint64_t begin, uint64_t end)
{
    for (uint64_t i = begin; i < end; i++)
        if (atomic_load(&states[i]) == LITHOPS__PENDING)
            return true;
    return false;
}

void lithops__settle_offer_rest(struct lithops__table *table, uint32_t range_id, uint64_t begin,
                                uint64_t end)
{
    const lithops__state *states =
        lithops__range_states(&table->area, &table->area.ranges[range_id]);
    if (has_pending(states, begin, end))
        (void)lithops__table_offer(table, range_id, begin, end, NULL);
}

bool lithops__settle_try_again(struct lithops__table *table, uint32_t range_id, uint64_t index,
                               uint16_t running, const lithops_error *error)
{
    struct lithops__range *range = &table->area.ranges[range_id];
    uint32_t *attempts = &lithops__range_extras(&table->area, range)[index];
    if (*attempts >= range->retries || range->retries == 0 || error->code == LITHOPS_ECANCELED)
        return false;
    ++*attempts;
    atomic_fetch_add_explicit(&range->retried, 1, memory_order_relaxed);
    lithops__state *state = &lithops__range_states(&table->area, range)[index];
    atomic_store(state, LITHOPS__PENDING);
    uint16_t pending = LITHOPS__PENDING;
    return lithops__table_offer(table, range_id, index, index + 1, NULL) == 0 ||
           !atomic_compare_exchange_strong(state, &pending, running); /* somebody has it already */
}

void lithops__settle_waiting(struct lithops__table *table, const lithops_error *error)
{
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
