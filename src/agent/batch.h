/* SPDX-License-Identifier: Apache-2.0 */
/* What a job of a batch service is told: which workers its parts are. `lithops worker --batch` runs
 * in each of them. */
#ifndef LITHOPS_AGENT_BATCH_H
#define LITHOPS_AGENT_BATCH_H

#include "net/batch_job.h"

#include <lithops/error.h>

#include <stddef.h>

/* Which part this process is, by the variable that the service sets, and so its key for
 * `--through`; the configuration becomes LITHOPS_CONFIG in the environment. EUSAGE: the variables
 * are not those of a job. */
int lithops__batch_take(char *ret_key, size_t size, lithops_error *err);

#endif
