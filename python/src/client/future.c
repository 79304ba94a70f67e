/* SPDX-License-Identifier: Apache-2.0 */
/* Future: one call of a job. A job and an index, and nothing else: there may be millions.
 *
 * Objects have the class that configure() named, a subclass that adds no storage. All other state
 * is read from the engine, through the job's sequence. */
#include "client/future.h"

#include "client/arguments.h"
#include "client/callback_thread.h"
#include "client/executor.h"
#include "client/fork.h"
#include "client/job.h"
#include "client/remembered.h"
#include "client/wait.h"
#include "codec/value.h"
#include "errors.h"
#include "extension.h"

PyDoc_STRVAR(future_doc, "One call. Made by the methods of Executor.");

PyObject *future_new(struct job *job, size_t index)
{
    struct future *self = PyObject_New(struct future, (PyTypeObject *)job->state->made_type);
    if (!self)
        return NULL;
    self->job = job_ref(job);
    self->index = index;
    return (PyObject *)self;
}

PyObject *futures_of_job(struct job *job)
{
    PyObject *list = PyList_New((Py_ssize_t)job->count);
    for (size_t i = 0; list && i < job->count; i++) {
        PyObject *future = future_new(job, i);
        if (future)
            PyList_SET_ITEM(list, (Py_ssize_t)i, future);
        else
            Py_CLEAR(list);
    }
    return list;
}

/* ---- attributes that programs give it -------------------------------------------------------- */

PyDoc_STRVAR(attributes_doc,
             "attributes($self, create, /)\n--\n\n"
             "The dict of the attributes that the program has given it; None where\n"
             "there is none and `create` is false. It lives as long as this object.");

static PyObject *future_attributes(struct future *self, PyObject *create)
{
    struct module_state *state = self->job->state;
    bool creates;
    if (take_bool(create, false, &creates) != 0)
        return NULL;
    if (!creates && !self->job->has_attributes)
        Py_RETURN_NONE;
    PyObject *address = PyLong_FromVoidPtr(self), *dict = NULL;
    if (address && !state->attributes)
        state->attributes = PyDict_New();
    if (address && state->attributes)
        dict = PyDict_GetItemWithError(state->attributes, address);
    Py_XINCREF(dict);
    if (!dict && !PyErr_Occurred() && creates && (dict = PyDict_New()) != NULL &&
        PyDict_SetItem(state->attributes, address, dict) != 0)
        Py_CLEAR(dict);
    Py_XDECREF(address);
    self->job->has_attributes |= dict != NULL;
    if (!dict && !PyErr_Occurred())
        Py_RETURN_NONE;
    return dict;
}

/* Dropping them may run any code, and an exception may be set. */
static void drop_attributes(struct future *self)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyObject *address = PyLong_FromVoidPtr(self);
    if (!address || (PyDict_Contains(self->job->state->attributes, address) == 1 &&
                     PyDict_DelItem(self->job->state->attributes, address) != 0))
        PyErr_Clear();
    Py_XDECREF(address);
    PyErr_Restore(type, value, traceback);
}

static void future_dealloc(struct future *self)
{
    PyTypeObject *type = Py_TYPE(self);
    if (self->job->has_attributes && self->job->state->attributes)
        drop_attributes(self);
    job_forget(self->job, self->index);
    job_unref(self->job);
    type->tp_free(self);
    Py_DECREF(type);
}

static bool is_of_parent(const struct future *self)
{
    return fork_refused(self->job->state, self->job->generation, "future");
}

/* For lithops_future_unref(); NULL with an exception. */
static lithops_future *handle_of(const struct future *self)
{
    if (is_of_parent(self))
        return NULL;
    lithops_future *handle = lithops_futures_get(self->job->futures, self->index);
    if (!handle)
        PyErr_NoMemory();
    return handle;
}

/* ---- what it is ------------------------------------------------------------------------------ */

/* "a1b2c3-0-A000-00000", and where its last two dashes are. */
struct key {
    char text[64];
    const char *job, *call;
};

