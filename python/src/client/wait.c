/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for futures and taking their outcomes.
 *
 * The engine waits without the GIL. When a signal arrives on the thread, and several times a
 * second, it asks whether to go on. Python's signal handlers run then, and an exception that one of
 * them raises, usually KeyboardInterrupt, ends the wait. Where calls wait for memory, results that
 * the program has taken are released. */
#include "client/wait.h"

#include "client/arguments.h"
#include "client/future.h"
#include "client/job.h"
#include "client/remembered.h"
#include "client/selection.h"
#include "errors.h"
#include "extension.h"

#include <unistd.h>

/* ---- waiting --------------------------------------------------------------------------------- */

struct blocking {
    struct module_state *state;
    const lithops_futures *futures;
    PyThreadState *thread;
    bool raised; /* a signal handler has */
};

static bool run_signal_handlers(void *user)
{
    struct blocking *blocking = user;
    PyEval_RestoreThread(blocking->thread);
    blocking->raised = PyErr_CheckSignals() != 0;
    if (!blocking->raised && lithops_futures_lack_memory(blocking->futures))
        release_all_taken(blocking->state);
    blocking->thread = PyEval_SaveThread();
    return blocking->raised;
}

/* Python is exiting, and the calls that this thread waits for were cancelled with their executors.
 * Threads still running are daemons, which Python abandons: they must not return an error that the
 * program did not cause. Only the main thread returns. */
static void stay_behind(const struct module_state *state)
{
    if (!state->is_exiting || PyThread_get_thread_ident() == state->exiting_thread)
        return;
    (void)PyEval_SaveThread();
    for (;;)
        pause();
}

int wait_for_futures(struct module_state *state, lithops_futures *futures, int return_when,
                     int64_t timeout_ms, bool throw_except, lithops_error *err)
{
    struct blocking blocking = {state, futures, NULL, false};
    lithops_wait_options options = LITHOPS_WAIT_OPTIONS_INIT;
    options.return_when = return_when;
    options.throw_except = throw_except;
    options.timeout_ms = timeout_ms > 0 ? timeout_ms : 1; /* the engine wants some time */
    options.interrupted = run_signal_handlers;
    options.user = &blocking;
    blocking.thread = PyEval_SaveThread();
    int rc = lithops_wait(NULL, futures, &options, NULL, NULL, err);
    PyEval_RestoreThread(blocking.thread);
    stay_behind(state);
    return blocking.raised ? 1 : rc;
}

int wait_for_next(struct module_state *state, lithops_futures *futures, int64_t timeout_ms,
                  size_t *ret_index, lithops_error *err)
{
    struct blocking blocking = {state, futures, NULL, false};
    lithops_wait_options options = LITHOPS_WAIT_OPTIONS_INIT;
    options.timeout_ms = timeout_ms;
    options.interrupted = run_signal_handlers;
    options.user = &blocking;
    blocking.thread = PyEval_SaveThread();
    int rc = lithops_futures_next(futures, &options, ret_index, err);
    PyEval_RestoreThread(blocking.thread);
    stay_behind(state);
    return blocking.raised ? 1 : rc;
}

PyDoc_STRVAR(
    wait_doc,
    "wait($module, futures, return_when=100, timeout=None, throw_except=True,\n"
    "     throw_cancelled=True)\n--\n\n"
    "Wait until a percentage is done (0: any, -1: look only). A failed call ends it with what the\n"
    "call has raised, unless throw_except is false; a cancelled one too, or, where "
    "throw_cancelled\n"
    "is false, with the result False.");

