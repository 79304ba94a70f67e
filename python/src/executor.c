/* SPDX-License-Identifier: Apache-2.0 */
/* Executor: opening, single calls, what comes afterwards, closing. Jobs of many calls are started
 * in executor_map.c.
 *
 * The engine frees its handle in lithops_executor_close(), so nobody may be in the engine with it
 * then. Threads that go there without the GIL are counted (`users`); who closes first says that no
 * more may enter, then waits for those that are in.
 *
 * A done-callback runs on the thread that lithops_executor_close() waits for, and may be the one
 * that drops the last reference. So on such threads another thread is started to close it. */
#include "client.h"

#include <pthread.h>

/* ---- closing --------------------------------------------------------------------------------- */

struct closing {
    lithops_executor *fexec;
    PyThread_type_lock idle; /* to wait for before, or NULL */
};

/* Needs no GIL. */
static void *finish(void *user)
{
    struct closing closing = *(struct closing *)user;
    PyMem_RawFree(user);
    if (closing.idle) {
        PyThread_acquire_lock(closing.idle, WAIT_LOCK);
        PyThread_release_lock(closing.idle);
        PyThread_free_lock(closing.idle);
    }
    lithops_executor_close(closing.fexec);
    return NULL;
}

static void finish_elsewhere(struct closing *closing)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, finish, closing) == 0)
        pthread_detach(thread);
    else
        PyMem_RawFree(closing); /* stays open until the process ends */
}

static void unlink_open(struct executor *executor)
{
    struct module_state *state = state_of((PyObject *)executor);
    if (executor->next)
        executor->next->previous = executor->previous;
    if (executor->previous)
        executor->previous->next = executor->next;
    else if (state->open_executors == executor)
        state->open_executors = executor->next;
    executor->next = executor->previous = NULL;
}

void executor_close(struct executor *executor)
{
    if (executor->is_closed)
        return;
    executor->is_closed = true;
    unlink_open(executor);
    struct closing *closing = PyMem_RawMalloc(sizeof *closing);
    if (!closing || !executor->fexec || executor->generation != fork_generation()) {
        PyMem_RawFree(closing); /* in a child it is the parent's */
        return;
    }
    *closing = (struct closing){executor->fexec, NULL};
    if (executor->users > 0 && (executor->idle = PyThread_allocate_lock()) != NULL) {
        PyThread_acquire_lock(executor->idle, WAIT_LOCK);
        closing->idle = executor->idle;
    }
    if (is_callback_thread()) {
        finish_elsewhere(closing);
        return;
    }
    Py_BEGIN_ALLOW_THREADS
    finish(closing);
    Py_END_ALLOW_THREADS
}

lithops_executor *executor_enter(struct executor *executor)
{
    struct module_state *state = state_of((PyObject *)executor);
    if (fork_refused(state, executor->generation, "executor"))
        return NULL;
    if (executor->is_closed) {
        lithops_error err = LITHOPS_ERROR_INIT;
        err.code = LITHOPS_ECLOSED;
        snprintf(err.message, sizeof err.message, "the executor is closed: open another one");
        raise_error(state, &err);
        return NULL;
    }
    executor->users++;
    return executor->fexec;
}

void executor_leave(struct executor *executor)
{
    if (--executor->users == 0 && executor->idle) {
        PyThread_type_lock idle = executor->idle;
        executor->idle = NULL; /* freed by who waits for it */
        PyThread_release_lock(idle);
    }
}

/* ---- opening --------------------------------------------------------------------------------- */

PyDoc_STRVAR(
    executor_doc,
    "Executor(*, mode=None, backend=None, storage=None, monitoring=None, config=None,\n"
    "         config_file=None, log_level=None, settings=None, worker_command=None)\n--\n\n"
    "Where functions run. `config` is the whole configuration, `settings` are keys of the\n"
    "backend's section; `worker_command` is the program, with arguments, that becomes a\n"
    "worker process.");

