/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the worker's side share: worker.c, call.c, stream.c,
 * storage.c, reader.c, output.c. */
#ifndef LITHOPS_PYTHON_WORKER_H
#define LITHOPS_PYTHON_WORKER_H

#include "extension.h"

/* ---- call.c ---------------------------------------------------------------------------------- */

/* A Call of `call`, for as long as it runs. */
PyObject *call_new(struct module_state *state, lithops_call *call);
/* The call has ended: whoever kept its object gets RuntimeError. Consumes the reference.
 * @return the code of the error that a map call has left in a reducer, or 0 */
int call_end(PyObject *call);

/* ---- stream.c -------------------------------------------------------------------------------- */

/* A Stream over the object of a call. NULL `newline`: plain byte ranges. */
PyObject *stream_new(struct module_state *state, lithops_stream *stream, const char *newline,
                     size_t newline_len);
/* The engine's stream is about to go: the object is closed. */
void stream_end(PyObject *stream);

/* ---- storage.c ------------------------------------------------------------------------------- */

/* A Storage over a handle that somebody else closes, and that lives as long as the process. */
PyObject *storage_of_process(struct module_state *state, lithops_storage *storage);

/* reader.c */
PyObject *reader_new(struct module_state *state, PyObject *owner, lithops_storage *storage,
                     PyObject *bucket, PyObject *key, uint64_t offset, uint64_t len);
int reader_add_type(PyObject *module);

/* ---- worker.c -------------------------------------------------------------------------------- */

/* Note for cloudobjects which call puts them; nothing outside of a call. */
void worker_name_session(void);

/* ---- output.c -------------------------------------------------------------------------------- */

int output_add_type(PyObject *module);
/* A call (or NULL) has ended: what it wrote last goes where the engine looks for it.
 * @return false: a stream was closed by the function, and must be made again */
bool output_end_call(lithops_call *call);
/* From now on a crash does not lose what is held. */
void output_watch_crashes(void);

/* arenas.c: once, in a worker process. */
void keep_arenas_warm(void);

#endif
