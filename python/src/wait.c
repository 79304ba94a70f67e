/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for futures and taking their outcomes.
 *
 * The engine waits without the GIL. When a signal has arrived on the thread, and some times a
 * second, it asks whether it shall go on; then Python's signal handlers run, and what one of them
 * raises, KeyboardInterrupt as a rule, ends the wait. */
#include "client.h"

/* ---- waiting --------------------------------------------------------------------------------- */

struct blocking {
    PyThreadState *thread;
    bool raised; /* a signal handler has */
};

static bool run_signal_handlers(void *user)
{
    struct blocking *blocking = user;
    PyEval_RestoreThread(blocking->thread);
    blocking->raised = PyErr_CheckSignals() != 0;
    blocking->thread = PyEval_SaveThread();
    return blocking->raised;
}

int wait_for_futures(lithops_futures *futures, int return_when, int64_t timeout_ms,
                     bool throw_except, lithops_error *err)
{
    struct blocking blocking = {NULL, false};
    lithops_wait_options options = LITHOPS_WAIT_OPTIONS_INIT;
    options.return_when = return_when;
    options.throw_except = throw_except;
    options.timeout_ms = timeout_ms > 0 ? timeout_ms : 1; /* the engine wants some time */
    options.interrupted = run_signal_handlers;
    options.user = &blocking;
    blocking.thread = PyEval_SaveThread();
    int rc = lithops_wait(NULL, futures, &options, NULL, NULL, err);
    PyEval_RestoreThread(blocking.thread);
    return blocking.raised ? 1 : rc;
}

int wait_for_next(lithops_futures *futures, int64_t timeout_ms, size_t *ret_index,
                  lithops_error *err)
{
    struct blocking blocking = {NULL, false};
    lithops_wait_options options = LITHOPS_WAIT_OPTIONS_INIT;
    options.timeout_ms = timeout_ms;
    options.interrupted = run_signal_handlers;
    options.user = &blocking;
    blocking.thread = PyEval_SaveThread();
    int rc = lithops_futures_next(futures, &options, ret_index, err);
    PyEval_RestoreThread(blocking.thread);
    return blocking.raised ? 1 : rc;
}

PyDoc_STRVAR(wait_doc,
             "wait($module, futures, return_when=100, timeout=None, throw_except=True)\n--\n\n"
             "Wait until a percentage is done (0: any, -1: look only). A failed call\n"
             "ends it with what the call has raised, unless throw_except is false.");

static PyObject *lithops_wait_python(PyObject *module, PyObject *const *args, Py_ssize_t nargs,
                                     PyObject *kwnames)
{
    static const char *const names[] = {"futures", "return_when", "timeout", "throw_except", NULL};
    static const struct signature signature = {"wait", 1, 4, names};
    struct module_state *state = state_of_module(module);
    PyObject *values[4];
    int64_t return_when, timeout_ms;
    bool throw_except;
    struct selection selection;
    if (take_arguments(&signature, args, nargs, kwnames, values) != 0 ||
        take_int(values[1], "return_when", &return_when) != 0 ||
        take_ms(values[2], "timeout", LITHOPS_FOREVER, &timeout_ms) != 0 ||
        take_bool(values[3], true, &throw_except) != 0)
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
    int rc = wait_for_futures(selection.futures, (int)return_when, timeout_ms, throw_except, &err);
    /* a failure is a call's, or the wait's own */
    if (rc < 0 && !(throw_except && selection_raise_failure(&selection)))
        raise_error(state, &err);
    selection_close(&selection);
    if (rc != 0)
        return NULL;
    Py_RETURN_NONE;
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

static bool is_done(const struct job *job, size_t index)
{
    return lithops_futures_state(job->futures, index) >= LITHOPS_SUCCESS;
}

/* Those of `sequence`, which selection is of, that are done and the others, in order. */
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
    PyObject *sequence = PySequence_Tuple(futures); /* which nobody changes */
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
    if (job_take_result(job, index, &result))
        return result;
    if (!job_has_failed(job, index))
        return job_result(job, index); /* raises why there is none */
    if (mode == ERRORS_RETURN)
        return job_exception(job, index);
    if (mode == ERRORS_NONE)
        Py_RETURN_NONE;
    selection_raise_failure(selection);
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

PyDoc_STRVAR(cancel_doc,
             "cancel($module, futures, /)\n--\n\nCancel those that are not done; how many.");

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
    struct selection selection;
    if (selection_open(state_of_module(module), futures, &selection) != 0)
        return NULL;
    for (size_t p = 0; p < selection.count; p++)
        for (size_t i = selection.pieces[p].begin; i < selection.pieces[p].end; i++)
            job_release(selection.jobs[p], i);
    selection_close(&selection);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(
    tidy_doc,
    "tidy($module, futures, unread, /)\n--\n\n"
    "Release big results that were taken and whose futures nobody holds but these two\n"
    "lists, whenever 32 MiB of big results were decoded since the last time, or a quarter\n"
    "of the shared memory. `unread` has some of `futures`, in the same order.");

static PyObject *tidy(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    struct module_state *state = state_of_module(module);
    size_t tidy_bytes = state->little_memory ? state->little_memory / 4 : (size_t)32 << 20;
    if (state->big_bytes < tidy_bytes || nargs != 2 || !PyList_CheckExact(args[0]) ||
        !PyList_CheckExact(args[1]))
        Py_RETURN_NONE;
    state->big_bytes = 0;
    PyObject *futures = args[0], *unread = args[1];
    Py_ssize_t next = 0;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(futures); i++) { /* they may change meanwhile */
        PyObject *item = PyList_GET_ITEM(futures, i);
        bool is_unread = next < PyList_GET_SIZE(unread) && PyList_GET_ITEM(unread, next) == item;
        next += is_unread;
        if (Py_REFCNT(item) != 1 + is_unread ||
            !PyObject_TypeCheck(item, (PyTypeObject *)state->future_type))
            continue;
        const struct future *future = (struct future *)item;
        struct job *job = job_ref(future->job);
        job_release_big(job, future->index);
        job_unref(job);
    }
    Py_RETURN_NONE;
}

#define FAST(function) ((PyCFunction)(void (*)(void))(function))
static PyMethodDef methods[] = {
    {"wait", FAST(lithops_wait_python), METH_FASTCALL | METH_KEYWORDS, wait_doc},
    {"done_count", done_count, METH_O, done_count_doc},
    {"split", split, METH_O, split_doc},
    {"results", FAST(results), METH_FASTCALL | METH_KEYWORDS, results_doc},
    {"cancel", cancel, METH_O, cancel_doc},
    {"release", release, METH_O, release_doc},
    {"tidy", FAST(tidy), METH_FASTCALL, tidy_doc},
    {NULL, NULL, 0, NULL},
};

int lithops_add_wait(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}
