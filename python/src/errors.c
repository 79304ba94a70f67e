/* SPDX-License-Identifier: Apache-2.0 */
/* The only place that turns errors of the engine into Python exceptions.
 *
 * configure() sets the exception class of each code; codes that it does not name map to built-in
 * classes. A call of a Python function fails with data, from which the package rebuilds the
 * exception that was raised there (`load`). If that fails, and for native functions, the code
 * decides. */
#include "errors.h"

#include "extension.h"

#include <string.h>
#include <strings.h>

static PyObject **fallback_class(int code)
{
    switch (code) {
    case LITHOPS_EUSAGE:
    case LITHOPS_ECONFIG:
    case LITHOPS_EPARSE:
        return &PyExc_ValueError;
    case LITHOPS_ETYPE:
    case LITHOPS_EARG:
        return &PyExc_TypeError;
    case LITHOPS_ENOTFOUND:
        return &PyExc_FileNotFoundError;
    case LITHOPS_EEXIST:
        return &PyExc_FileExistsError;
    case LITHOPS_EDENIED:
        return &PyExc_PermissionError;
    case LITHOPS_EIO:
    case LITHOPS_ENOSPACE:
        return &PyExc_OSError;
    case LITHOPS_ENOMEM:
    case LITHOPS_EMEMORY:
        return &PyExc_MemoryError;
    case LITHOPS_ETIMEDOUT:
    case LITHOPS_ETIMEOUT:
        return &PyExc_TimeoutError;
    case LITHOPS_EBACKEND:
        return &PyExc_ConnectionError;
    case LITHOPS_EUNSUPPORTED:
        return &PyExc_NotImplementedError;
    default:
        return &PyExc_RuntimeError;
    }
}

static PyObject *class_of(const struct module_state *state, int code)
{
    PyObject *named = code <= 0 && code > -LITHOPS_CODE_COUNT ? state->errors[-code] : NULL;
    return named ? named : *fallback_class(code);
}

/* ---- exceptions ------------------------------------------------------------------------------ */

/* Adds the remote traceback as a note (__notes__). Python shows notes since 3.11; older versions
 * ignore them. */
static int add_traceback(PyObject *exception, const char *traceback)
{
    if (!traceback[0])
        return 0;
    PyObject *text = PyUnicode_DecodeUTF8(traceback, (Py_ssize_t)strlen(traceback), "replace");
    PyObject *notes = text ? PyList_New(0) : NULL;
    int rc = notes && PyList_Append(notes, text) == 0
                 ? PyObject_SetAttrString(exception, "__notes__", notes)
                 : -1;
    Py_XDECREF(notes);
    Py_XDECREF(text);
    return rc;
}

PyObject *error_to_exception(struct module_state *state, const lithops_error *err)
{
    PyObject *class = class_of(state, err->code);
    const char *words = err->message[0] ? err->message : lithops_error_word(err->code);
    PyObject *text = PyUnicode_DecodeUTF8(words, (Py_ssize_t)strlen(words), "replace");
    if (!text)
        return NULL;
    bool has_errno =
        err->os_errno && PyType_IsSubtype((PyTypeObject *)class, (PyTypeObject *)PyExc_OSError);
    PyObject *exception = has_errno ? PyObject_CallFunction(class, "iO", err->os_errno, text)
                                    : PyObject_CallOneArg(class, text);
    Py_DECREF(text);
    if (exception && !PyExceptionInstance_Check(exception)) {
        PyErr_Format(PyExc_TypeError, "%R returned a %s where an exception was expected", class,
                     Py_TYPE(exception)->tp_name);
        Py_CLEAR(exception);
    }
    if (exception && add_traceback(exception, err->traceback) != 0)
        Py_CLEAR(exception);
    return exception;
}

PyObject *raise_exception(PyObject *exception)
{
    if (exception) {
        PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
        Py_DECREF(exception);
    }
    return NULL;
}

PyObject *raise_error(struct module_state *state, const lithops_error *err)
{
    return raise_exception(error_to_exception(state, err));
}

static PyObject *load(struct module_state *state, lithops_bytes data)
{
    PyObject *bytes = PyBytes_FromStringAndSize(data.ptr, (Py_ssize_t)data.len);
    PyObject *exception = bytes ? PyObject_CallOneArg(state->load, bytes) : NULL;
    Py_XDECREF(bytes);
    if (exception && !PyExceptionInstance_Check(exception)) {
        PyErr_Format(PyExc_TypeError, "load() returned a %s where an exception was expected",
                     Py_TYPE(exception)->tp_name);
        Py_CLEAR(exception);
    }
    return exception;
}

PyObject *take_raised(void)
{
#if PY_VERSION_HEX >= 0x030c0000
    return PyErr_GetRaisedException();
#else
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return value;
#endif
}

PyObject *call_to_exception(struct module_state *state, const lithops_error *err,
                            lithops_bytes data)
{
    if (data.len == 0 || !state->load)
        return error_to_exception(state, err);
    PyObject *exception = load(state, data);
    /* KeyboardInterrupt and the like go to the caller; any other failure must not hide the call's
     * own message. */
    if (exception || !PyErr_ExceptionMatches(PyExc_Exception))
        return exception;
    PyObject *reason = take_raised();
    exception = error_to_exception(state, err);
    if (exception)
        PyException_SetCause(exception, reason); /* takes the reference */
    else
        Py_XDECREF(reason);
    return exception;
}

