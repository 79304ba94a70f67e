/* SPDX-License-Identifier: Apache-2.0 */
/* What calls with prices of their own have cost. All of it [L]. */
#ifndef LITHOPS_CORE_CHARGE_H
#define LITHOPS_CORE_CHARGE_H

#include <lithops/executor.h>

struct lithops__job;

/* USD, of the calls that are done: of all jobs of the executor. */
double lithops__charge(lithops_executor *fexec);
/* The job is forgotten, its cost is not. */
void lithops__charge_forget(struct lithops__job *job);

#endif
