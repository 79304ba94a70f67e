/* SPDX-License-Identifier: Apache-2.0 */
/* Threads of the engine that run done-callbacks. */
#ifndef LITHOPS_PYTHON_CLIENT_CALLBACK_THREAD_H
#define LITHOPS_PYTHON_CLIENT_CALLBACK_THREAD_H

#include "extension.h"

/* Take the GIL on an engine thread that runs a done-callback. False: Python has exited. */
bool callback_thread_enter(PyGILState_STATE *ret_before);
void callback_thread_leave(PyGILState_STATE before);
/* Whether this thread is running a done-callback. */
bool is_callback_thread(void);

#endif
