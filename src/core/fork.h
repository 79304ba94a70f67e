/* SPDX-License-Identifier: Apache-2.0 */
/* Whether this process is the one that opened an executor. */
#ifndef LITHOPS_CORE_FORK_H
#define LITHOPS_CORE_FORK_H

#include <lithops/executor.h>

#include <stdbool.h>

/* fork.c: the executor belongs to this process. */
void lithops__fork_mark(void);
/* Make its memory private in children, or no longer. */
void lithops__fork_watch(lithops_executor *fexec);
void lithops__fork_forget(const lithops_executor *fexec);
bool lithops__is_forked(const lithops_executor *fexec);
int lithops__executor_check(const lithops_executor *fexec, lithops_error *err);

#endif
