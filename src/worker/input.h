/* SPDX-License-Identifier: Apache-2.0 */
/* The input of a call. */
#ifndef LITHOPS_WORKER_INPUT_H
#define LITHOPS_WORKER_INPUT_H

#include <lithops/call.h>

/* Set input_content and input_payload. */
void lithops__call_find_input(lithops_call *call);

#endif
