/* SPDX-License-Identifier: Apache-2.0 */
/* Room for results in shared memory. */
#ifndef LITHOPS_WORKER_ROOM_H
#define LITHOPS_WORKER_ROOM_H

#include "ipc/layout.h"

#include <lithops/call.h>

/* A block of the worker's region; where memory is short, waits until results are given back. 0:
 * there is none. */
lithops__offset lithops__call_room(lithops_call *call, uint64_t len);

#endif
