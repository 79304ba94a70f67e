/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the extension share.
 *
 * client/ is for clients, worker/ runs in worker processes; both use codec/ and storage/. module.c
 * puts them together.
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
    X(attributes) /* attributes that programs have set on futures: a dict by their addresses */    \
    X(made_type)  /* the class that new futures have: a subclass of future_type */                 \
    X(load)       /* data of a failed call -> exception */                                         \
    X(much_taken) /* called with an executor of which a program has taken many results */          \
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
    size_t little_memory;                 /* the least that an executor may use; 0: all have much */
    PyObject *warm[WARM_BYTES];           /* big bytes objects, see warm_bytes.c; or NULL */
    size_t warm_bytes, warm_next;
    bool is_worker; /* in a worker process, whose memory may be limited: nothing is kept warm */
    unsigned long exiting_thread; /* that closes the executors */
    bool is_exiting;              /* nothing is opened any more */
};

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
int lithops_add_elsewhere(PyObject *module);
int lithops_add_function(PyObject *module);
int lithops_add_executor(PyObject *module);
int lithops_add_job(PyObject *module);
int lithops_add_future(PyObject *module);
int lithops_add_wait(PyObject *module);
int lithops_add_remembered(PyObject *module);
int lithops_add_completed(PyObject *module);
int lithops_add_detached(PyObject *module);
int lithops_add_report(PyObject *module);
int lithops_add_codec(PyObject *module); /* dumps, loads, the buffer type */
int lithops_add_storage(PyObject *module);
int lithops_add_stream(PyObject *module);
int lithops_add_call(PyObject *module);
int lithops_add_worker(PyObject *module);

#endif