/* ---- configure() ----------------------------------------------------------------------------- */

/* The code named `name`, which is the end of its C name in lower case. 1: there is none. */
static int code_of(PyObject *name)
{
    static const char *const names[] = {
#define CODE_NAME(c_name, value, word) #c_name,
        LITHOPS_ERROR_CODES(CODE_NAME)
#undef CODE_NAME
    };
    const char *text = PyUnicode_Check(name) ? PyUnicode_AsUTF8(name) : NULL;
    for (size_t i = 1; text && i < sizeof names / sizeof names[0]; i++)
        if (strcasecmp(names[i] + strlen("LITHOPS_E"), text) == 0)
            return -(int)i;
    PyErr_Clear();
    return 1;
}

static int set_errors(struct module_state *state, PyObject *errors)
{
    PyObject *classes[LITHOPS_CODE_COUNT] = {NULL}; /* borrowed from the dict */
    PyObject *name, *class;
    Py_ssize_t at = 0;
    if (!PyDict_Check(errors)) {
        PyErr_Format(PyExc_TypeError, "errors: dict expected, %s given", Py_TYPE(errors)->tp_name);
        return -1;
    }
    while (PyDict_Next(errors, &at, &name, &class)) {
        int code = code_of(name);
        if (code > 0) {
            PyErr_Format(PyExc_ValueError, "errors: unknown error name %R", name);
            return -1;
        }
        if (!PyExceptionClass_Check(class)) {
            PyErr_Format(PyExc_TypeError, "errors[%R]: exception class expected, %R given", name,
                         class);
            return -1;
        }
        classes[-code] = class;
    }
    for (size_t i = 0; i < LITHOPS_CODE_COUNT; i++) {
        Py_XINCREF(classes[i]);
        if (classes[i])
            Py_XSETREF(state->errors[i], classes[i]);
    }
    return 0;
}

/* A class statement always makes a class whose objects are tracked by the garbage collector. For
 * futures, that adds half their size to each, and the collector visits a million objects that
 * cannot be part of a cycle. The class has no objects yet, so tracking can still be turned off. */
static void drop_collector(PyTypeObject *type)
{
    if (!PyType_IS_GC(type))
        return;
    type->tp_flags &= ~Py_TPFLAGS_HAVE_GC;
    type->tp_free = PyObject_Free;
    type->tp_traverse = NULL;
    type->tp_clear = NULL;
}

static int set_made_type(struct module_state *state, PyObject *class)
{
    PyTypeObject *base = (PyTypeObject *)state->future_type;
    if (!PyType_Check(class) || !PyType_IsSubtype((PyTypeObject *)class, base)) {
        PyErr_Format(PyExc_TypeError, "future_type: a subclass of %R expected, %R given", base,
                     class);
        return -1;
    }
    PyTypeObject *type = (PyTypeObject *)class;
    if (type->tp_basicsize != base->tp_basicsize || type->tp_dictoffset ||
        type->tp_weaklistoffset) {
        PyErr_Format(PyExc_TypeError,
                     "future_type: %R must have '__slots__ = ()': futures are many", class);
        return -1;
    }
    drop_collector(type);
    Py_INCREF(class);
    Py_XSETREF(state->made_type, class);
    return 0;
}

PyDoc_STRVAR(
    configure_doc,
    "configure($module, *, future_type=None, errors=None, load=None,\n"
    "          much_taken=None)\n--\n\n"
    "Say which class futures have, which exception class stands for which error (a dict\n"
    "by name: 'usage', 'notfound', ...), and what makes an exception of a failed call's\n"
    "data: load(bytes) -> exception. much_taken(executor) is called when the program\n"
    "has taken many results of it one by one, much_taken(None) when calls wait for memory.\n"
    "What is omitted stays as it is.");

static int set_callable(PyObject **slot, const char *name, PyObject *value)
{
    if (value == Py_None)
        return 0;
    if (!PyCallable_Check(value)) {
        PyErr_Format(PyExc_TypeError, "%s: callable expected, %s given", name,
                     Py_TYPE(value)->tp_name);
        return -1;
    }
    Py_INCREF(value);
    Py_XSETREF(*slot, value);
    return 0;
}

static PyObject *configure(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"future_type", "errors", "load", "much_taken", NULL};
    struct module_state *state = state_of_module(module);
    PyObject *future_type = Py_None, *errors = Py_None, *load = Py_None, *much_taken = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$OOOO:configure", names, &future_type, &errors,
                                     &load, &much_taken))
        return NULL;
    if (future_type != Py_None && set_made_type(state, future_type) != 0)
        return NULL;
    if (errors != Py_None && set_errors(state, errors) != 0)
        return NULL;
    if (set_callable(&state->load, "load", load) != 0 ||
        set_callable(&state->much_taken, "much_taken", much_taken) != 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"configure", (PyCFunction)(void (*)(void))configure, METH_VARARGS | METH_KEYWORDS,
     configure_doc},
    {NULL, NULL, 0, NULL},
};

int lithops_add_errors(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}