static PyObject *lithops_wait_python(PyObject *module, PyObject *const *args, Py_ssize_t nargs,
                                     PyObject *kwnames)
{
    static const char *const names[] = {"futures",      "return_when",     "timeout",
                                        "throw_except", "throw_cancelled", NULL};
    static const struct signature signature = {"wait", 1, 5, names};
    struct module_state *state = state_of_module(module);
    PyObject *values[5];
    int64_t return_when, timeout_ms;
    bool throw_except, throw_cancelled;
    struct selection selection;
    if (take_arguments(&signature, args, nargs, kwnames, values) != 0 ||
        take_int(values[1], "return_when", &return_when) != 0 ||
        take_ms(values[2], "timeout", LITHOPS_FOREVER, &timeout_ms) != 0 ||
        take_bool(values[3], true, &throw_except) != 0 ||
        take_bool(values[4], true, &throw_cancelled) != 0)
        return NULL;
    if (return_when == LITHOPS_DEFAULT)
        return_when = LITHOPS_ALL;
    if (return_when < LITHOPS_ALWAYS || return_when > LITHOPS_ALL)
        return PyErr_Format(PyExc_ValueError,
                            "return_when is %lld: -1 (always), 0 (any) or 1 to 100 (a percentage) "
                            "is expected",
                            (long long)return_when);
    if (selection_open(state, values[0], &selection) != 0)
        return NULL;
    lithops_error err = LITHOPS_ERROR_INIT;
    int rc = wait_for_futures(state, selection.futures, (int)return_when, timeout_ms, throw_except,
                              &err);
    bool raised = rc == 1, cancelled = false;
    /* the failure is a call's or the wait's own */
    if (rc < 0 && throw_except)
        raised = selection_raise_failure(&selection, throw_cancelled, &cancelled);
    if (rc < 0 && !raised && !cancelled)
        raised = !raise_error(state, &err);
    selection_close(&selection);
    return raised ? NULL : PyBool_FromLong(!cancelled);
}

/* ---- how they stand -------------------------------------------------------------------------- */

PyDoc_STRVAR(done_count_doc, "done_count($module, futures, /)\n--\n\nHow many are done.");

static PyObject *done_count(PyObject *module, PyObject *futures)
{
    struct selection selection;
    if (selection_open(state_of_module(module), futures, &selection) != 0)
        return NULL;
    size_t count = lithops_futures_done(selection.futures);
    selection_close(&selection);
    return PyLong_FromSize_t(count);
}

PyDoc_STRVAR(workers_doc, "workers($module, futures, /)\n--\n\n"
                          "Workers elsewhere that are there, and how many processes they have.");

static PyObject *workers(PyObject *module, PyObject *futures)
{
    struct selection selection;
    uint32_t processes;
    if (selection_open(state_of_module(module), futures, &selection) != 0)
        return NULL;
    uint32_t count = lithops_futures_workers(selection.futures, &processes);
    selection_close(&selection);
    return Py_BuildValue("II", (unsigned)count, (unsigned)processes);
}

static bool is_done(const struct job *job, size_t index)
{
    return lithops_futures_state(job->futures, index) >= LITHOPS_SUCCESS;
}

/* Split `sequence`, the source of `selection`, into done and not done, in order. */
static int split_into(const struct selection *selection, PyObject *sequence, PyObject *done,
                      PyObject *not_done)
{
    Py_ssize_t at = 0;
    for (size_t p = 0; p < selection->count; p++) {
        const lithops_futures_piece *piece = &selection->pieces[p];
        struct job *job = selection->jobs[p];
        size_t run = piece->begin; /* of calls that are done */
        for (size_t i = piece->begin; i < piece->end; i++) {
            bool now = is_done(job, i);
            if (PyList_Append(now ? done : not_done, PyTuple_GET_ITEM(sequence, at++)) != 0)
                return -1;
            if (now)
                continue;
            lithops_futures_seen(job->futures, run, i, false);
            run = i + 1;
        }
        lithops_futures_seen(job->futures, run, piece->end, false);
    }
    return 0;
}

PyDoc_STRVAR(split_doc, "split($module, futures, /)\n--\n\n"
                        "Two lists, done and not done, by what is done now, in order.");

static PyObject *split(PyObject *module, PyObject *futures)
{
    struct selection selection;
    PyObject *sequence = PySequence_Tuple(futures); /* a copy that cannot change */
    if (!sequence || selection_open(state_of_module(module), sequence, &selection) != 0) {
        Py_XDECREF(sequence);
        return NULL;
    }
    PyObject *done = PyList_New(0), *not_done = PyList_New(0), *pair = NULL;
    if (done && not_done && split_into(&selection, sequence, done, not_done) == 0)
        pair = PyTuple_Pack(2, done, not_done);
    Py_XDECREF(done);
    Py_XDECREF(not_done);
    selection_close(&selection);
    Py_DECREF(sequence);
    return pair;
}

/* ---- results --------------------------------------------------------------------------------- */

enum errors_mode { ERRORS_RAISE, ERRORS_RETURN, ERRORS_NONE };

static int take_mode(PyObject *object, enum errors_mode *ret_mode)
{
    static const char *const modes[] = {"raise", "return", "none"};
    *ret_mode = ERRORS_RAISE;
    if (!object)
        return 0;
    for (int i = 0; i < 3; i++)
        if (PyUnicode_Check(object) && PyUnicode_CompareWithASCIIString(object, modes[i]) == 0) {
            *ret_mode = (enum errors_mode)i;
            return 0;
        }
    PyErr_Format(PyExc_ValueError, "errors is %R: 'raise', 'return' or 'none' is expected", object);
    return -1;
}

