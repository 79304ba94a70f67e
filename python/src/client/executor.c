/* SPDX-License-Identifier: Apache-2.0 */
/* Executor: opening, single calls, cleaning up, closing. executor_map.c starts jobs of many calls.
 *
 * lithops_executor_close() frees the engine's handle, so no thread may be using it then. Threads
 * that use it without the GIL are counted (`users`); close() keeps further ones out, then waits for
 * those inside.
 *
 * A done-callback may drop the last reference, but lithops_executor_close() waits for the thread
 * that runs callbacks. So there, closing is left to a new thread. */
#include "client/executor.h"

#include "client/arguments.h"
#include "client/callback_thread.h"
#include "client/executor_map.h"
#include "client/fork.h"
#include "client/function.h"
#include "client/future.h"
#include "client/inputs.h"
#include "client/job.h"
#include "client/selection.h"
#include "codec/value.h"
#include "errors.h"
#include "extension.h"

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
        PyMem_RawFree(closing); /* in a forked child the handle is the parent's */
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
        executor->idle = NULL; /* its waiter frees it */
        PyThread_release_lock(idle);
    }
}

/* ---- opening --------------------------------------------------------------------------------- */

PyDoc_STRVAR(
    executor_doc,
    "Executor(*, mode=None, backend=None, storage=None, monitoring=None, config=None,\n"
    "         config_file=None, log_level=None, settings=None, worker_command=None,\n"
    "         foreign_settings=False, detached=False)\n--\n\n"
    "Where functions run. `config` is the whole configuration, `settings` are keys of the\n"
    "backend's section; `worker_command` is the program, with arguments, that becomes a\n"
    "worker process, or a callable that makes it out of the backend's runtime (str or None).\n"
    "With `foreign_settings`, settings that nobody knows are `findings`. Jobs of one that is\n"
    "`detached` outlive it.");

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

/* (the configuration, the same with secrets masked) */
static PyObject *pair_of(const lithops_value *full, const lithops_value *shown)
{
    PyObject *both[] = {value_to_python(full), value_to_python(shown)};
    PyObject *pair = both[0] && both[1] ? PyTuple_Pack(2, both[0], both[1]) : NULL;
    Py_XDECREF(both[0]);
    Py_XDECREF(both[1]);
    return pair;
}

static void link_open(struct module_state *state, struct executor *executor)
{
    executor->next = state->open_executors;
    if (executor->next)
        executor->next->previous = executor;
    state->open_executors = executor;
}

/* Options of Executor() and resolve_config(), and the memory they borrow from. */
struct opening {
    lithops_executor_options options;
    lithops_value *config, *settings;
    struct text_list command;
    PyObject *make_command; /* callable; borrowed, or NULL */
    PyThreadState *thread;  /* while the GIL is released */
};

static void opening_close(struct opening *opening)
{
    text_list_close(&opening->command);
    lithops_value_free(opening->settings);
    lithops_value_free(opening->config);
}

/* make_worker_command of the options. What it raises stays set for when the GIL is back. */
static const char *const *make_command(void *user, const char *runtime, lithops_error *err)
{
    (void)err;
    struct opening *opening = user;
    PyEval_RestoreThread(opening->thread);
    PyObject *command = PyObject_CallFunction(opening->make_command, "z", runtime);
    if (command)
        text_list_open(command, "worker_command", &opening->command);
    Py_XDECREF(command);
    opening->thread = PyEval_SaveThread();
    return opening->command.texts;
}