static void key_of(const struct future *self, struct key *ret_key)
{
    lithops_future *handle = lithops_futures_get(self->job->futures, self->index);
    lithops_future_key(handle, ret_key->text, sizeof ret_key->text);
    lithops_future_unref(handle);
    const char *at = ret_key->text + strlen(ret_key->text);
    const char *dashes[2] = {at, at};
    for (int found = 0; at > ret_key->text && found < 2;)
        if (*--at == '-')
            dashes[found++] = at;
    ret_key->call = dashes[0];
    ret_key->job = dashes[1];
}

enum { KEY, KEY_EXECUTOR, KEY_JOB, KEY_CALL };

static PyObject *future_key(struct future *self, void *closure)
{
    struct key key;
    if (is_of_parent(self))
        return NULL;
    key_of(self, &key);
    switch ((intptr_t)closure) {
    case KEY_EXECUTOR:
        return PyUnicode_FromStringAndSize(key.text, key.job - key.text);
    case KEY_JOB:
        return key.call > key.job ? PyUnicode_FromStringAndSize(key.job + 1, key.call - key.job - 1)
                                  : PyUnicode_FromString("");
    case KEY_CALL:
        return PyUnicode_FromString(*key.call ? key.call + 1 : "");
    default:
        return PyUnicode_FromString(key.text);
    }
}

static PyObject *future_index(struct future *self, void *Py_UNUSED(closure))
{
    return PyLong_FromSize_t(self->index);
}

static PyObject *future_function_name(struct future *self, void *Py_UNUSED(closure))
{
    Py_INCREF(self->job->function_name);
    return self->job->function_name;
}

enum { BACKEND, RUNTIME, MEMORY, TIMEOUT };

/* What its executor, and the arguments of its job, have said of where it runs. */
static PyObject *future_place(struct future *self, void *closure)
{
    const struct job *job = self->job;
    const struct executor *executor = (const struct executor *)job->executor;
    PyObject *text = NULL;
    int64_t limit = 0;
    switch ((intptr_t)closure) {
    case BACKEND:
        text = executor->backend;
        break;
    case RUNTIME:
        text = executor->runtime;
        break;
    case MEMORY:
        limit = job->memory_mb > 0 ? job->memory_mb : executor->memory_mb;
        break;
    default:
        limit = job->timeout_ms > 0 ? job->timeout_ms : executor->timeout_ms;
        if (limit % 1000 != 0)
            return PyFloat_FromDouble((double)limit / 1000);
        limit /= 1000;
    }
    if (limit > 0)
        return PyLong_FromLongLong(limit);
    if (!text)
        Py_RETURN_NONE;
    Py_INCREF(text);
    return text;
}

enum { GIVES_LIST, IS_REDUCE, FEEDS_REDUCER, NATIVE, READ, GIVEN_UP };

static PyObject *future_flag(struct future *self, void *closure)
{
    const struct job *job = self->job;
    switch ((intptr_t)closure) {
    case GIVES_LIST:
        return PyBool_FromLong(job->gives_list);
    case IS_REDUCE:
        return PyBool_FromLong(job->is_reduce);
    case FEEDS_REDUCER:
        return PyBool_FromLong(job->feeds_reducer);
    case NATIVE:
        return PyBool_FromLong(job->is_native);
    case GIVEN_UP:
        return PyBool_FromLong(job_has_mark(job, self->index, LITHOPS_MARK_GIVEN_UP));
    default:
        return PyBool_FromLong(job_has_mark(job, self->index, LITHOPS_MARK_READ));
    }
}

PyDoc_STRVAR(set_single_doc, "set_single($self, /)\n--\n\n"
                             "Present it as a future of call_async, not of a map.");

static PyObject *future_set_single(struct future *self, PyObject *Py_UNUSED(ignored))
{
    self->job->gives_list = false;
    Py_RETURN_NONE;
}

/* ---- how it stands --------------------------------------------------------------------------- */

static const char *state_name(lithops_state state)
{
    return state == LITHOPS_FAILED ? "Failed" : lithops_state_name(state);
}

static PyObject *future_state(struct future *self, void *Py_UNUSED(closure))
{
    if (is_of_parent(self))
        return NULL;
    return PyUnicode_InternFromString(
        state_name(lithops_futures_state(self->job->futures, self->index)));
}

