/* SPDX-License-Identifier: Apache-2.0 */
/* Inputs and results as values. */
#ifndef LITHOPS_IPC_PAYLOAD_H
#define LITHOPS_IPC_PAYLOAD_H

#include "ipc/area.h"

#include <lithops/value.h>

/* The value of a payload, for lithops_value_free(). Strings and bytes borrow from shared memory.
 * NULL with LITHOPS_ECLOSED (it was released), LITHOPS_ETYPE (a pickle), LITHOPS_ENOMEM. */
lithops_value *lithops__payload_value(const struct lithops__area *area,
                                      enum lithops__content content, uint64_t payload,
                                      lithops_error *err);

#endif
