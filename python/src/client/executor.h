/* SPDX-License-Identifier: Apache-2.0 */
/* Executor, and the engine's handle behind it. */
#ifndef LITHOPS_PYTHON_CLIENT_EXECUTOR_H
#define LITHOPS_PYTHON_CLIENT_EXECUTOR_H

#include "extension.h"

struct executor {
    PyObject_HEAD lithops_executor *fexec; /* NULL: closed */
    unsigned generation;                   /* see fork.c */
    bool is_closed;                        /* no call may start any more */
    uint64_t looked_at;   /* results written by the time of the last tidy(), see remembered.c */
    size_t taken_bytes;   /* of results decoded since then */
    Py_ssize_t collected; /* so many of its first futures get_result() has given, see there */
    const PyObject *last_collected; /* the last of these; no reference */
    int users;                      /* threads using `fexec` without the GIL */
    PyThread_type_lock idle; /* released when users is 0, for the thread that closes it; or NULL */
    PyObject *id;            /* str */
    PyObject *backend;       /* str */
    PyObject *runtime;       /* str that the configuration names for that backend; or NULL */
    int64_t memory_mb, timeout_ms;    /* of its calls, where nothing else is said; 0: no limit */
    struct executor *next, *previous; /* in module_state.open_executors */
};

/* Close it and take it off the list of open executors; does nothing if it is closed. On a thread
 * that runs a done-callback, another thread closes the engine soon after. */
void executor_close(struct executor *executor);

/* The engine's handle, which stays valid until executor_leave(); NULL with an exception when it is
 * closed or of another process. */
lithops_executor *executor_enter(struct executor *executor);
void executor_leave(struct executor *executor);

/* An Executor that is attached to the jobs of a handle, whose futures are in *ret_futures, owned by
 * the caller; NULL with an exception. */
struct executor *executor_attach(struct module_state *state, const lithops_value *handle,
                                 PyObject *args, PyObject *kwargs, lithops_futures **ret_futures);

/* resolve_config(): the configuration of an executor with these options. */
PyObject *resolve_config(PyObject *module, PyObject *args, PyObject *kwargs);

#endif
