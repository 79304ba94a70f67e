/* SPDX-License-Identifier: Apache-2.0 */
/* Call: what _worker/main.py can ask about the running call. When the call ends, its stream is
 * closed, and using the object is a RuntimeError. */
#include "worker/call.h"

#include "codec/codec.h"
#include "codec/value.h"
#include "errors.h"
#include "extension.h"
#include "storage/storage.h"
#include "worker/stream.h"

struct call {
    PyObject_HEAD lithops_call *call; /* NULL: the call has ended */
    PyObject *stream;                 /* Stream, NULL until asked for */
    int results_error; /* the code of the map call's error that results() met, or 0 */
};

static struct call *call_of(PyObject *self)
{
    return (struct call *)self;
}

static bool check_running(PyObject *self)
{
    if (call_of(self)->call)
        return true;
    PyErr_SetString(PyExc_RuntimeError, "the call has ended");
    return false;
}

/* The engine's error of the call, as an exception. */
static PyObject *fail(PyObject *self)
{
    return raise_error(state_of(self), lithops_call_error(call_of(self)->call));
}

static PyObject *call_get_id(PyObject *self, void *Py_UNUSED(closure))
{
    return check_running(self) ? PyLong_FromLongLong(lithops_call_id(call_of(self)->call)) : NULL;
}

static PyObject *call_get_job_key(PyObject *self, void *Py_UNUSED(closure))
{
    return check_running(self) ? PyUnicode_FromString(lithops_call_job_key(call_of(self)->call))
                               : NULL;
}

static PyObject *call_get_call_key(PyObject *self, void *Py_UNUSED(closure))
{
    if (!check_running(self))
        return NULL;
    char key[128];
    PyOS_snprintf(key, sizeof key, "%s-%05lld", lithops_call_job_key(call_of(self)->call),
                  (long long)lithops_call_id(call_of(self)->call));
    return PyUnicode_FromString(key);
}

static PyObject *call_get_is_reducer(PyObject *self, void *Py_UNUSED(closure))
{
    return check_running(self) ? PyBool_FromLong(lithops_call_is_reducer(call_of(self)->call))
                               : NULL;
}

static PyObject *call_get_storage(PyObject *self, void *Py_UNUSED(closure))
{
    if (!check_running(self))
        return NULL;
    lithops_storage *storage = lithops_call_storage(call_of(self)->call);
    return storage ? storage_of_process(state_of(self), storage) : fail(self);
}

static PyObject *call_get_rabbitmq(PyObject *self, void *Py_UNUSED(closure))
{
    if (!check_running(self))
        return NULL;
    const char *url = lithops_call_rabbitmq(call_of(self)->call);
    return url ? PyUnicode_FromString(url) : Py_NewRef(Py_None);
}

static PyObject *call_get_is_canceled(PyObject *self, void *Py_UNUSED(closure))
{
    return check_running(self) ? PyBool_FromLong(lithops_call_is_canceled(call_of(self)->call))
                               : NULL;
}

/* extra_args of the job, as C programs and the command pass them. */
static PyObject *call_get_extra_args(PyObject *self, void *Py_UNUSED(closure))
{
    return check_running(self) ? value_to_python(lithops_call_extra_args(call_of(self)->call))
                               : NULL;
}

/* ---- objects --------------------------------------------------------------------------------- */

/* The spec of an object, or the list that begins with it: the item at `index`, or NULL. */
static const lithops_value *input_item(lithops_call *call, size_t index)
{
    const lithops_value *input = lithops_call_input(call);
    if (lithops_value_type(input) == LITHOPS_LIST)
        return lithops_value_at(input, index);
    return index == 0 ? input : NULL;
}

static PyObject *call_object(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    if (!check_running(self))
        return NULL;
    if (call_of(self)->stream)
        return Py_NewRef(call_of(self)->stream);
    lithops_call *call = call_of(self)->call;
    lithops_stream *stream;
    Py_BEGIN_ALLOW_THREADS
    stream = lithops_call_object(call);
    Py_END_ALLOW_THREADS
    if (!stream)
        return fail(self);
    const lithops_value *newline = lithops_value_get(input_item(call, 0), "newline");
    lithops_bytes bytes = lithops_value_get_bytes(newline);
    call_of(self)->stream =
        stream_new(state_of(self), stream, bytes.len ? bytes.ptr : NULL, bytes.len);
    return Py_XNewRef(call_of(self)->stream);
}

