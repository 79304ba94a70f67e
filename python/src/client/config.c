/* SPDX-License-Identifier: Apache-2.0 */
/* Files of the configuration, read as the engine reads them. */
#include "client/executor.h"
#include "codec/value.h"
#include "errors.h"
#include "extension.h"

PyDoc_STRVAR(read_config_doc,
             "read_config(path)\n--\n\n"
             "Content of a YAML file as dicts, lists and scalars; None if it is empty.");

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

PyDoc_STRVAR(find_config_doc, "find_config(path=None, /)\n--\n\n"
                              "The same of the configuration that an executor would find.");

static PyObject *find_config(PyObject *module, PyObject *args)
{
    const char *path = NULL;
    if (!PyArg_ParseTuple(args, "|z:find_config", &path))
        return NULL;
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_value *value;
    Py_BEGIN_ALLOW_THREADS
    value = lithops_config_find(path, &err);
    Py_END_ALLOW_THREADS
    PyObject *result = value ? value_to_python(value) : raise_error(state_of_module(module), &err);
    lithops_value_free(value);
    return result;
}

PyDoc_STRVAR(resolve_config_doc,
             "resolve_config(*, mode=None, backend=None, storage=None, monitoring=None,\n"
             "               config=None, config_file=None, log_level=None, settings=None,\n"
             "               worker_command=None)\n--\n\n"
             "The value that Executor.config would have.");

static PyMethodDef methods[] = {
    {"read_config", read_config, METH_O, read_config_doc},
    {"find_config", find_config, METH_VARARGS, find_config_doc},
    {"resolve_config", (PyCFunction)(void (*)(void))resolve_config, METH_VARARGS | METH_KEYWORDS,
     resolve_config_doc},
    {NULL, NULL, 0, NULL},
};

int lithops_add_config(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}
