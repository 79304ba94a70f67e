/* SPDX-License-Identifier: Apache-2.0 */
/* Workers that were started on other machines, which are namespaces of this one. */
#ifndef LITHOPS_TESTS_COMPUTE_WORKER_H
#define LITHOPS_TESTS_COMPUTE_WORKER_H

#include <stdbool.h>
#include <sys/types.h>

/* Kill one of those that share a namespace ("net", "pid") with process `pid`. False: there is none.
 * Others' workers, as of tests that run at the same time, are left alone. */
bool compute_worker_kill(const char *kind, pid_t pid);

#endif
