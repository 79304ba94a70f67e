/* SPDX-License-Identifier: Apache-2.0 */
/* sys.stdout and sys.stderr of a call. */
#ifndef LITHOPS_PYTHON_WORKER_OUTPUT_H
#define LITHOPS_PYTHON_WORKER_OUTPUT_H

#include "extension.h"

int output_add_type(PyObject *module);
/* A call (or NULL) has ended: what it wrote last goes where the engine looks for it.
 * @return false: a stream was closed by the function, and must be made again */
bool output_end_call(lithops_call *call);
/* From now on a crash does not lose buffered output. */
void output_watch_crashes(void);

#endif
