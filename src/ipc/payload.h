/* SPDX-License-Identifier: Apache-2.0 */
/* Inputs and results as values. */
#ifndef LITHOPS_IPC_PAYLOAD_H
#define LITHOPS_IPC_PAYLOAD_H

#include "ipc/area.h"

#include <lithops/plugin/runtime.h>

/* The value of a payload, for lithops_value_free(). Strings and bytes borrow from shared memory.
 * A pickle is opaque bytes. NULL with LITHOPS_ECLOSED (it was released), LITHOPS_ENOMEM. */
lithops_value *lithops__payload_value(const struct lithops__area *area,
                                      enum lithops__content content, uint64_t payload,
                                      lithops_error *err);

/* The same without decoding; bytes are borrowed. 0; LITHOPS_ECLOSED, LITHOPS_ETYPE. */
int lithops__payload_read(const struct lithops__area *area, enum lithops__content content,
                          uint64_t payload, lithops_payload *ret_payload, lithops_error *err);

#endif
