/* SPDX-License-Identifier: Apache-2.0 */
/* Stream: the lines of a chunk. */
#ifndef LITHOPS_PYTHON_WORKER_STREAM_H
#define LITHOPS_PYTHON_WORKER_STREAM_H

#include "extension.h"

/* A Stream over the object of a call. NULL `newline`: plain byte ranges. */
PyObject *stream_new(struct module_state *state, lithops_stream *stream, const char *newline,
                     size_t newline_len);
/* The engine's stream is about to go: the object is closed. */
void stream_end(PyObject *stream);

#endif
