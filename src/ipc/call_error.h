/* SPDX-License-Identifier: Apache-2.0 */
/* Errors of calls, on their way through shared memory. */
#ifndef LITHOPS_IPC_CALL_ERROR_H
#define LITHOPS_IPC_CALL_ERROR_H

#include <lithops/error.h>

/* Bytes that a struct lithops__call_error takes with these strings and data. */
size_t lithops__call_error_size(const lithops_error *error, lithops_bytes data);
void lithops__call_error_write(void *block, const lithops_error *error, lithops_bytes data);
void lithops__call_error_read(const void *block, lithops_error *ret_error);
/* The runtime's data. Borrowed from the block. */
lithops_bytes lithops__call_error_data(const void *block);

#endif
