/* SPDX-License-Identifier: Apache-2.0 */
/* Set up a new table before a compute backend opens on it. */
#ifndef LITHOPS_COMPUTE_SETUP_H
#define LITHOPS_COMPUTE_SETUP_H

#include "base/clock.h"
#include "config/config.h"
#include "ipc/table.h"

/* The rate of the clock, which is updated, and how much of calls' output is kept. */
void lithops__compute_setup(struct lithops__table *table, const struct lithops__config *config,
                            struct lithops__tick_clock *clock);
/* Store the configuration, for functions that use storage. ENOMEM, ENOSPACE. */
int lithops__compute_share_config(struct lithops__table *table,
                                  const struct lithops__config *config, lithops_error *err);

#endif