static PyObject *call_object_extra(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    if (!check_running(self))
        return NULL;
    lithops_bytes bytes = lithops_value_get_bytes(input_item(call_of(self)->call, 1));
    return bytes.len ? PyBytes_FromStringAndSize(bytes.ptr, (Py_ssize_t)bytes.len)
                     : Py_NewRef(Py_None);
}

static PyObject *call_file(PyObject *self, PyObject *name)
{
    if (!check_running(self))
        return NULL;
    const char *text = PyUnicode_AsUTF8(name);
    if (!text)
        return NULL;
    const char *path = lithops_call_file(call_of(self)->call, text);
    return path ? PyUnicode_DecodeFSDefault(path) : Py_NewRef(Py_None);
}

/* ---- reducers -------------------------------------------------------------------------------- */

static PyObject *next_result(PyObject *self, bool *ret_more)
{
    lithops_call *call = call_of(self)->call;
    lithops_payload payload;
    int rc;
    Py_BEGIN_ALLOW_THREADS
    rc = lithops_call_next_payload(call, &payload);
    Py_END_ALLOW_THREADS
    *ret_more = rc > 0;
    if (rc > 0)
        return codec_decode(state_of(self), &payload, NULL);
    if (rc < 0) {
        call_of(self)->results_error = rc;
        fail(self);
    }
    return NULL;
}

static PyObject *call_results(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    if (!check_running(self))
        return NULL;
    PyObject *list = PyList_New(0), *item;
    bool more = true;
    while (list && (item = next_result(self, &more)) != NULL) {
        if (PyList_Append(list, item) != 0)
            Py_CLEAR(list);
        Py_DECREF(item);
    }
    if (list && (more || call_of(self)->results_error))
        Py_CLEAR(list);
    return list;
}

/* ---- life ------------------------------------------------------------------------------------ */

PyObject *call_new(struct module_state *state, lithops_call *call)
{
    PyTypeObject *type = (PyTypeObject *)state->call_type;
    struct call *self = (struct call *)type->tp_alloc(type, 0);
    if (self)
        self->call = call;
    return (PyObject *)self;
}

int call_end(PyObject *object)
{
    struct call *self = call_of(object);
    int rc = self->results_error;
    if (self->stream)
        stream_end(self->stream);
    self->call = NULL;
    Py_DECREF(object);
    return rc;
}

static void call_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    Py_XDECREF(call_of(self)->stream);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef call_methods[] = {
    {"object", call_object, METH_NOARGS, PyDoc_STR("object() -> Stream\n\nThe chunk's lines.")},
    {"object_extra", call_object_extra, METH_NOARGS,
     PyDoc_STR("object_extra() -> bytes | None\n\nThe bytes passed along with the object's name.")},
    {"file", call_file, METH_O,
     PyDoc_STR("file(name, /) -> str | None\n\nPath of a file of include_modules.")},
    {"results", call_results, METH_NOARGS,
     PyDoc_STR("results() -> list\n\nResults of the map calls, in order; waits for them.")},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef call_getset[] = {
    {"id", call_get_id, NULL, PyDoc_STR("int: 0 .. N-1 within the job"), NULL},
    {"job_key", call_get_job_key, NULL, PyDoc_STR("str: executor and job"), NULL},
    {"call_key", call_get_call_key, NULL, PyDoc_STR("str: executor, job and call"), NULL},
    {"is_reducer", call_get_is_reducer, NULL,
     PyDoc_STR("bool: it takes results instead of an input"), NULL},
    {"storage", call_get_storage, NULL, PyDoc_STR("Storage: of this worker process"), NULL},
    {"rabbitmq", call_get_rabbitmq, NULL, PyDoc_STR("str: the amqp URL, or None"), NULL},
    {"is_canceled", call_get_is_canceled, NULL, PyDoc_STR("bool: the job was cancelled"), NULL},
    {"extra_args", call_get_extra_args, NULL, PyDoc_STR("list, dict or None: of the job"), NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot call_slots[] = {
    {Py_tp_doc, PyDoc_STR("The running call; unusable once it has ended.")},
    {Py_tp_dealloc, call_dealloc},
    {Py_tp_methods, call_methods},
    {Py_tp_getset, call_getset},
    {0, NULL},
};

static PyType_Spec call_spec = {
    .name = "lithops._lithops.Call",
    .basicsize = sizeof(struct call),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = call_slots,
};

int lithops_add_call(PyObject *module)
{
    return add_type(module, &call_spec, &state_of_module(module)->call_type, true);
}
