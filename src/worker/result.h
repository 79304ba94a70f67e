/* SPDX-License-Identifier: Apache-2.0 */
/* What a call returns: its result, and its runtime's data about an error. */
#ifndef LITHOPS_WORKER_RESULT_H
#define LITHOPS_WORKER_RESULT_H

#include <lithops/call.h>

/* Ready for the next call. */
void lithops__call_clear(lithops_call *call);
/* Copy the runtime's data about the call's error; none when memory is out. */
void lithops__call_keep_data(lithops_call *call, lithops_bytes data);
/* Drop a result that was given before. */
void lithops__call_drop_result(lithops_call *call);

/* Return a copy of a value. */
int lithops__return_borrowed(lithops_call *call, const lithops_value *value);

#endif