/* States as bits: the closure of a property is the set of states in which it is true. */
#define BIT(state) (1 << (state))
enum {
    IN_RUNNING = BIT(LITHOPS_RUNNING),
    IN_SUCCESS = BIT(LITHOPS_SUCCESS),
    IN_ERROR = BIT(LITHOPS_FAILED) | BIT(LITHOPS_CANCELED),
    IN_CANCELED = BIT(LITHOPS_CANCELED),
    IN_DONE = BIT(LITHOPS_SUCCESS) | BIT(LITHOPS_FAILED) | BIT(LITHOPS_CANCELED),
};

static PyObject *future_is_in(struct future *self, void *closure)
{
    if (is_of_parent(self))
        return NULL;
    lithops_state state = lithops_futures_state(self->job->futures, self->index);
    return PyBool_FromLong((intptr_t)closure >> state & 1);
}

static PyObject *future_stats(struct future *self, void *Py_UNUSED(closure))
{
    lithops_future *handle = handle_of(self);
    if (!handle)
        return NULL;
    lithops_value *stats = lithops_future_stats(handle);
    lithops_future_unref(handle);
    PyObject *dict = stats ? value_to_python(stats) : PyErr_NoMemory();
    lithops_value_free(stats);
    return dict;
}

enum { TRACEBACK, LOGS };

static PyObject *future_text(struct future *self, void *closure)
{
    lithops_future *handle = handle_of(self);
    if (!handle)
        return NULL;
    char *text =
        (intptr_t)closure == LOGS ? lithops_future_logs(handle) : lithops_future_traceback(handle);
    lithops_future_unref(handle);
    if (!text)
        Py_RETURN_NONE;
    PyObject *result = PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
    free(text);
    return result;
}

static PyObject *future_repr(struct future *self)
{
    if (self->job->generation != fork_generation())
        return PyUnicode_FromFormat("<%s of a parent process>", Py_TYPE(self)->tp_name);
    struct key key;
    key_of(self, &key);
    lithops_state state = lithops_futures_state(self->job->futures, self->index);
    return PyUnicode_FromFormat("<%s %s, %s>", Py_TYPE(self)->tp_name, key.text, state_name(state));
}

/* ---- waiting --------------------------------------------------------------------------------- */

static const char *const timeout_names[] = {"timeout", NULL};

/* Wait until this call is done. -1 with an exception; a call that failed is not one. */
static int wait_for_one(struct future *self, const char *method, PyObject *const *args,
                        Py_ssize_t nargs, PyObject *kwnames)
{
    const struct signature signature = {method, 0, 1, timeout_names};
    PyObject *timeout;
    int64_t timeout_ms;
    struct job *job = self->job;
    if (take_arguments(&signature, args, nargs, kwnames, &timeout) != 0 ||
        take_ms(timeout, "timeout", LITHOPS_FOREVER, &timeout_ms) != 0 || is_of_parent(self))
        return -1;
    if (lithops_futures_state(job->futures, self->index) >= LITHOPS_SUCCESS)
        return 0;
    lithops_futures_piece piece = {job->futures, self->index, self->index + 1};
    lithops_futures *futures =
        job->count == 1 ? lithops_futures_ref(job->futures) : lithops_futures_join(&piece, 1);
    if (!futures) {
        PyErr_NoMemory();
        return -1;
    }
    lithops_error err = LITHOPS_ERROR_INIT;
    job_ref(job); /* a signal handler may drop the last reference */
    int rc = wait_for_futures(job->state, futures, LITHOPS_ALL, timeout_ms, false, &err);
    if (rc < 0)
        raise_error(job->state, &err);
    job_unref(job);
    lithops_futures_unref(futures);
    return rc == 0 ? 0 : -1;
}

PyDoc_STRVAR(wait_doc, "wait($self, timeout=None)\n--\n\nWait until the call is done.");

static PyObject *future_wait(struct future *self, PyObject *const *args, Py_ssize_t nargs,
                             PyObject *kwnames)
{
    if (wait_for_one(self, "wait", args, nargs, kwnames) != 0)
        return NULL;
    Py_RETURN_NONE;
}

PyDoc_STRVAR(result_value_doc, "result_value($self, timeout=None)\n--\n\n"
                               "Wait for the result; raise what the call has raised.");

