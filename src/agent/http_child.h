/* SPDX-License-Identifier: Apache-2.0 */
/* A worker that a request has started: `lithops worker --through KEY`, a child of this process. */
#ifndef LITHOPS_AGENT_HTTP_CHILD_H
#define LITHOPS_AGENT_HTTP_CHILD_H

#include "compute/child.h"

/* Start it with `config` as its configuration. Its environment is this one's without the secret of
 * the requests; its standard error is kept for lithops__child_log_tail(). It is killed when this
 * process ends. One thread only may start children, and the process has no other. */
int lithops__http_child_start(struct lithops__child *child, const char *command, const char *key,
                              const char *config, lithops_error *err);
/* It has ended: reap it, and say how. */
void lithops__http_child_end(struct lithops__child *child, char *ret_how, size_t size);

#endif
