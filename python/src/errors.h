/* SPDX-License-Identifier: Apache-2.0 */
/* Errors of the engine as exceptions. */
#ifndef LITHOPS_PYTHON_ERRORS_H
#define LITHOPS_PYTHON_ERRORS_H

#include "extension.h"

/* Raise what an error of the engine stands for. @return NULL, always */
PyObject *raise_error(struct module_state *state, const lithops_error *err);
/* The same as an exception object, not raised. NULL with another exception. */
PyObject *error_to_exception(struct module_state *state, const lithops_error *err);
/* The exception of a failed call, rebuilt from its data by `load`, else made from the error. `data`
 * may be empty. */
PyObject *call_to_exception(struct module_state *state, const lithops_error *err,
                            lithops_bytes data);
/* Raise an exception object and drop the reference to it; NULL raises nothing new.
 * @return NULL, always */
PyObject *raise_exception(PyObject *exception);
/* Fetch the exception that is set, and clear it. */
PyObject *take_raised(void);

#endif
