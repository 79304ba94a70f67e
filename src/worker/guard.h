/* SPDX-License-Identifier: Apache-2.0 */
/* The process that cleans up when the client is gone. */
#ifndef LITHOPS_WORKER_GUARD_H
#define LITHOPS_WORKER_GUARD_H

struct lithops__worker_process;

/* The first worker process of an executor starts it. */
void lithops__guard_start(struct lithops__worker_process *process);

#endif
