/* SPDX-License-Identifier: Apache-2.0 */
/* A reducer's gate opens when the results it consumes are under way. */
#ifndef LITHOPS_IPC_GATE_H
#define LITHOPS_IPC_GATE_H

#include "ipc/area.h"

/* Where a look at a gate has ended: calls [begin, taken) of the range were taken then. */
struct lithops__gate_look {
    uint32_t range, generation;
    uint64_t begin, taken;
};

/* The gate of a reducer. */
const struct lithops__gate *lithops__gate_of(const struct lithops__area *area,
                                             const struct lithops__range *reducers, uint64_t call);
/* The first reducer whose gate ends after call `index` of the maps; gates are in order and do not
 * overlap. */
uint64_t lithops__gate_first_after(const struct lithops__area *area,
                                   const struct lithops__range *reducers, uint64_t index);
/* All calls of the gate were taken, and enough are done: whoever runs the reducer now waits only
 * for calls that run. (A taken one may be pending again, for a retry.)
 * @param look  the caller's, kept between calls; zero at first */
bool lithops__gate_is_open(const struct lithops__area *area, const struct lithops__gate *gate,
                           struct lithops__gate_look *look);

#endif
