/* SPDX-License-Identifier: Apache-2.0 */
/* Waits during which signal handlers run. */
#ifndef LITHOPS_PYTHON_CLIENT_WAIT_H
#define LITHOPS_PYTHON_CLIENT_WAIT_H

#include "extension.h"

/* lithops_wait() without the GIL. 0; a code of the engine, which fills err; 1: a signal handler has
 * raised, its exception is set. */
int wait_for_futures(struct module_state *state, lithops_futures *futures, int return_when,
                     int64_t timeout_ms, bool throw_except, lithops_error *err);
/* lithops_futures_next() likewise. */
int wait_for_next(struct module_state *state, lithops_futures *futures, int64_t timeout_ms,
                  size_t *ret_index, lithops_error *err);

#endif