/* A result, or what stands for it when the call has failed. */
static PyObject *result_or_error(const struct selection *selection, struct job *job, size_t index,
                                 enum errors_mode mode)
{
    PyObject *result;
    if (job_take_result(job, index, &result)) {
        if (result || mode == ERRORS_RAISE || !PyErr_ExceptionMatches(PyExc_Exception))
            return result;
        result = take_raised(); /* one call whose result cannot be loaded counts as failed */
        if (mode == ERRORS_RETURN)
            return result;
        Py_DECREF(result);
        Py_RETURN_NONE;
    }
    if (!job_has_failed(job, index))
        return job_result(job, index); /* raises why there is none */
    if (mode == ERRORS_RETURN)
        return job_exception(job, index);
    if (mode == ERRORS_NONE)
        Py_RETURN_NONE;
    selection_raise_failure(selection, true, NULL);
    return NULL;
}

static int collect(const struct selection *selection, enum errors_mode mode, PyObject *list)
{
    Py_ssize_t at = 0;
    for (size_t p = 0; p < selection->count; p++) {
        const lithops_futures_piece *piece = &selection->pieces[p];
        struct job *job = selection->jobs[p];
        for (size_t i = piece->begin; i < piece->end; i++) {
            PyObject *result = result_or_error(selection, job, i, mode);
            if (!result) {
                job_mark_read(job, piece->begin, i + is_done(job, i));
                return -1;
            }
            PyList_SET_ITEM(list, at++, result);
        }
        job_mark_read(job, piece->begin, piece->end);
    }
    return 0;
}

PyDoc_STRVAR(results_doc, "results($module, futures, errors='raise')\n--\n\n"
                          "Results of calls that are done. For a failed call: raise what it has\n"
                          "raised, give that back ('return'), or give None ('none').");

static PyObject *results(PyObject *module, PyObject *const *args, Py_ssize_t nargs,
                         PyObject *kwnames)
{
    static const char *const names[] = {"futures", "errors", NULL};
    static const struct signature signature = {"results", 1, 2, names};
    PyObject *values[2];
    enum errors_mode mode;
    struct selection selection;
    if (take_arguments(&signature, args, nargs, kwnames, values) != 0 ||
        take_mode(values[1], &mode) != 0 ||
        selection_open(state_of_module(module), values[0], &selection) != 0)
        return NULL;
    PyObject *list = PyList_New((Py_ssize_t)lithops_futures_size(selection.futures));
    if (list && collect(&selection, mode, list) != 0)
        Py_CLEAR(list);
    selection_close(&selection);
    return list;
}

/* ---- all at once ----------------------------------------------------------------------------- */

PyDoc_STRVAR(
    cancel_doc,
    "cancel($module, futures, /)\n--\n\nCancel those that are not done; returns their number.");

static PyObject *cancel(PyObject *module, PyObject *futures)
{
    struct selection selection;
    if (selection_open(state_of_module(module), futures, &selection) != 0)
        return NULL;
    size_t count;
    Py_BEGIN_ALLOW_THREADS
    count = lithops_futures_cancel(selection.futures);
    Py_END_ALLOW_THREADS
    selection_close(&selection);
    return PyLong_FromSize_t(count);
}

PyDoc_STRVAR(release_doc,
             "release($module, futures, /)\n--\n\n"
             "Give the shared memory of results back. Those that were read stay; to ask for one\n"
             "that was not is an error. Results that other calls may need are left alone.");

static PyObject *release(PyObject *module, PyObject *futures)
{
    return selection_visit(state_of_module(module), futures, job_release);
}

#define FAST(function) ((PyCFunction)(void (*)(void))(function))
static PyMethodDef methods[] = {
    {"wait", FAST(lithops_wait_python), METH_FASTCALL | METH_KEYWORDS, wait_doc},
    {"done_count", done_count, METH_O, done_count_doc},
    {"workers", workers, METH_O, workers_doc},
    {"split", split, METH_O, split_doc},
    {"results", FAST(results), METH_FASTCALL | METH_KEYWORDS, results_doc},
    {"cancel", cancel, METH_O, cancel_doc},
    {"release", release, METH_O, release_doc},
    {NULL, NULL, 0, NULL},
};

int lithops_add_wait(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}
