/* SPDX-License-Identifier: Apache-2.0 */
/* The relay: does for remote workers what they cannot do themselves.
 *
 * A worker process of this machine claims calls from the table, runs them, and publishes their
 * outcomes. For a remote worker, the relay in the client claims and publishes: a thread with an
 * event loop over all links of the executor. Each link has a slot of the table, whose region holds
 * the results that come over it. docs/remote.md has the messages and the states.
 *
 * Everything belongs to the relay's thread but what is marked [L], which is under the table's lock.
 */
#ifndef LITHOPS_RELAY_H
#define LITHOPS_RELAY_H

#include "config/config.h"
#include "ipc/table.h"

#include <lithops/plugin/compute.h>

struct lithops__relay;

/* Open links to the workers of `driver` and serve them; the table has a slot for each. Does not
 * wait for them. `worker_command` as in struct lithops_executor_options. */
int lithops__relay_open(const lithops_link_driver *driver, const lithops_value *settings,
                        struct lithops__table *table, const struct lithops__config *config,
                        const char *const *worker_command, struct lithops__relay **ret_relay,
                        lithops_error *err);
/* End everything: running calls are settled as cancelled. On return nothing touches the table. */
void lithops__relay_close(struct lithops__relay *relay);
/* [L] The calls [begin, end) of a range are to end. */
void lithops__relay_cancel(struct lithops__relay *relay, uint32_t range, uint64_t begin,
                           uint64_t end);

/* The version of the protocol that it speaks, for backends that can tell before a worker starts. */
int lithops__relay_protocol(void);

#endif
