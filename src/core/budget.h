/* SPDX-License-Identifier: Apache-2.0 */
/* max_cost: a limit of what the calls of an executor cost. */
#ifndef LITHOPS_CORE_BUDGET_H
#define LITHOPS_CORE_BUDGET_H

#include <lithops/executor.h>

#include <stdint.h>

struct lithops__budget;

/* LITHOPS_ECONFIG: there is a limit, but nothing says what calls elsewhere cost. */
int lithops__budget_check(const lithops_executor *fexec, lithops_error *err);
/* Where the configuration has a limit, and calls cost something: watch it, until it is closed. */
int lithops__budget_open(lithops_executor *fexec, lithops_error *err);
/* Stop watching. NULL is fine, here and there. */
void lithops__budget_close(struct lithops__budget *budget);
void lithops__budget_free(struct lithops__budget *budget);
/* So many calls are to be started. LITHOPS_EDENIED: they may not. Without a budget they may. */
int lithops__budget_admit(lithops_executor *fexec, uint64_t calls, lithops_error *err);
#endif