static int take_map(PyObject *object, const char *name, lithops_value **ret_value)
{
    *ret_value = NULL;
    if (object == Py_None)
        return 0;
    if (!PyDict_Check(object)) {
        PyErr_Format(PyExc_TypeError, "%s: dict or None expected, %s given", name,
                     Py_TYPE(object)->tp_name);
        return -1;
    }
    *ret_value = value_from_python(object);
    return *ret_value ? 0 : -1;
}

static void link_open(struct module_state *state, struct executor *executor)
{
    executor->next = state->open_executors;
    if (executor->next)
        executor->next->previous = executor;
    state->open_executors = executor;
}

/* Where an executor was given less than 1 GiB of shared memory, see tidy() in wait.c. */
static void note_memory(struct module_state *state, const lithops_executor *fexec)
{
    lithops_value *config = lithops_executor_config(fexec);
    const lithops_value *section = lithops_value_get(config, "localhost");
    int64_t mib = lithops_value_get_int(lithops_value_get(section, "shared_memory"));
    lithops_value_free(config);
    if (mib > 0 && mib < 1024 &&
        (!state->little_memory || (size_t)mib << 20 < state->little_memory))
        state->little_memory = (size_t)mib << 20;
}

static PyObject *open_with(PyTypeObject *type, const lithops_executor_options *options)
{
    struct module_state *state = PyType_GetModuleState(type);
    if (state->is_exiting)
        return PyErr_Format(PyExc_RuntimeError, "no executor can be opened while Python exits");
    struct executor *self = (struct executor *)type->tp_alloc(type, 0);
    if (!self)
        return NULL;
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec;
    self->generation = fork_generation();
    Py_BEGIN_ALLOW_THREADS
    fexec = lithops_executor_open(options, &err);
    Py_END_ALLOW_THREADS
    self->fexec = fexec;
    self->id = fexec ? PyUnicode_FromString(lithops_executor_id(fexec)) : NULL;
    if (!fexec)
        raise_error(state, &err);
    if (fexec) {
        link_open(state, self);
        note_memory(state, fexec);
    }
    if (!self->id)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static PyObject *executor_create(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"mode",        "backend",   "storage",  "monitoring",     "config",
                            "config_file", "log_level", "settings", "worker_command", NULL};
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    PyObject *config = Py_None, *settings = Py_None, *command = Py_None, *self = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$zzzzOzzOO:Executor", names, &options.mode,
                                     &options.backend, &options.storage, &options.monitoring,
                                     &config, &options.config_file, &options.log_level, &settings,
                                     &command))
        return NULL;
    lithops_value *config_value = NULL, *settings_value = NULL;
    struct text_list command_list = {NULL, NULL};
    if (take_map(config, "config", &config_value) == 0 &&
        take_map(settings, "settings", &settings_value) == 0 &&
        text_list_open(command, "worker_command", &command_list) == 0) {
        options.config = config_value;
        options.settings = settings_value;
        options.worker_command = command_list.texts;
        self = open_with(type, &options);
    }
    text_list_close(&command_list);
    lithops_value_free(settings_value);
    lithops_value_free(config_value);
    return self;
}

static void executor_dealloc(struct executor *self)
{
    PyTypeObject *type = Py_TYPE(self);
    executor_close(self);
    Py_XDECREF(self->id);
    type->tp_free(self);
    Py_DECREF(type);
}

/* ---- single calls ---------------------------------------------------------------------------- */

PyDoc_STRVAR(
    call_async_doc,
    "call_async($self, function, input, *, timeout=None, runtime_memory=None, include=None,\n"
    "           exclude=None)\n--\n\n"
    "Start one call; its Future. `timeout` is in seconds, `runtime_memory` in MB.");

enum { CALL_FUNCTION, CALL_INPUT, CALL_TIMEOUT, CALL_MEMORY, CALL_INCLUDE, CALL_EXCLUDE, CALL_N };
static const char *const call_names[] = {"function", "input",   "timeout", "runtime_memory",
                                         "include",  "exclude", NULL};
