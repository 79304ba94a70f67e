/* SPDX-License-Identifier: Apache-2.0 */
/* Detects objects that are used in a forked child of the process that made them. */
#ifndef LITHOPS_PYTHON_CLIENT_FORK_H
#define LITHOPS_PYTHON_CLIENT_FORK_H

#include "extension.h"

/* Watch for forks from now on; once per process. */
int fork_watch(void);
/* Counts the forks between the first process and this one. */
unsigned fork_generation(void);
/* Returns true and sets an exception if this process was forked from the one with that generation.
 */
bool fork_refused(struct module_state *state, unsigned generation, const char *what);

#endif
