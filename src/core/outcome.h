/* SPDX-License-Identifier: Apache-2.0 */
/* Reading states, results and errors of calls. */
#ifndef LITHOPS_CORE_OUTCOME_H
#define LITHOPS_CORE_OUTCOME_H

#include <lithops/executor.h>
#include <lithops/future.h>

struct lithops__job;

lithops_state lithops__outcome_state(const struct lithops__job *job, uint64_t index);
void lithops__call_key(const struct lithops__job *job, uint64_t index, char *buf, size_t size);
int lithops__outcome_error(const struct lithops__job *job, uint64_t index,
                           lithops_error *ret_error);
/* The runtime's data about a failed call; borrowed. */
lithops_bytes lithops__outcome_data(const struct lithops__job *job, uint64_t index);
/* Of a call that has succeeded, in place. */
int lithops__outcome_bytes(const struct lithops__job *job, uint64_t index, lithops_bytes *ret_bytes,
                           lithops_error *err);
lithops_value *lithops__outcome_value(const struct lithops__job *job, uint64_t index,
                                      lithops_error *err);

#endif