static const struct signature call_signature = {"call_async", 2, 2, call_names};

/* Inputs that take long to copy into shared memory: other threads may run meanwhile. */
enum { LONG_INPUT_BYTES = 256 << 10 };

/* @param input  consumed */
static lithops_future *start_call(struct executor *self, const struct function *function,
                                  struct inputs *input, const lithops_call_options *options)
{
    lithops_executor *fexec = executor_enter(self);
    if (!fexec) {
        inputs_release(input);
        return NULL;
    }
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_value *value = input->value;
    input->value = NULL;
    bool is_long = input->one.payload.content == LITHOPS_CONTENT_PIECES || /* of big buffers */
                   lithops_value_get_bytes(value).len > LONG_INPUT_BYTES;
    PyThreadState *thread = is_long ? PyEval_SaveThread() : NULL;
    lithops_future *future = lithops_call_async(fexec, function->function, value, options, &err);
    if (thread)
        PyEval_RestoreThread(thread);
    executor_leave(self);
    inputs_release(input);
    if (!future)
        raise_error(state_of((PyObject *)self), &err);
    return future;
}

static PyObject *wrap_call(struct executor *self, struct function *function, lithops_future *future)
{
    lithops_futures *futures = lithops_futures_new(&future, 1);
    lithops_future_unref(future);
    struct job *job = job_new(self, function, futures);
    PyObject *result = job ? future_new(job, 0) : NULL;
    job_unref(job);
    return result;
}

static PyObject *executor_call_async(PyObject *object, PyObject *const *args, Py_ssize_t nargs,
                                     PyObject *kwnames)
{
    struct executor *self = (struct executor *)object;
    struct module_state *state = state_of(object);
    PyObject *values[CALL_N];
    if (take_arguments(&call_signature, args, nargs, kwnames, values) != 0)
        return NULL;
    struct function *function = take_function(state, values[CALL_FUNCTION], "function");
    lithops_call_options options = LITHOPS_CALL_OPTIONS_INIT;
    struct text_list include = {NULL, NULL}, exclude = {NULL, NULL};
    struct inputs input;
    lithops_future *future = NULL;
    if (function &&
        take_ms(values[CALL_TIMEOUT], "timeout", LITHOPS_DEFAULT, &options.timeout_ms) == 0 &&
        take_int(values[CALL_MEMORY], "runtime_memory", &options.runtime_memory_mb) == 0 &&
        text_list_open(values[CALL_INCLUDE], "include", &include) == 0 &&
        text_list_open(values[CALL_EXCLUDE], "exclude", &exclude) == 0 &&
        inputs_of_one(state, values[CALL_INPUT], function->is_native, &input) == 0) {
        options.include_modules = include.texts;
        options.exclude_modules = exclude.texts;
        future = start_call(self, function, &input, &options);
    }
    text_list_close(&include);
    text_list_close(&exclude);
    return future ? wrap_call(self, function, future) : NULL;
}

/* ---- afterwards ------------------------------------------------------------------------------ */

/* The engine's sequence for a list of Futures; NULL for None. */
static int select_some(struct executor *self, PyObject *futures, struct selection *ret_selection)
{
    *ret_selection = (struct selection){0, NULL, NULL, NULL};
    return futures == Py_None ? 0
                              : selection_open(state_of((PyObject *)self), futures, ret_selection);
}

PyDoc_STRVAR(clean_doc,
             "clean($self, futures, cloudobjects, clean_cloudobjects, clean_fn, force, on_exit,\n"
             "      /)\n--\n\n"
             "Drop finished jobs (futures None: all) and what they stored.");

