/* SPDX-License-Identifier: Apache-2.0 */
/* Running calls, until there are no more. */
#ifndef LITHOPS_WORKER_LOOP_H
#define LITHOPS_WORKER_LOOP_H

#include <stdint.h>

struct lithops__range;
struct lithops__worker_process;

void lithops__worker_run(struct lithops__worker_process *process);
/* Wait until call `index` of a range is done; for reducers. */
void lithops__worker_wait_for(struct lithops__worker_process *process, struct lithops__range *range,
                              uint64_t index);

#endif