static PyObject *future_result_value(struct future *self, PyObject *const *args, Py_ssize_t nargs,
                                     PyObject *kwnames)
{
    if (wait_for_one(self, "result_value", args, nargs, kwnames) != 0)
        return NULL;
    job_mark_read(self->job, self->index, self->index + 1);
    PyObject *result = job_result(self->job, self->index);
    if (result)
        note_one_taken(self->job);
    return result;
}

PyDoc_STRVAR(exception_value_doc, "exception_value($self, /)\n--\n\n"
                                  "What a failed call raises, else None; does not wait.");

static PyObject *future_exception_value(struct future *self, PyObject *Py_UNUSED(ignored))
{
    return is_of_parent(self) ? NULL : job_exception(self->job, self->index);
}

PyDoc_STRVAR(cancel_doc, "cancel($self, /)\n--\n\nFalse: the call is done already.");

static PyObject *future_cancel(struct future *self, PyObject *Py_UNUSED(ignored))
{
    lithops_future *handle = handle_of(self);
    if (!handle)
        return NULL;
    bool canceled;
    Py_BEGIN_ALLOW_THREADS
    canceled = lithops_future_cancel(handle);
    Py_END_ALLOW_THREADS
    lithops_future_unref(handle);
    return PyBool_FromLong(canceled);
}

/* ---- done-callbacks -------------------------------------------------------------------------- */

struct callback {
    PyObject *future, *callable;
};

static void run_callback(struct callback *callback)
{
    PyObject *result = PyObject_CallOneArg(callback->callable, callback->future);
    if (!result)
        PyErr_WriteUnraisable(callback->callable);
    Py_XDECREF(result);
    Py_DECREF(callback->callable);
    Py_DECREF(callback->future);
    PyMem_RawFree(callback);
}

/* Runs on a thread of the engine. */
static void call_back(lithops_future *Py_UNUSED(future), void *user)
{
    PyGILState_STATE before;
    if (!callback_thread_enter(&before))
        return;
    run_callback(user);
    callback_thread_leave(before);
}

PyDoc_STRVAR(
    on_done_doc,
    "on_done($self, callable, /)\n--\n\n"
    "Call it once, with this future, when the call is done: on a thread of the engine, or\n"
    "at once where the executor is closed. What it raises goes to sys.unraisablehook.");

static PyObject *future_on_done(struct future *self, PyObject *callable)
{
    if (!PyCallable_Check(callable))
        return PyErr_Format(PyExc_TypeError, "on_done(): callable expected, %s given",
                            Py_TYPE(callable)->tp_name);
    lithops_future *handle = handle_of(self);
    struct callback *callback = handle ? PyMem_RawMalloc(sizeof *callback) : NULL;
    if (!callback) {
        lithops_future_unref(handle);
        return handle ? PyErr_NoMemory() : NULL;
    }
    Py_INCREF(self);
    Py_INCREF(callable);
    *callback = (struct callback){(PyObject *)self, callable};
    lithops_error err = LITHOPS_ERROR_INIT;
    int rc = lithops_future_on_done(handle, call_back, callback, &err);
    if (rc == LITHOPS_ECLOSED) { /* then every call is done, or about to be */
        Py_BEGIN_ALLOW_THREADS
        lithops_future_wait(handle, LITHOPS_FOREVER, &err);
        Py_END_ALLOW_THREADS
    }
    lithops_future_unref(handle);
    if (rc == LITHOPS_ECLOSED) {
        run_callback(callback);
    } else if (rc != 0) {
        Py_DECREF(callable);
        Py_DECREF(self);
        PyMem_RawFree(callback);
        return raise_error(self->job->state, &err);
    }
    Py_RETURN_NONE;
}

/* ---- the type -------------------------------------------------------------------------------- */