static PyObject *executor_clean(struct executor *self, PyObject *args)
{
    PyObject *futures, *cloudobjects;
    int with_cloudobjects, with_functions, force, on_exit;
    if (!PyArg_ParseTuple(args, "OOpppp:clean", &futures, &cloudobjects, &with_cloudobjects,
                          &with_functions, &force, &on_exit))
        return NULL;
    lithops_clean_options options = LITHOPS_CLEAN_OPTIONS_INIT;
    options.clean_cloudobjects = with_cloudobjects;
    options.clean_fn = with_functions;
    options.force = force;
    options.on_exit = on_exit;
    struct selection selection;
    if (select_some(self, futures, &selection) != 0)
        return NULL;
    lithops_value *list = NULL;
    bool ok = cloudobjects == Py_None || (list = value_from_python(cloudobjects)) != NULL;
    options.cs = list;
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = ok ? executor_enter(self) : NULL;
    int rc = -1;
    if (fexec) {
        Py_BEGIN_ALLOW_THREADS
        rc = lithops_clean(fexec, selection.futures, &options, &err);
        Py_END_ALLOW_THREADS
        executor_leave(self);
    }
    lithops_value_free(list);
    selection_close(&selection);
    if (rc != 0)
        return fexec ? raise_error(state_of((PyObject *)self), &err) : NULL;
    Py_RETURN_NONE;
}

/* ---- the type -------------------------------------------------------------------------------- */

PyDoc_STRVAR(close_doc, "close($self, /)\n--\n\n"
                        "Cancel what still runs and end the worker processes; futures stay\n"
                        "readable. Nothing on a closed one. In a done-callback it happens soon,\n"
                        "on another thread.");

static PyObject *executor_close_method(struct executor *self, PyObject *Py_UNUSED(ignored))
{
    executor_close(self);
    Py_RETURN_NONE;
}

static PyObject *executor_id(struct executor *self, void *Py_UNUSED(closure))
{
    Py_INCREF(self->id);
    return self->id;
}

static PyObject *executor_config(struct executor *self, void *Py_UNUSED(closure))
{
    lithops_executor *fexec = executor_enter(self);
    if (!fexec)
        return NULL;
    lithops_value *config = lithops_executor_config(fexec);
    executor_leave(self);
    PyObject *dict = config ? value_to_python(config) : PyErr_NoMemory();
    lithops_value_free(config);
    return dict;
}

static PyObject *executor_forked(struct executor *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(self->generation != fork_generation());
}

static PyObject *executor_repr(struct executor *self)
{
    return PyUnicode_FromFormat("<Executor %U%s>", self->id, self->is_closed ? ", closed" : "");
}

static PyGetSetDef getters[] = {
    {"id", (getter)executor_id, NULL, "Six hex digits and a number.", NULL},
    {"config", (getter)executor_config, NULL, "What is in force, as a new dict.", NULL},
    {"forked", (getter)executor_forked, NULL, "True in a child of the process of it.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
#define FAST(function) ((PyCFunction)(void (*)(void))(function))
static PyMethodDef methods[] = {
    {"call_async", FAST(executor_call_async), METH_FASTCALL | METH_KEYWORDS, call_async_doc},
    {"map", FAST(executor_map), METH_FASTCALL | METH_KEYWORDS, executor_map_doc},
    {"map_futures", FAST(executor_map_futures), METH_FASTCALL | METH_KEYWORDS,
     executor_map_futures_doc},
    {"map_reduce", FAST(executor_map_reduce), METH_FASTCALL | METH_KEYWORDS,
     executor_map_reduce_doc},
    {"clean", (PyCFunction)executor_clean, METH_VARARGS, clean_doc},
    {"close", (PyCFunction)executor_close_method, METH_NOARGS, close_doc},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot slots[] = {
    {Py_tp_doc, (char *)executor_doc},
    {Py_tp_new, executor_create},
    {Py_tp_dealloc, executor_dealloc},
    {Py_tp_repr, executor_repr},
    {Py_tp_getset, getters},
    {Py_tp_methods, methods},
    {0, NULL},
};
static PyType_Spec spec = {
    .name = "lithops._lithops.Executor",
    .basicsize = sizeof(struct executor),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};

int lithops_add_executor(PyObject *module)
{
    return add_type(module, &spec, &state_of_module(module)->executor_type, true);
}
