/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the parts of the conformance suite of compute backends. */
#ifndef LITHOPS_TESTS_COMPUTE_PARTS_H
#define LITHOPS_TESTS_COMPUTE_PARTS_H

#include "../integration/api.h"
#include "../sanitizers.h"
#include "compute_suite.h"

enum { WORKERS = 2, PROCESSES = 2 }; /* of `fexec`, which most tests share */

extern const struct compute_suite *suite;

/* An executor over the backend; `retries` is call_retries. */
lithops_executor *suite_open(int workers, int processes, int retries);
/* One with the same workers as `fexec`, whose jobs are detached. */
lithops_executor *suite_open_detached(void);
/* Group fixture: `fexec`. */
int suite_open_group(void **state);

lithops_future *suite_call(const lithops_function *function, lithops_value *input);
lithops_futures *suite_map(const lithops_function *function, lithops_value *list);
/* The executor gives right results. */
void suite_works(lithops_executor *opened);
/* Wait until `count` calls run at the same time. */
void suite_await_running(const lithops_futures *futures, size_t count);
/* Wait for all of a sequence, however they end. */
void suite_settle(lithops_futures *futures);

#define SKIP_UNLESS(condition, reason)                                                             \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            print_message("skipped: %s\n", reason);                                                \
            skip();                                                                                \
        }                                                                                          \
    } while (0)

extern lithops_function suite_square[1]; /* int -> its square */
extern lithops_function suite_echo[1];
extern lithops_function suite_pause[1]; /* never ends */

/* @return the number of failed tests */
int compute_jobs_run(void);    /* results of jobs */
int compute_views_run(void);   /* waiting, and statistics of calls */
int compute_endings_run(void); /* calls that fail, are cancelled or are lost */
int compute_detached_run(void);

#endif