#define CLOSURE(number) ((void *)(intptr_t)(number))
static PyGetSetDef getters[] = {
    {"key", (getter)future_key, NULL, "'a1b2c3-0-A000-00000'", CLOSURE(KEY)},
    {"executor_id", (getter)future_key, NULL, "'a1b2c3-0'", CLOSURE(KEY_EXECUTOR)},
    {"job_id", (getter)future_key, NULL, "'A000'", CLOSURE(KEY_JOB)},
    {"call_id", (getter)future_key, NULL, "'00000'", CLOSURE(KEY_CALL)},
    {"index", (getter)future_index, NULL, "Place within its job.", NULL},
    {"function_name", (getter)future_function_name, NULL, "Name of the function.", NULL},
    {"state", (getter)future_state, NULL, "Pending, Running, Success, Failed or Canceled.", NULL},
    {"done", (getter)future_is_in, NULL, "It has an outcome.", CLOSURE(IN_DONE)},
    {"ready", (getter)future_is_in, NULL, "As `done`.", CLOSURE(IN_DONE)},
    {"success", (getter)future_is_in, NULL, "It has a result.", CLOSURE(IN_SUCCESS)},
    {"error", (getter)future_is_in, NULL, "It failed or was cancelled.", CLOSURE(IN_ERROR)},
    {"running", (getter)future_is_in, NULL, "A worker process has it.", CLOSURE(IN_RUNNING)},
    {"canceled", (getter)future_is_in, NULL, "It was cancelled.", CLOSURE(IN_CANCELED)},
    {"read", (getter)future_flag, NULL, "Its outcome was taken.", CLOSURE(READ)},
    {"given_up", (getter)future_flag, NULL, "See give_up().", CLOSURE(GIVEN_UP)},
    {"gives_list", (getter)future_flag, NULL, "Of a map: results are a list.", CLOSURE(GIVES_LIST)},
    {"is_reduce", (getter)future_flag, NULL, "It is a reducer.", CLOSURE(IS_REDUCE)},
    {"feeds_reducer", (getter)future_flag, NULL, "Its result is a reducer's.",
     CLOSURE(FEEDS_REDUCER)},
    {"native", (getter)future_flag, NULL, "Of a native function.", CLOSURE(NATIVE)},
    {"backend", (getter)future_place, NULL, "Name of the compute backend.", CLOSURE(BACKEND)},
    {"runtime", (getter)future_place, NULL, "Configured interpreter or image, or None.",
     CLOSURE(RUNTIME)},
    {"runtime_memory", (getter)future_place, NULL, "MiB that the call may use, or None.",
     CLOSURE(MEMORY)},
    {"execution_timeout", (getter)future_place, NULL, "Seconds that the call may run.",
     CLOSURE(TIMEOUT)},
    {"stats", (getter)future_stats, NULL, "Statistics, as a new dict.", NULL},
    {"traceback_text", (getter)future_text, NULL, "Where it failed, or None.", CLOSURE(TRACEBACK)},
    {"logs", (getter)future_text, NULL, "What the call printed, or None.", CLOSURE(LOGS)},
    {NULL, NULL, NULL, NULL, NULL},
};
#define FAST(function) ((PyCFunction)(void (*)(void))(function))
static PyMethodDef methods[] = {
    {"wait", FAST(future_wait), METH_FASTCALL | METH_KEYWORDS, wait_doc},
    {"result_value", FAST(future_result_value), METH_FASTCALL | METH_KEYWORDS, result_value_doc},
    {"exception_value", (PyCFunction)future_exception_value, METH_NOARGS, exception_value_doc},
    {"cancel", (PyCFunction)future_cancel, METH_NOARGS, cancel_doc},
    {"set_single", (PyCFunction)future_set_single, METH_NOARGS, set_single_doc},
    {"attributes", (PyCFunction)future_attributes, METH_O, attributes_doc},
    {"on_done", (PyCFunction)future_on_done, METH_O, on_done_doc},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot slots[] = {
    {Py_tp_doc, (char *)future_doc}, {Py_tp_dealloc, future_dealloc}, {Py_tp_repr, future_repr},
    {Py_tp_getset, getters},         {Py_tp_methods, methods},        {0, NULL},
};
static PyType_Spec spec = {
    .name = "lithops._lithops.Future",
    .basicsize = sizeof(struct future),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};

int lithops_add_future(PyObject *module)
{
    struct module_state *state = state_of_module(module);
    if (add_type(module, &spec, &state->future_type, true) != 0)
        return -1;
    state->made_type = state->future_type;
    Py_INCREF(state->made_type);
    return 0;
}
