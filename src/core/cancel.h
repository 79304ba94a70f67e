/* SPDX-License-Identifier: Apache-2.0 */
/* Cancelling calls. */
#ifndef LITHOPS_CORE_CANCEL_H
#define LITHOPS_CORE_CANCEL_H

#include <stdbool.h>
#include <stdint.h>

struct lithops__job;

bool lithops__cancel_call(struct lithops__job *job, uint64_t index);
uint64_t lithops__cancel_job(struct lithops__job *job, uint64_t begin, uint64_t end);

#endif
