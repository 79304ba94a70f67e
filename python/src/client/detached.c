/* SPDX-License-Identifier: Apache-2.0 */
/* Handles of detached jobs: taking them, attaching to them, and what needs no futures. */
#include "client/executor.h"
#include "client/function.h"
#include "client/future.h"
#include "client/job.h"
#include "client/selection.h"
#include "codec/value.h"
#include "errors.h"
#include "extension.h"

#include <lithops/plugin/runtime.h>

#include <string.h>

/* A handle out of a dict; NULL with an exception. */
static lithops_value *take_handle(PyObject *object)
{
    if (PyDict_Check(object))
        return value_from_python(object);
    PyErr_Format(PyExc_TypeError, "handle: dict expected, %s given", Py_TYPE(object)->tp_name);
    return NULL;
}

/* ---- taking ---------------------------------------------------------------------------------- */

PyDoc_STRVAR(job_handle_doc, "job_handle($module, futures, /)\n--\n\n"
                             "The handle of the detached jobs that these Futures are of, a dict.");

static PyObject *job_handle(PyObject *module, PyObject *futures)
{
    struct module_state *state = state_of_module(module);
    struct selection selection;
    lithops_error err = LITHOPS_ERROR_INIT;
    if (selection_open(state, futures, &selection) != 0)
        return NULL;
    lithops_value *handle = lithops_job_handle(selection.futures, &err);
    PyObject *made = handle ? value_to_python(handle) : raise_error(state, &err);
    lithops_value_free(handle);
    selection_close(&selection);
    return made;
}

/* ---- attaching ------------------------------------------------------------------------------- */

static int64_t number_of(const lithops_value *map, const char *key)
{
    return lithops_value_get_int(lithops_value_get(map, key));
}

static const char *name_at(const lithops_value *jobs, size_t i)
{
    const char *name =
        lithops_value_get_string(lithops_value_get(lithops_value_at(jobs, i), "job"));
    return name ? name : "";
}

/* What the calls of one of the handle's jobs are called. */
static PyObject *function_of(const lithops_value *handle, size_t i)
{
    lithops_value *one = lithops_value_copy(handle), *jobs = lithops_value_list();
    lithops_job_state state = LITHOPS_JOB_STATE_INIT;
    const lithops_value *all = lithops_value_get(handle, "jobs");
    if (lithops_value_append(jobs, lithops_value_copy(lithops_value_at(all, i))) != 0 ||
        lithops_value_set(one, "jobs", jobs) != 0 || lithops_job_state_read(one, &state, NULL) != 0)
        state.function[0] = '\0';
    lithops_value_free(one);
    return PyUnicode_DecodeUTF8(state.function, (Py_ssize_t)strlen(state.function), "replace");
}

/* The Futures of calls [begin, end) of all, which are those of the handle's i-th job. */
static PyObject *futures_of_part(struct executor *executor, const lithops_value *handle, size_t i,
                                 lithops_futures *futures, size_t begin, size_t end)
{
    const lithops_value *jobs = lithops_value_get(handle, "jobs");
    const char *name = name_at(jobs, i), *next = name_at(jobs, i + 1);
    const lithops_futures_piece piece = {futures, begin, end};
    struct function function = {.name = function_of(handle, i)};
    struct job *job =
        function.name ? job_new(executor, &function, lithops_futures_join(&piece, 1)) : NULL;
    Py_XDECREF(function.name);
    if (!job)
        return NULL;
    job->is_reduce = name[0] == 'R';
    job->feeds_reducer = name[0] == 'M' && next[0] == 'R' && strcmp(name + 1, next + 1) == 0;
    job->gives_list = name[0] == 'M';
    PyObject *list = futures_of_job(job);
    job_unref(job);
    return list;
}

static PyObject *futures_of_handle(struct executor *executor, const lithops_value *handle,
                                   lithops_futures *futures)
{
    const lithops_value *jobs = lithops_value_get(handle, "jobs");
    PyObject *all = PyList_New(0);
    size_t at = 0, count = lithops_value_size(jobs);
    for (size_t i = 0; all && i < count; i++) {
        const lithops_value *job = lithops_value_at(jobs, i);
        size_t calls = (size_t)(number_of(job, "end") - number_of(job, "begin"));
        PyObject *part = futures_of_part(executor, handle, i, futures, at, at + calls);
        if (!part || PyList_SetSlice(all, PyList_GET_SIZE(all), PyList_GET_SIZE(all), part) != 0)
            Py_CLEAR(all);
        Py_XDECREF(part);
        at += calls;
    }
    return all;
}

PyDoc_STRVAR(attach_doc,
             "attach($module, handle, /, **options)\n--\n\n"
             "An Executor and the Futures of the handle's jobs, a pair. Options as of Executor().");

