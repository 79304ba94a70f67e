/* SPDX-License-Identifier: Apache-2.0 */
/* Files of the configuration, read as the engine reads them. */
#include "extension.h"

PyDoc_STRVAR(read_config_doc,
             "read_config(path)\n--\n\n"
             "What a YAML file has, as dicts, lists and scalars; None if nothing.");

static PyObject *read_config(PyObject *module, PyObject *file)
{
    PyObject *path;
    if (!PyUnicode_FSConverter(file, &path))
        return NULL;
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_value *value;
    Py_BEGIN_ALLOW_THREADS
    value = lithops_config_read(PyBytes_AS_STRING(path), &err);
    Py_END_ALLOW_THREADS
    Py_DECREF(path);
    PyObject *result = value ? value_to_python(value) : raise_error(state_of_module(module), &err);
    lithops_value_free(value);
    return result;
}

static PyMethodDef methods[] = {
    {"read_config", read_config, METH_O, read_config_doc},
    {NULL, NULL, 0, NULL},
};

int lithops_add_config(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}
