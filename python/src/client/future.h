/* SPDX-License-Identifier: Apache-2.0 */
/* Future. */
#ifndef LITHOPS_PYTHON_CLIENT_FUTURE_H
#define LITHOPS_PYTHON_CLIENT_FUTURE_H

#include "extension.h"

struct job;

struct future {
    PyObject_HEAD struct job *job;
    size_t index;
};
PyObject *future_new(struct job *job, size_t index);
/* A list of the Futures of all calls. */
PyObject *futures_of_job(struct job *job);

#endif
