/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the tests of detached jobs. Their executors have two worker processes. */
#ifndef LITHOPS_TESTS_DETACHED_H
#define LITHOPS_TESTS_DETACHED_H

#include "api.h"

/* For the setup of each test: a place of its own for its jobs. */
int prepare(void **state);

/* @param policy  on_supervisor_lost */
lithops_executor *open_detached(const char *policy);
lithops_executor *open_with(const char *policy, double idle_s, double expiry_s);

/* Its calls from the fifth on wait while the gate is closed; each notes that it has run. */
extern lithops_function gated[1];
void close_gate(void);
void open_gate(void);
/* How often each of `count` calls has run. */
void count_runs(int *runs, int count);
/* A map of it from 0 to `count` by a client that is killed; 4 of them are done. */
lithops_value *leave_job(const char *policy, int64_t count);

lithops_job_state state_of(const lithops_value *handle);
/* Until so many calls are done. */
void await_done(const lithops_value *handle, uint64_t count);
pid_t supervisor_of(const lithops_value *handle);
/* Kill it. */
void end_supervisor(const lithops_value *handle);
/* Release the job, and free the handle. */
void release(lithops_value *handle);

#endif
