/* SPDX-License-Identifier: Apache-2.0 */
/* Gates of reducers. */
#include "ipc/gate.h"

/* Every claim ends with a look at the gate. So a look continues where the last one stopped, and
 * passes each call once; the calls' ends are checked only once all are taken. */
static bool were_taken(const struct lithops__area *area, const struct lithops__gate *gate,
                       struct lithops__gate_look *look)
{
    const struct lithops__range *maps = &area->ranges[gate->range];
    const lithops__state *states = lithops__range_states(area, maps);
    uint32_t generation = atomic_load_explicit(&maps->generation, memory_order_relaxed);
    if (look->range != gate->range || look->generation != generation || look->begin != gate->begin)
        *look = (struct lithops__gate_look){gate->range, generation, gate->begin, gate->begin};
    while (look->taken < gate->end &&
           lithops__state_of(atomic_load_explicit(&states[look->taken], memory_order_relaxed)) >=
               LITHOPS__RUNNING)
        look->taken++;
    return look->taken == gate->end;
}

bool lithops__gate_is_open(const struct lithops__area *area, const struct lithops__gate *gate,
                           struct lithops__gate_look *look)
{
    if (!were_taken(area, gate, look))
        return false;
    const lithops__state *states = lithops__range_states(area, &area->ranges[gate->range]);
    uint64_t done = 0;
    for (uint64_t i = gate->end; i-- > gate->begin;) { /* calls are taken in order: ask the last */
        uint16_t state = atomic_load_explicit(&states[i], memory_order_acquire);
        if (lithops__state_of(state) < LITHOPS__RUNNING)
            return false;
        done += lithops__state_is_done(state);
    }
    return done * 100 >= (gate->end - gate->begin) * gate->percent;
}

const struct lithops__gate *lithops__gate_of(const struct lithops__area *area,
                                             const struct lithops__range *reducers, uint64_t call)
{
    const struct lithops__slot *slots = lithops__at(area, reducers->inputs);
    return lithops__at(area, slots[call].payload);
}

uint64_t lithops__gate_first_after(const struct lithops__area *area,
                                   const struct lithops__range *reducers, uint64_t index)
{
    uint64_t low = 0, high = atomic_load(&reducers->count);
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (lithops__gate_of(area, reducers, middle)->end > index)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}
