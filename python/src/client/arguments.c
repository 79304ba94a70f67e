/* SPDX-License-Identifier: Apache-2.0 */
/* Arguments of methods: matching them to names, and converting them for the engine's options.
 *
 * METH_FASTCALL methods cannot use PyArg_Parse*, and building a tuple and a dict for it would cost
 * more than the call itself. */
#include "client/arguments.h"

#include "codec/value.h"
#include "extension.h"

#include <math.h>

static int find_name(const char *const *names, PyObject *key)
{
    for (int i = 0; names[i]; i++)
        if (PyUnicode_CompareWithASCIIString(key, names[i]) == 0)
            return i;
    return -1;
}

int take_arguments(const struct signature *signature, PyObject *const *args, Py_ssize_t nargs,
                   PyObject *kwnames, PyObject **ret_values)
{
    if (nargs > signature->positional) {
        PyErr_Format(PyExc_TypeError, "%s() takes %d positional arguments, %zd were given",
                     signature->method, signature->positional, nargs);
        return -1;
    }
    for (int i = 0; signature->names[i]; i++)
        ret_values[i] = i < nargs ? args[i] : NULL;
    for (Py_ssize_t k = 0; kwnames && k < PyTuple_GET_SIZE(kwnames); k++) {
        PyObject *key = PyTuple_GET_ITEM(kwnames, k);
        int i = find_name(signature->names, key);
        if (i < 0 || ret_values[i]) {
            PyErr_Format(PyExc_TypeError,
                         i < 0 ? "%s() got an unexpected keyword argument '%U'"
                               : "%s() got argument '%U' twice",
                         signature->method, key);
            return -1;
        }
        ret_values[i] = args[nargs + k];
    }
    for (int i = 0; i < signature->required; i++)
        if (!ret_values[i]) {
            PyErr_Format(PyExc_TypeError, "%s() is missing the argument '%s'", signature->method,
                         signature->names[i]);
            return -1;
        }
    return 0;
}

int take_ms(PyObject *seconds, const char *name, int64_t none, int64_t *ret_ms)
{
    *ret_ms = none;
    if (!seconds || seconds == Py_None)
        return 0;
    double s = PyFloat_AsDouble(seconds);
    if (s == -1.0 && PyErr_Occurred()) {
        if (PyErr_ExceptionMatches(PyExc_TypeError))
            PyErr_Format(PyExc_TypeError, "%s: seconds or None expected, %s given", name,
                         Py_TYPE(seconds)->tp_name);
        else if (PyErr_ExceptionMatches(PyExc_OverflowError))
            PyErr_Format(PyExc_ValueError, "%s: too large", name);
        return -1;
    }
    if (isnan(s) || s < 0) {
        PyErr_Format(PyExc_ValueError, "%s is %R: a non-negative number of seconds is expected",
                     name, seconds);
        return -1;
    }
    double ms = ceil(s * 1e3);
    *ret_ms = ms < 9e18 ? (int64_t)ms : LITHOPS_FOREVER;
    return 0;
}

int take_int(PyObject *object, const char *name, int64_t *ret_int)
{
    *ret_int = LITHOPS_DEFAULT;
    if (!object || object == Py_None)
        return 0;
    PyObject *index = PyNumber_Index(object); /* numpy's ints too; no floats */
    if (!index) {
        if (PyErr_ExceptionMatches(PyExc_TypeError))
            PyErr_Format(PyExc_TypeError, "%s: int or None expected, %s given", name,
                         Py_TYPE(object)->tp_name);
        return -1;
    }
    int overflow = 0;
    int64_t value = PyLong_AsLongLongAndOverflow(index, &overflow);
    Py_DECREF(index);
    if (overflow || value == LITHOPS_DEFAULT) {
        PyErr_Format(PyExc_ValueError, "%s is %R: too large", name, object);
        return -1;
    }
    *ret_int = value;
    return value == -1 && PyErr_Occurred() ? -1 : 0;
}

int take_text(PyObject *object, const char *name, const char **ret_text)
{
    *ret_text = NULL;
    if (!object || object == Py_None)
        return 0;
    if (!PyUnicode_Check(object)) {
        PyErr_Format(PyExc_TypeError, "%s: str or None expected, %s given", name,
                     Py_TYPE(object)->tp_name);
        return -1;
    }
    Py_ssize_t len;
    const char *text = PyUnicode_AsUTF8AndSize(object, &len);
    if (!text)
        return -1;
    if (strlen(text) != (size_t)len) {
        PyErr_Format(PyExc_ValueError, "%s: a str without NUL characters expected", name);
        return -1;
    }
    *ret_text = text;
    return 0;
}

int take_env(PyObject *object, lithops_value **ret_env)
{
    *ret_env = NULL;
    if (!object || object == Py_None)
        return 0;
    if (!PyDict_Check(object)) {
        PyErr_Format(PyExc_TypeError, "extra_env: dict or None expected, %s given",
                     Py_TYPE(object)->tp_name);
        return -1;
    }
    *ret_env = value_from_python(object);
    return *ret_env ? 0 : -1;
}

int take_bool(PyObject *object, bool missing, bool *ret_bool)
{
    int truth = object ? PyObject_IsTrue(object) : missing;
    *ret_bool = truth > 0;
    return truth < 0 ? -1 : 0;
}

int text_list_open(PyObject *object, const char *name, struct text_list *ret_list)
{
    *ret_list = (struct text_list){NULL, NULL};
    if (!object || object == Py_None)
        return 0;
    if (!PyList_Check(object) && !PyTuple_Check(object)) {
        PyErr_Format(PyExc_TypeError, "%s: a list or tuple of str expected, %s given", name,
                     Py_TYPE(object)->tp_name);
        return -1;
    }
    struct text_list list = {NULL, PySequence_Tuple(object)}; /* a copy that cannot change */
    Py_ssize_t count = list.sequence ? PyTuple_GET_SIZE(list.sequence) : 0;
    list.texts = list.sequence ? PyMem_Calloc((size_t)count + 1, sizeof *list.texts) : NULL;
    if (list.sequence && !list.texts)
        PyErr_NoMemory();
    bool ok = list.texts != NULL;
    for (Py_ssize_t i = 0; ok && i < count; i++) {
        PyObject *item = PyTuple_GET_ITEM(list.sequence, i);
        ok = take_text(item, name, &list.texts[i]) == 0;
        if (ok && !list.texts[i]) {
            PyErr_Format(PyExc_TypeError, "%s: a list of str expected, None is in it", name);
            ok = false;
        }
    }
    if (!ok) {
        text_list_close(&list);
        return -1;
    }
    *ret_list = list;
    return 0;
}

void text_list_close(struct text_list *list)
{
    PyMem_Free(list->texts);
    Py_CLEAR(list->sequence);
    list->texts = NULL;
}
