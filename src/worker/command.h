/* SPDX-License-Identifier: Apache-2.0 */
/* The function behind every command: lithops_function_command(). */
#ifndef LITHOPS_WORKER_COMMAND_H
#define LITHOPS_WORKER_COMMAND_H

#include <lithops/call.h>

int lithops__command_call(lithops_call *call);

#endif
