/* SPDX-License-Identifier: Apache-2.0 */
/* Giving back what calls hold in shared memory. All of it [L], of calls that are done. */
#ifndef LITHOPS_IPC_RELEASE_H
#define LITHOPS_IPC_RELEASE_H

#include "ipc/table.h"

/* Give one result or error back (of a record that no other thread reads). */
void lithops__release_result(struct lithops__table *table, struct lithops__record *record);
/* The same for the result of a call that has succeeded; its notes move away from the results, where
 * they would hold a whole extent. */
void lithops__release_call(struct lithops__table *table, struct lithops__range *range,
                           uint64_t index);
/* All results, errors and inputs of a range whose calls are done and whose results are no longer
 * needed. Times and the places of the calls' output stay. */
void lithops__release_outcomes(struct lithops__table *table, struct lithops__range *range);
/* All memory of a range that no worker still looks at. */
void lithops__release_range(struct lithops__table *table, struct lithops__range *range);

enum { LITHOPS__QUIET_NS = 100000000 };
/* `bytes` were given back. If that is much, unused memory returns to the system after a quiet
 * while: see lithops__table_tend(). */
void lithops__release_note(struct lithops__table *table, uint64_t bytes);
void lithops__release_later(struct lithops__table *table);

#endif
