/* SPDX-License-Identifier: Apache-2.0 */
/* Function. */
#ifndef LITHOPS_PYTHON_CLIENT_FUNCTION_H
#define LITHOPS_PYTHON_CLIENT_FUNCTION_H

#include "extension.h"

struct function {
    PyObject_HEAD lithops_function *function;
    PyObject *name; /* str */
    bool is_native;
};
/* The argument as a Function, borrowed; NULL with TypeError if it is not one. */
struct function *take_function(struct module_state *state, PyObject *object, const char *name);

#endif
