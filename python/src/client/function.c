/* SPDX-License-Identifier: Apache-2.0 */
/* Function: what a call runs. Immutable, so any thread may use it. The engine's handle is freed
 * with the object; jobs already started do not need it. */
#include "client/function.h"

#include "client/arguments.h"
#include "errors.h"
#include "extension.h"

PyDoc_STRVAR(function_doc, "Function(name, code)\n--\n\n"
                           "A Python function; worker processes make it from `code`.");

static PyObject *wrap(PyTypeObject *type, lithops_function *function, PyObject *name,
                      bool is_native)
{
    struct function *self = (struct function *)type->tp_alloc(type, 0);
    if (!self) {
        lithops_function_free(function);
        return NULL;
    }
    self->function = function;
    Py_INCREF(name);
    self->name = name;
    self->is_native = is_native;
    return (PyObject *)self;
}

/* A function of the engine under its own name; NULL: the error is raised. */
static PyObject *wrap_native(PyTypeObject *type, lithops_function *function,
                             const lithops_error *err)
{
    if (!function)
        return raise_error(PyType_GetModuleState(type), err);
    PyObject *name = PyUnicode_DecodeFSDefault(function->name);
    PyObject *self = NULL;
    if (name)
        self = wrap(type, function, name, true);
    else
        lithops_function_free(function);
    Py_XDECREF(name);
    return self;
}

static PyObject *function_create(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"name", "code", NULL};
    PyObject *name;
    Py_buffer code;
    const char *text;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "Uy*:Function", names, &name, &code))
        return NULL;
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_function *function = NULL;
    if (take_text(name, "name", &text) == 0) {
        lithops_bytes bytes = {code.buf, (size_t)code.len};
        function = lithops_code_function("python", text, bytes, &err);
        if (!function)
            raise_error(PyType_GetModuleState(type), &err);
    }
    PyBuffer_Release(&code);
    return function ? wrap(type, function, name, false) : NULL;
}

PyDoc_STRVAR(open_doc,
             "open($type, spec, /)\n--\n\n"
             "The function that a str names: of a shared library, by\n"
             "'libx.so:function[:signature]', or of Python, by 'package.module:function'.");

static PyObject *function_open(PyObject *class, PyObject *spec)
{
    PyTypeObject *type = (PyTypeObject *)class;
    const char *text;
    if (take_text(spec, "spec", &text) != 0)
        return NULL;
    if (!text)
        return PyErr_Format(PyExc_TypeError, "spec: str expected, None given");
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_function *function;
    Py_BEGIN_ALLOW_THREADS /* it reads the library's file */
    function = lithops_function_open(text, &err);
    Py_END_ALLOW_THREADS
    return wrap_native(type, function, &err);
}

PyDoc_STRVAR(command_doc,
             "command($type, words, /, folder=None, shell=False, pipe=False)\n--\n\n"
             "A function that runs a program: `words` are a list of bytes, `folder` is bytes.");

/* The words as a NULL-terminated array, borrowed from the list; for PyMem_Free(). */
static const char **take_words(PyObject *words)
{
    const Py_ssize_t count = PyList_GET_SIZE(words);
    const char **argv = PyMem_New(const char *, count + 1);
    if (!argv) {
        PyErr_NoMemory();
        return NULL;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        char *word;
        if (PyBytes_AsStringAndSize(PyList_GET_ITEM(words, i), &word, NULL) != 0) {
            PyMem_Free(argv); /* no bytes, or a NUL in them */
            return NULL;
        }
        argv[i] = word;
    }
    argv[count] = NULL;
    return argv;
}

static PyObject *function_command(PyObject *class, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"", "folder", "shell", "pipe", NULL};
    PyTypeObject *type = (PyTypeObject *)class;
    PyObject *words, *folder = Py_None;
    int shell = 0, pipe = 0;
    char *path = NULL;
    lithops_command_options options = LITHOPS_COMMAND_OPTIONS_INIT;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!|Opp:command", names, &PyList_Type, &words,
                                     &folder, &shell, &pipe) ||
        (folder != Py_None && PyBytes_AsStringAndSize(folder, &path, NULL) != 0))
        return NULL;
    options.folder = path;
    options.shell = shell;
    options.pipe = pipe;
    const char **argv = take_words(words);
    if (!argv)
        return NULL;
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_function *function = lithops_function_command(argv, &options, &err);
    PyMem_Free(argv);
    return wrap_native(type, function, &err);
}

static void function_dealloc(struct function *self)
{
    PyTypeObject *type = Py_TYPE(self);
    lithops_function_free(self->function);
    Py_XDECREF(self->name);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *function_name(struct function *self, void *Py_UNUSED(closure))
{
    Py_INCREF(self->name);
    return self->name;
}

static PyObject *function_native(struct function *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(self->is_native);
}

static PyObject *function_repr(struct function *self)
{
    return PyUnicode_FromFormat("<Function %U%s>", self->name, self->is_native ? ", native" : "");
}

struct function *take_function(struct module_state *state, PyObject *object, const char *name)
{
    if (Py_TYPE(object) == (PyTypeObject *)state->function_type)
        return (struct function *)object;
    PyErr_Format(PyExc_TypeError, "%s: Function expected, %s given", name,
                 Py_TYPE(object)->tp_name);
    return NULL;
}

static PyGetSetDef getters[] = {
    {"name", (getter)function_name, NULL, "Its name in statistics and messages.", NULL},
    {"native", (getter)function_native, NULL, "Whether it is not a function of Python.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
static PyMethodDef methods[] = {
    {"open", function_open, METH_O | METH_CLASS, open_doc},
    {"command", (PyCFunction)(void (*)(void))function_command,
     METH_VARARGS | METH_KEYWORDS | METH_CLASS, command_doc},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot slots[] = {
    {Py_tp_doc, (char *)function_doc},
    {Py_tp_new, function_create},
    {Py_tp_dealloc, function_dealloc},
    {Py_tp_repr, function_repr},
    {Py_tp_getset, getters},
    {Py_tp_methods, methods},
    {0, NULL},
};
static PyType_Spec spec = {
    .name = "lithops._lithops.Function",
    .basicsize = sizeof(struct function),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};

int lithops_add_function(PyObject *module)
{
    return add_type(module, &spec, &state_of_module(module)->function_type, true);
}
