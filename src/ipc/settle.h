/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of calls whose worker is gone. All of it [L]. */
#ifndef LITHOPS_IPC_SETTLE_H
#define LITHOPS_IPC_SETTLE_H

#include "ipc/table.h"

/* A call that has failed so, and that its dead worker still owns: where retries are set, it waits
 * again. False: it is to be settled. */
bool lithops__settle_try_again(struct lithops__table *table, uint32_t range, uint64_t index,
                               uint16_t running, const lithops_error *error);
/* Offer those of [begin, end) that wait, if there are any. */
void lithops__settle_offer_rest(struct lithops__table *table, uint32_t range, uint64_t begin,
                                uint64_t end);
/* Nobody is there to run calls: fail all that wait. */
void lithops__settle_waiting(struct lithops__table *table, const lithops_error *error);

#endif
