/* SPDX-License-Identifier: Apache-2.0 */
/* What the engine asks for when workers are on machines that have none of this one's files: the
 * package says it, `_client/elsewhere.py`. */
#include "codec/value.h"
#include "errors.h"
#include "extension.h"

#include <lithops/plugin/runtime.h>

/* What was raised, as the error; the exception is gone. */
static void take_exception(lithops_error *err)
{
    PyObject *exception = take_raised();
    PyObject *text = exception ? PyObject_Str(exception) : NULL;
    const char *message = text ? PyUnicode_AsUTF8(text) : NULL;
    err->code = LITHOPS_EBACKEND;
    snprintf(err->message, sizeof err->message, "the Python package cannot be sent to hosts: %s",
             message ? message : "no reason given");
    Py_XDECREF(text);
    Py_XDECREF(exception);
    PyErr_Clear();
}

/* By the thread that opens an executor, which has released the GIL for it. */
static lithops_value *make_kit(lithops_error *err)
{
    PyGILState_STATE before = PyGILState_Ensure();
    PyObject *module = PyImport_ImportModule("lithops._client.elsewhere");
    PyObject *kit = module ? PyObject_CallMethod(module, "kit", NULL) : NULL;
    lithops_value *value = kit ? value_from_python(kit) : NULL;
    if (!value)
        take_exception(err);
    Py_XDECREF(kit);
    Py_XDECREF(module);
    PyGILState_Release(before);
    return value;
}

int lithops_add_elsewhere(PyObject *Py_UNUSED(module))
{
    lithops_runtime_elsewhere(make_kit);
    return 0;
}
