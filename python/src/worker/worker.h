/* SPDX-License-Identifier: Apache-2.0 */
/* The worker's main loop, as storage knows it. */
#ifndef LITHOPS_PYTHON_WORKER_WORKER_H
#define LITHOPS_PYTHON_WORKER_WORKER_H

#include "extension.h"

/* Record which call stores the next cloudobjects; does nothing outside a call. */
void worker_name_session(void);

#endif
