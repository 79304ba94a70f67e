/* SPDX-License-Identifier: Apache-2.0 */
/* Methods of Executor that start jobs of many calls. */
#ifndef LITHOPS_PYTHON_CLIENT_EXECUTOR_MAP_H
#define LITHOPS_PYTHON_CLIENT_EXECUTOR_MAP_H

#include "extension.h"

PyObject *executor_map(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
PyObject *executor_map_futures(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                               PyObject *kwnames);
PyObject *executor_map_reduce(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                              PyObject *kwnames);
extern const char executor_map_doc[], executor_map_futures_doc[], executor_map_reduce_doc[];

#endif
