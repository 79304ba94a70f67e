/* SPDX-License-Identifier: Apache-2.0 */
/* Whether this program can be started again as a worker process. */
#ifndef LITHOPS_WORKER_INIT_H
#define LITHOPS_WORKER_INIT_H

#include <lithops/base.h>

bool lithops__init_was_called(void);

#endif