static int opening_take(PyObject *args, PyObject *kwargs, struct opening *ret)
{
    static char *names[] = {"mode",           "backend",          "storage",   "monitoring",
                            "config",         "config_file",      "log_level", "settings",
                            "worker_command", "foreign_settings", "detached",  NULL};
    PyObject *config = Py_None, *settings = Py_None, *command = Py_None;
    int foreign = 0, detached = 0;
    *ret = (struct opening){.options = LITHOPS_EXECUTOR_OPTIONS_INIT};
    lithops_executor_options *options = &ret->options;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$zzzzOzzOOpp:Executor", names, &options->mode,
                                     &options->backend, &options->storage, &options->monitoring,
                                     &config, &options->config_file, &options->log_level, &settings,
                                     &command, &foreign, &detached))
        return -1;
    if (PyCallable_Check(command)) {
        ret->make_command = command;
        options->make_worker_command = make_command;
        options->user = ret;
        command = Py_None;
    }
    if (take_map(config, "config", &ret->config) != 0 ||
        take_map(settings, "settings", &ret->settings) != 0 ||
        text_list_open(command, "worker_command", &ret->command) != 0) {
        opening_close(ret);
        return -1;
    }
    options->config = ret->config;
    options->settings = ret->settings;
    options->worker_command = ret->command.texts;
    options->foreign_settings = foreign;
    options->detached = detached;
    return 0;
}

/* Note an executor with less than 1 GiB of shared memory, for tidy() in remembered.c. */
static void note_memory(struct module_state *state, const lithops_value *section)
{
    int64_t mib = lithops_value_get_int(lithops_value_get(section, "shared_memory"));
    if (mib > 0 && mib < 1024 &&
        (!state->little_memory || (size_t)mib << 20 < state->little_memory))
        state->little_memory = (size_t)mib << 20;
}

/* What its Futures say of it. */
static int note_backend(struct executor *self)
{
    lithops_value *config = lithops_executor_config(self->fexec);
    const char *backend = lithops_value_get_string(
        lithops_value_get(lithops_value_get(config, "lithops"), "backend"));
    const lithops_value *section = backend ? lithops_value_get(config, backend) : NULL;
    const char *runtime = lithops_value_get_string(lithops_value_get(section, "runtime"));
    int64_t all_s = lithops_value_get_int(
        lithops_value_get(lithops_value_get(config, "lithops"), "execution_timeout"));
    int64_t own_s = lithops_value_get_int(lithops_value_get(section, "runtime_timeout"));
    self->timeout_ms = (own_s > 0 && own_s < all_s ? own_s : all_s) * 1000;
    self->memory_mb = lithops_value_get_int(lithops_value_get(section, "runtime_memory"));
    note_memory(state_of((PyObject *)self), section);
    self->backend = PyUnicode_FromString(backend ? backend : "");
    self->runtime = runtime ? PyUnicode_FromString(runtime) : NULL;
    lithops_value_free(config);
    return self->backend && (self->runtime || !runtime) ? 0 : -1;
}

/* Attached to jobs, if there is a handle: then the futures are in *ret_futures. */
static PyObject *open_with(PyTypeObject *type, struct opening *opening, const lithops_value *handle,
                           lithops_futures **ret_futures)
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
    opening->thread = PyEval_SaveThread();
    fexec = handle ? lithops_attach(handle, &opening->options, ret_futures, &err)
                   : lithops_executor_open(&opening->options, &err);
    PyEval_RestoreThread(opening->thread);
    self->fexec = fexec;
    self->id = fexec ? PyUnicode_FromString(lithops_executor_id(fexec)) : NULL;
    if (!fexec && !PyErr_Occurred())
        raise_error(state, &err);
    if (fexec)
        link_open(state, self);
    if (!self->id || note_backend(self) != 0)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static PyObject *executor_create(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    struct opening opening;
    if (opening_take(args, kwargs, &opening) != 0)
        return NULL;
    PyObject *self = open_with(type, &opening, NULL, NULL);
    opening_close(&opening);
    return self;
}

struct executor *executor_attach(struct module_state *state, const lithops_value *handle,
                                 PyObject *args, PyObject *kwargs, lithops_futures **ret_futures)
{
    struct opening opening;
    if (opening_take(args, kwargs, &opening) != 0)
        return NULL;
    PyObject *self = open_with((PyTypeObject *)state->executor_type, &opening, handle, ret_futures);
    opening_close(&opening);
    return (struct executor *)self;
}

