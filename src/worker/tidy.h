/* SPDX-License-Identifier: Apache-2.0 */
/* Undo what a function did to its process, note what it wrote and used. */
#ifndef LITHOPS_WORKER_TIDY_H
#define LITHOPS_WORKER_TIDY_H

#include <stdbool.h>
#include <stdint.h>

struct lithops__call_extra;
struct lithops__worker_process;

void lithops__tidy_init(struct lithops__worker_process *process);
/* Nothing to restore and no output since the last tidying. */
bool lithops__is_tidy(const struct lithops__worker_process *process);
/* Calls have run long enough since to look at what memory they have left. */
bool lithops__is_memory_unseen(const struct lithops__worker_process *process);
/* After a call that was long enough to have made a system call. True when its output or its
 * length is worth an entry in ret_extra. */
bool lithops__tidy(struct lithops__worker_process *process, uint64_t ticks,
                   struct lithops__call_extra *ret_extra);
void lithops__tidy_before_long_call(struct lithops__worker_process *process);
/* Before the process sleeps: what lithops__tidy() does only now and then. */
void lithops__tidy_before_rest(struct lithops__worker_process *process);

#endif
