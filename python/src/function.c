/* SPDX-License-Identifier: Apache-2.0 */
/* Function: what calls name. Immutable, so that any thread may use it and the engine's handle goes
 * with the object; jobs that were started go on without it. */
#include "client.h"

PyDoc_STRVAR(function_doc,
             "Function(name, code)\n--\n\n"
             "A function of a worker process: `code` is what it makes the function of.");

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
    if (!function)
        return raise_error(PyType_GetModuleState(type), &err);
    PyObject *name = PyUnicode_DecodeFSDefault(function->name);
    PyObject *self = NULL;
    if (name)
        self = wrap(type, function, name, true);
    else
        lithops_function_free(function);
    Py_XDECREF(name);
    return self;
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
    {"name", (getter)function_name, NULL, "What statistics and messages call it.", NULL},
    {"native", (getter)function_native, NULL, "It is of a shared library.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
static PyMethodDef methods[] = {
    {"open", function_open, METH_O | METH_CLASS, open_doc},
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