PyObject *resolve_config(PyObject *module, PyObject *args, PyObject *kwargs)
{
    struct opening opening;
    if (opening_take(args, kwargs, &opening) != 0)
        return NULL;
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_value *full, *shown;
    Py_BEGIN_ALLOW_THREADS
    full = lithops_config_resolve(&opening.options, true, &err);
    shown = full ? lithops_config_resolve(&opening.options, false, &err) : NULL;
    Py_END_ALLOW_THREADS
    opening_close(&opening);
    PyObject *pair = shown ? pair_of(full, shown) : raise_error(state_of_module(module), &err);
    lithops_value_free(full);
    lithops_value_free(shown);
    return pair;
}

static void executor_dealloc(struct executor *self)
{
    PyTypeObject *type = Py_TYPE(self);
    executor_close(self);
    Py_XDECREF(self->id);
    Py_XDECREF(self->backend);
    Py_XDECREF(self->runtime);
    type->tp_free(self);
    Py_DECREF(type);
}

/* ---- single calls ---------------------------------------------------------------------------- */

PyDoc_STRVAR(
    call_async_doc,
    "call_async($self, function, input, *, timeout=None, runtime_memory=None, include=None,\n"
    "           exclude=None, extra_env=None)\n--\n\n"
    "Start one call; its Future. `timeout` is in seconds, `runtime_memory` in MB.");

enum {
    CALL_FUNCTION,
    CALL_INPUT,
    CALL_TIMEOUT,
    CALL_MEMORY,
    CALL_INCLUDE,
    CALL_EXCLUDE,
    CALL_ENV,
    CALL_N
};
static const char *const call_names[] = {"function", "input",   "timeout",   "runtime_memory",
                                         "include",  "exclude", "extra_env", NULL};
static const struct signature call_signature = {"call_async", 2, 2, call_names};

/* From this size on the GIL is released while an input is copied into shared memory. */
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

static PyObject *wrap_call(struct executor *self, struct function *function, lithops_future *future,
                           const lithops_call_options *options)
{
    lithops_futures *futures = lithops_futures_new(&future, 1);
    lithops_future_unref(future);
    struct job *job = job_new(self, function, futures);
    if (job)
        job_set_limits(job, options->runtime_memory_mb, options->timeout_ms);
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
    lithops_value *env = NULL;
    struct inputs input;
    lithops_future *future = NULL;
    if (function &&
        take_ms(values[CALL_TIMEOUT], "timeout", LITHOPS_DEFAULT, &options.timeout_ms) == 0 &&
        take_int(values[CALL_MEMORY], "runtime_memory", &options.runtime_memory_mb) == 0 &&
        text_list_open(values[CALL_INCLUDE], "include", &include) == 0 &&
        text_list_open(values[CALL_EXCLUDE], "exclude", &exclude) == 0 &&
        take_env(values[CALL_ENV], &env) == 0 &&
        inputs_of_one(state, values[CALL_INPUT], function->is_native, &input) == 0) {
        options.include_modules = include.texts;
        options.exclude_modules = exclude.texts;
        options.extra_env = env;
        future = start_call(self, function, &input, &options);
    }
    text_list_close(&include);
    text_list_close(&exclude);
    lithops_value_free(env);
    return future ? wrap_call(self, function, future, &options) : NULL;
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
    lithops_value *full = lithops_executor_config_full(fexec);
    lithops_value *shown = full ? lithops_executor_config(fexec) : NULL;
    executor_leave(self);
    PyObject *pair = shown ? pair_of(full, shown) : PyErr_NoMemory();
    lithops_value_free(full);
    lithops_value_free(shown);
    return pair;
}

static PyObject *executor_findings(struct executor *self, void *Py_UNUSED(closure))
{
    lithops_executor *fexec = executor_enter(self);
    if (!fexec)
        return NULL;
    lithops_value *findings = lithops_executor_findings(fexec);
    executor_leave(self);
    PyObject *list = findings ? value_to_python(findings) : PyErr_NoMemory();
    lithops_value_free(findings);
    return list;
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
    {"config", (getter)executor_config, NULL,
     "The configuration in force, as it is and with secrets masked.", NULL},
    {"findings", (getter)executor_findings, NULL, "Unknown names of the configuration.", NULL},
    {"forked", (getter)executor_forked, NULL,
     "Whether this process was forked from the one that made it.", NULL},
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
