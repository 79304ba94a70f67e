/* SPDX-License-Identifier: Apache-2.0 */
/* A worker that a service has asked this process for: `lithops worker --through KEY`, its child. */
#ifndef LITHOPS_AGENT_THROUGH_H
#define LITHOPS_AGENT_THROUGH_H

#include "compute/child.h"

/* Start it with `config` as its configuration. Its environment is this one's without the secret of
 * requests. It is killed when this process ends. One thread only may start children, and the
 * process has no other.
 * @param keeps_log  its standard error is kept, for lithops__child_log_tail(); else it is ours */
int lithops__through_start(struct lithops__child *child, const char *command, const char *key,
                           const char *config, bool keeps_log, lithops_error *err);
/* It has ended: reap it, and say how. */
void lithops__through_end(struct lithops__child *child, char *ret_how, size_t size);

#endif