static PyObject *attach(PyObject *module, PyObject *args, PyObject *kwargs)
{
    PyObject *object, *none = PyTuple_New(0), *pair = NULL;
    struct executor *executor = NULL;
    lithops_futures *futures = NULL;
    if (!none || !PyArg_ParseTuple(args, "O:attach", &object)) {
        Py_XDECREF(none);
        return NULL;
    }
    lithops_value *handle = take_handle(object);
    if (handle)
        executor = executor_attach(state_of_module(module), handle, none, kwargs, &futures);
    if (executor) {
        PyObject *all = futures_of_handle(executor, handle, futures);
        pair = all ? PyTuple_Pack(2, executor, all) : NULL;
        Py_XDECREF(all);
    }
    Py_XDECREF(executor);
    Py_DECREF(none);
    lithops_futures_unref(futures);
    lithops_value_free(handle);
    return pair;
}

/* ---- without futures ------------------------------------------------------------------------- */

PyDoc_STRVAR(job_state_doc, "job_state($module, handle, /)\n--\n\n"
                            "How far the jobs of the handle are, as a dict.");

static PyObject *job_state(PyObject *module, PyObject *object)
{
    lithops_value *handle = take_handle(object);
    lithops_job_state state = LITHOPS_JOB_STATE_INIT;
    lithops_error err = LITHOPS_ERROR_INIT;
    if (!handle)
        return NULL;
    int rc = lithops_job_state_read(handle, &state, &err);
    lithops_value_free(handle);
    if (rc != 0)
        return raise_error(state_of_module(module), &err);
    return Py_BuildValue(
        "{s:s,s:K,s:K,s:K,s:K,s:O,s:O,s:d,s:d,s:i}", "function", state.function, "calls",
        (unsigned long long)state.calls, "success", (unsigned long long)state.success, "failed",
        (unsigned long long)state.failed, "canceled", (unsigned long long)state.canceled, "done",
        state.is_done ? Py_True : Py_False, "supervised", state.is_supervised ? Py_True : Py_False,
        "created", state.created, "ended", state.ended, "trouble", state.trouble);
}

PyDoc_STRVAR(job_wait_doc,
             "job_wait($module, handle, timeout_ms, /)\n--\n\n"
             "Wait for so long; whether all calls of the handle's jobs are done. Where their\n"
             "supervisor was killed, another one is started.");

static PyObject *job_wait(PyObject *module, PyObject *args)
{
    PyObject *object;
    long long timeout_ms;
    lithops_error err = LITHOPS_ERROR_INIT;
    if (!PyArg_ParseTuple(args, "OL:job_wait", &object, &timeout_ms))
        return NULL;
    lithops_value *handle = take_handle(object);
    if (!handle)
        return NULL;
    int rc;
    Py_BEGIN_ALLOW_THREADS
    rc = lithops_job_wait(handle, timeout_ms, &err);
    Py_END_ALLOW_THREADS
    lithops_value_free(handle);
    if (rc != 0 && rc != LITHOPS_ETIMEDOUT)
        return raise_error(state_of_module(module), &err);
    return PyBool_FromLong(rc == 0);
}

static PyObject *end_jobs(PyObject *module, PyObject *object,
                          int (*end)(const lithops_value *handle, lithops_error *err))
{
    lithops_value *handle = take_handle(object);
    lithops_error err = LITHOPS_ERROR_INIT;
    if (!handle)
        return NULL;
    int rc;
    Py_BEGIN_ALLOW_THREADS
    rc = end(handle, &err);
    Py_END_ALLOW_THREADS
    lithops_value_free(handle);
    if (rc != 0)
        return raise_error(state_of_module(module), &err);
    Py_RETURN_NONE;
}

static PyObject *job_cancel(PyObject *module, PyObject *handle)
{
    return end_jobs(module, handle, lithops_job_cancel);
}

static PyObject *job_release_handle(PyObject *module, PyObject *handle)
{
    return end_jobs(module, handle, lithops_job_release);
}

static PyObject *job_list(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_value *list;
    Py_BEGIN_ALLOW_THREADS
    list = lithops_job_list(&err);
    Py_END_ALLOW_THREADS
    if (!list)
        return raise_error(state_of_module(module), &err);
    PyObject *made = value_to_python(list);
    lithops_value_free(list);
    return made;
}

static PyMethodDef functions[] = {
    {"attach", (PyCFunction)(void (*)(void))attach, METH_VARARGS | METH_KEYWORDS, attach_doc},
    {"job_handle", job_handle, METH_O, job_handle_doc},
    {"job_state", job_state, METH_O, job_state_doc},
    {"job_wait", job_wait, METH_VARARGS, job_wait_doc},
    {"job_cancel", job_cancel, METH_O,
     PyDoc_STR("job_cancel($module, handle, /)\n--\n\nCancel what is not done of its jobs.")},
    {"job_release", job_release_handle, METH_O,
     PyDoc_STR("job_release($module, handle, /)\n--\n\nNobody wants its jobs any more.")},
    {"job_list", job_list, METH_NOARGS,
     PyDoc_STR("job_list($module, /)\n--\n\nAll detached jobs of this user, as dicts.")},
    {NULL, NULL, 0, NULL},
};

int lithops_add_detached(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
