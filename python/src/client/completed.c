/* SPDX-License-Identifier: Apache-2.0 */
/* as_completed: an iterator over Futures in the order in which their calls end. The engine records
 * which calls were returned; this keeps the Futures, so that the same objects are returned. */
#include "client/arguments.h"
#include "client/fork.h"
#include "client/selection.h"
#include "client/wait.h"
#include "errors.h"
#include "extension.h"

struct completed {
    PyObject_HEAD struct module_state *state; /* of the type's module */
    PyObject *futures;                        /* a list; None in place of those already returned */
    unsigned generation;                      /* see fork.c */
    lithops_futures *sequence;
};

PyDoc_STRVAR(as_completed_doc,
             "as_completed($module, futures, /)\n--\n\n"
             "An iterator: each future once, in the order in which they end; blocks.\n"
             "next(timeout) of it raises TimeoutError when the time has passed.");

static PyObject *as_completed(PyObject *module, PyObject *futures)
{
    struct module_state *state = state_of_module(module);
    PyTypeObject *type = (PyTypeObject *)state->completed_type;
    struct selection selection;
    PyObject *list = NULL;
    if (PyObject_TypeCheck(futures, (PyTypeObject *)state->future_type))
        PyErr_SetString(PyExc_TypeError, "futures: a list of Future expected, one Future given");
    else
        list = PySequence_List(futures);
    if (!list || selection_open(state, list, &selection) != 0) {
        Py_XDECREF(list);
        return NULL;
    }
    struct completed *self = (struct completed *)type->tp_alloc(type, 0);
    if (self) {
        Py_INCREF(list);
        self->state = state;
        self->futures = list;
        self->generation = fork_generation();
        self->sequence = lithops_futures_ref(selection.futures);
    }
    selection_close(&selection);
    Py_DECREF(list);
    return (PyObject *)self;
}

static void completed_dealloc(struct completed *self)
{
    PyTypeObject *type = Py_TYPE(self);
    if (self->generation == fork_generation())
        lithops_futures_unref(self->sequence);
    Py_XDECREF(self->futures);
    type->tp_free(self);
    Py_DECREF(type);
}

/* NULL without an exception: none are left. */
static PyObject *next_of(struct completed *self, int64_t timeout_ms)
{
    if (fork_refused(self->state, self->generation, "iterator"))
        return NULL;
    size_t index;
    lithops_error err = LITHOPS_ERROR_INIT;
    int rc = wait_for_next(state_of((PyObject *)self), self->sequence, timeout_ms, &index, &err);
    if (rc == 0) {
        PyObject *future = PyList_GET_ITEM(self->futures, (Py_ssize_t)index);
        PyList_SET_ITEM(self->futures, (Py_ssize_t)index, Py_NewRef(Py_None));
        return future; /* the only reference: when the caller drops it, the result is freed */
    }
    return rc > 0 || rc == LITHOPS_ENOTFOUND ? NULL : raise_error(self->state, &err);
}

static PyObject *completed_iternext(struct completed *self)
{
    return next_of(self, LITHOPS_FOREVER);
}

PyDoc_STRVAR(next_doc, "next($self, timeout=None)\n--\n\n"
                       "The next one that ends; StopIteration after the last one.");

static PyObject *completed_next(struct completed *self, PyObject *const *args, Py_ssize_t nargs,
                                PyObject *kwnames)
{
    static const char *const names[] = {"timeout", NULL};
    static const struct signature signature = {"next", 0, 1, names};
    PyObject *timeout;
    int64_t timeout_ms;
    if (take_arguments(&signature, args, nargs, kwnames, &timeout) != 0 ||
        take_ms(timeout, "timeout", LITHOPS_FOREVER, &timeout_ms) != 0)
        return NULL;
    PyObject *future = next_of(self, timeout_ms);
    if (!future && !PyErr_Occurred())
        PyErr_SetNone(PyExc_StopIteration);
    return future;
}

static PyMethodDef type_methods[] = {
    {"next", (PyCFunction)(void (*)(void))completed_next, METH_FASTCALL | METH_KEYWORDS, next_doc},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot slots[] = {
    {Py_tp_dealloc, completed_dealloc},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, completed_iternext},
    {Py_tp_methods, type_methods},
    {0, NULL},
};
static PyType_Spec spec = {
    .name = "lithops._lithops.Completed",
    .basicsize = sizeof(struct completed),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};
static PyMethodDef methods[] = {
    {"as_completed", as_completed, METH_O, as_completed_doc},
    {NULL, NULL, 0, NULL},
};

int lithops_add_completed(PyObject *module)
{
    if (add_type(module, &spec, &state_of_module(module)->completed_type, false) != 0)
        return -1;
    return PyModule_AddFunctions(module, methods);
}
