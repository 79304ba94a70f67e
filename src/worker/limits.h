/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of a worker process: its limit, and how much there is. */
#ifndef LITHOPS_WORKER_LIMITS_H
#define LITHOPS_WORKER_LIMITS_H

#include <lithops/error.h>

#include <stdbool.h>
#include <stdint.h>

struct lithops__worker_process;

/* Of a process, as the kernel counts it; 0: not known. */
struct lithops__memory {
    uint64_t virtual_bytes, resident_bytes, shared_bytes, data_bytes;
};

int lithops__limits_enter(struct lithops__worker_process *process, uint64_t memory_bytes,
                          lithops_error *err);
int lithops__limits_before_growth(void *process, uint64_t bytes);
/* How many processes of this one's group the kernel has killed for want of memory; 0 without a
 * limit or without a group. */
uint64_t lithops__limits_oom_kills(const struct lithops__worker_process *process);
void lithops__memory_read(struct lithops__memory *ret_memory);
/* Between calls: have earlier ones left so much that the next one lacks it? False without a limit.
 */
bool lithops__limits_are_worn(const struct lithops__worker_process *process,
                              const struct lithops__memory *memory);

#endif
