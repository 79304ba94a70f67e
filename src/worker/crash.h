/* SPDX-License-Identifier: Apache-2.0 */
/* The last words of a worker process that a signal ends. */
#ifndef LITHOPS_WORKER_CRASH_H
#define LITHOPS_WORKER_CRASH_H

#include <stdbool.h>

struct lithops__worker_process;

/* keep_handlers: those that are set run after the engine's: a runtime has last words of its own. */
void lithops__crash_init(struct lithops__worker_process *process, bool keep_handlers);

#endif
