/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the extension share.
 *
 * The client's side: errors.c, function.c, executor.c, job.c, future.c, wait.c. The worker's side:
 * worker.c, call.c. Both: codec.c, value.c, stream.c, storage.c. module.c puts them together.
 *
 * All state is in the module: an interpreter that imports it again has types and settings of its
 * own. Every function here needs the GIL and, unless said otherwise, sets a Python exception when
 * it returns NULL or -1. */
#ifndef LITHOPS_PYTHON_EXTENSION_H
#define LITHOPS_PYTHON_EXTENSION_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <lithops/lithops.h>
#include <lithops/plugin/runtime.h>

enum { LITHOPS_CODE_COUNT = 23 }; /* codes are 0 .. -22 */
enum { WARM_BYTES = 64 };

/* References that the module holds: each is visited, cleared and declared from here. A file that
 * needs another one adds a line. */
#define MODULE_OBJECTS(X)                                                                          \
    /* types */                                                                                    \
    X(function_type)                                                                               \
    X(executor_type)                                                                               \
    X(future_type)    /* _lithops.Future */                                                        \
    X(memory_type)    /* keeps a result that was handed over */                                    \
    X(completed_type) /* iterator of as_completed */                                               \
    X(storage_type)                                                                                \
    X(reader_type)                                                                                 \
    X(call_type)                                                                                   \
    X(stream_type)                                                                                 \
    X(buffer_type) /* a buffer that lies in shared memory */                                       \
    /* configure() */                                                                              \
    X(made_type) /* the class that new futures have: a subclass of future_type */                  \
    X(load)      /* data of a failed call -> exception */                                          \
    /* codec */                                                                                    \
    X(pickle_dumps)                                                                                \
    X(pickle_loads)                                                                                \
    X(cloudpickle_dumps) /* NULL until it is needed */                                             \
    X(protocol)          /* 5 */                                                                   \
    X(dumps_names)       /* names of keyword arguments */                                          \
    X(loads_names)                                                                                 \
    /* the worker's side */                                                                        \
    X(output_type)     /* under sys.stdout and sys.stderr */                                       \
    X(process_storage) /* of all calls of this worker process */

struct executor; /* executor.c */

struct module_state {
#define MODULE_DECLARE(name) PyObject *name;
    MODULE_OBJECTS(MODULE_DECLARE)
#undef MODULE_DECLARE
    PyObject *errors[LITHOPS_CODE_COUNT]; /* exception class by -code; NULL: errors.c has one */
    struct executor *open_executors;      /* a list, to close what is open when Python exits */
    size_t big_bytes;                     /* of big results, decoded since tidy() has looked last */
    size_t little_memory;                 /* the least that an executor may use; 0: all have much */
    PyObject *warm[WARM_BYTES];           /* big bytes objects, see warm_bytes.c; or NULL */
    size_t warm_bytes, warm_next;
    bool is_worker;  /* in a worker process, whose memory may be limited: nothing is kept warm */
    bool is_exiting; /* nothing is opened any more */
};

/* warm_bytes.c: a bytes object with this content. */
PyObject *warm_bytes(struct module_state *state, lithops_bytes content);
void warm_bytes_forget(struct module_state *state);

extern PyModuleDef lithops_module; /* module.c */

static inline struct module_state *state_of_module(PyObject *module)
{
    return PyModule_GetState(module);
}
/* The state behind an object of one of the module's types, or of a subclass. No exception, never
 * NULL for those. */
struct module_state *state_of(PyObject *self);
/* Make a heap type of the module out of its spec and keep it in *slot; add it to the module under
 * the last part of its name when `is_public`. */
int add_type(PyObject *module, PyType_Spec *spec, PyObject **slot, bool is_public);

/* ---- each file's part of the module: types and functions ------------------------------------- */

int lithops_add_errors(PyObject *module);
int lithops_add_log(PyObject *module);
int lithops_add_config(PyObject *module);
int lithops_add_surroundings(PyObject *module);
int lithops_add_function(PyObject *module);
int lithops_add_executor(PyObject *module);
int lithops_add_job(PyObject *module);
int lithops_add_future(PyObject *module);
int lithops_add_wait(PyObject *module);
int lithops_add_completed(PyObject *module);
int lithops_add_report(PyObject *module);
int lithops_add_codec(PyObject *module); /* dumps, loads, the buffer type */
int lithops_add_storage(PyObject *module);
int lithops_add_stream(PyObject *module);
int lithops_add_call(PyObject *module);
int lithops_add_worker(PyObject *module);

/* ---- errors.c -------------------------------------------------------------------------------- */

/* Raise what an error of the engine stands for. @return NULL, always */
PyObject *raise_error(struct module_state *state, const lithops_error *err);
/* The same as an exception object, not raised. NULL with another exception. */
PyObject *error_to_exception(struct module_state *state, const lithops_error *err);
/* What a failed call raises: from its data by `load`, else from the error. `data` may be empty. */
PyObject *call_to_exception(struct module_state *state, const lithops_error *err,
                            lithops_bytes data);
/* Raise an exception object and drop the reference to it; NULL raises nothing new.
 * @return NULL, always */
PyObject *raise_exception(PyObject *exception);

/* ---- codec.c: payloads ----------------------------------------------------------------------- */

/* A payload and what its bytes lie in. */
struct encoded {
    lithops_payload payload; /* a pickle with buffers is a PIECES */
    PyObject *held;          /* a reference, or NULL */
    void *memory;            /* for free(), or NULL */
};
/* None, bool, int of 64 bits, float, str, bytes as they are, all else a pickle. What was filled
 * is for codec_release(); nothing is filled on failure. */
int codec_encode(struct module_state *state, PyObject *object, struct encoded *ret);
void codec_release(struct encoded *encoded);
/* @param owner  keeps the payload's bytes valid as long as it lives: buffers out of band are
 *               handed over and hold it. NULL: they are copied */
PyObject *codec_decode(struct module_state *state, const lithops_payload *payload, PyObject *owner);

/* ---- value.c --------------------------------------------------------------------------------- */

/* None, bool, int, float, str, bytes, list and tuple, dict with str keys, of these and inside each
 * other. TypeError names what does not fit. The value is a copy. */
lithops_value *value_from_python(PyObject *object);
/* NULL gives None. */
PyObject *value_to_python(const lithops_value *value);

#endif
