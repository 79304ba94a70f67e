/* SPDX-License-Identifier: Apache-2.0 */
/* Futures that an executor remembers, and releasing the results that only these lists keep alive.
 *
 * The package keeps one list for each executor, of all futures. What became of each outcome the
 * engine notes: see lithops_mark. tidy() releases results that were taken, by the program or as the
 * input of another job, and whose futures are in this list alone. */
#include "client/remembered.h"
#include "client/arguments.h"
#include "client/executor.h"
#include "client/fork.h"
#include "client/future.h"
#include "client/job.h"
#include "client/selection.h"
#include "codec/warm_bytes.h"
#include "extension.h"

#if defined(__GLIBC__)
#include <malloc.h>
#endif

/* ---- marks ----------------------------------------------------------------------------------- */

PyDoc_STRVAR(give_up_doc,
             "give_up($module, futures, /)\n--\n\n"
             "Nobody waits for them any more: what failed of them was told, or is not\n"
             "to be told.");

static PyObject *give_up(PyObject *module, PyObject *futures)
{
    struct selection selection;
    if (selection_open(state_of_module(module), futures, &selection) != 0)
        return NULL;
    lithops_futures_mark(selection.futures, 0, lithops_futures_size(selection.futures),
                         LITHOPS_MARK_GIVEN_UP, true);
    selection_close(&selection);
    Py_RETURN_NONE;
}

/* Of `futures` those of one executor. */
static PyObject *mark(PyObject *module, PyObject *executor, PyObject *futures, lithops_mark mark,
                      bool on)
{
    struct selection selection;
    if (selection_open(state_of_module(module), futures, &selection) != 0)
        return NULL;
    for (size_t p = 0; p < selection.count; p++) {
        const lithops_futures_piece *piece = &selection.pieces[p];
        if (selection.jobs[p]->executor == executor)
            lithops_futures_mark(piece->futures, piece->begin, piece->end, mark, on);
    }
    selection_close(&selection);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(consume_doc, "consume($module, executor, futures, /)\n--\n\n"
                          "Another job has the results of those of this executor as its input.");

static PyObject *consume(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 2)
        return PyErr_Format(PyExc_TypeError, "consume(): an executor and futures expected");
    return mark(module, args[0], args[1], LITHOPS_MARK_CONSUMED, true);
}

/* ---- what get_result() is to give ------------------------------------------------------------ */

static struct executor *take_executor(const struct module_state *state, PyObject *object)
{
    if (PyObject_TypeCheck(object, (PyTypeObject *)state->executor_type))
        return (struct executor *)object;
    PyErr_SetString(PyExc_TypeError, "an Executor is expected");
    return NULL;
}

PyDoc_STRVAR(collect_doc,
             "collect($module, executor, futures, on, /)\n--\n\n"
             "The executor's get_result() has given, or is not to give, those of this executor;\n"
             "without `on`, it is to give them.");

static PyObject *collect(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    bool on;
    if (nargs != 3)
        return PyErr_Format(PyExc_TypeError, "collect(): an executor, futures and a bool expected");
    struct executor *executor = take_executor(state_of_module(module), args[0]);
    if (!executor || take_bool(args[2], true, &on) != 0)
        return NULL;
    if (!on)
        executor->collected = 0;
    return mark(module, args[0], args[1], LITHOPS_MARK_COLLECTED, on);
}

static bool is_left(const struct module_state *state, PyObject *executor, PyObject *item)
{
    const struct future *future = (struct future *)item;
    return PyObject_TypeCheck(item, (PyTypeObject *)state->future_type) &&
           future->job->executor == executor &&
           !job_has_mark(future->job, future->index,
                         LITHOPS_MARK_COLLECTED | LITHOPS_MARK_CONSUMED);
}

/* How many futures at the start of the list need no look. A program may change its list: the last
 * of them must stand where it stood, and be no new one at the same address. */
static Py_ssize_t first_left(const struct module_state *state, const struct executor *executor,
                             PyObject *futures)
{
    Py_ssize_t count = executor->collected;
    if (count == 0 || count > PyList_GET_SIZE(futures))
        return 0;
    PyObject *last = PyList_GET_ITEM(futures, count - 1);
    bool is_same = last == executor->last_collected && !is_left(state, (PyObject *)executor, last);
    return is_same ? count : 0;
}

PyDoc_STRVAR(uncollected_doc,
             "uncollected($module, executor, futures, /)\n--\n\n"
             "Those of the list `futures` whose results get_result() of this executor is to give.");

static PyObject *uncollected(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    const struct module_state *state = state_of_module(module);
    if (nargs != 2 || !PyList_Check(args[1]))
        return PyErr_Format(PyExc_TypeError, "uncollected(): an executor and a list expected");
    struct executor *executor = take_executor(state, args[0]);
    PyObject *found = executor ? PyList_New(0) : NULL;
    if (!found)
        return NULL;
    Py_ssize_t first = first_left(state, executor, args[1]);
    for (Py_ssize_t i = first; found && i < PyList_GET_SIZE(args[1]); i++) {
        PyObject *item = PyList_GET_ITEM(args[1], i);
        if (is_left(state, args[0], item)) {
            if (PyList_Append(found, item) != 0)
                Py_CLEAR(found);
        } else if (i == first) {
            executor->last_collected = item;
            first++;
        }
    }
    executor->collected = first;
    return found;
}

/* ---- futures of whole jobs ------------------------------------------------------------------- */

static void set_chosen(const struct selection *selection, bool is_chosen)
{
    for (size_t p = 0; p < selection->count; p++)
        selection->jobs[p]->is_chosen = is_chosen;
}

PyDoc_STRVAR(without_jobs_doc,
             "without_jobs($module, known, futures, force, /)\n--\n\n"
             "The list `known` without the futures of the jobs that `futures` are of; those that\n"
             "are not done stay, unless `force`.");

static PyObject *without_jobs(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    struct module_state *state = state_of_module(module);
    PyTypeObject *base = (PyTypeObject *)state->future_type;
    struct selection selection;
    bool force;
    if (nargs != 3 || !PyList_Check(args[0]))
        return PyErr_Format(PyExc_TypeError, "without_jobs(): a list, futures and a bool expected");
    PyObject *left = PyList_New(0);
    if (!left || take_bool(args[2], false, &force) != 0 ||
        selection_open(state, args[1], &selection) != 0) {
        Py_XDECREF(left);
        return NULL;
    }
    set_chosen(&selection, true);
    for (Py_ssize_t i = 0; left && i < PyList_GET_SIZE(args[0]); i++) {
        PyObject *item = PyList_GET_ITEM(args[0], i);
        const struct future *future = (struct future *)item;
        bool goes = PyObject_TypeCheck(item, base) && future->job->is_chosen &&
                    (force ||
                     lithops_futures_state(future->job->futures, future->index) >= LITHOPS_SUCCESS);
        if (!goes && PyList_Append(left, item) != 0)
            Py_CLEAR(left);
    }
    set_chosen(&selection, false);
    selection_close(&selection);
    return left;
}

PyDoc_STRVAR(
    one_per_job_doc,
    "one_per_job($module, futures, force, /)\n--\n\n"
    "Of the list `futures` the first that is done of each job in a row; with `force`, the\n"
    "first.");

static PyObject *one_per_job(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    PyTypeObject *base = (PyTypeObject *)state_of_module(module)->future_type;
    bool force;
    if (nargs != 2 || !PyList_Check(args[0]))
        return PyErr_Format(PyExc_TypeError, "one_per_job(): a list and a bool expected");
    PyObject *found = PyList_New(0);
    if (!found || take_bool(args[1], false, &force) != 0) {
        Py_XDECREF(found);
        return NULL;
    }
    const struct job *last = NULL;
    for (Py_ssize_t i = 0; found && i < PyList_GET_SIZE(args[0]); i++) {
        PyObject *item = PyList_GET_ITEM(args[0], i);
        const struct future *future = (struct future *)item;
        if (!PyObject_TypeCheck(item, base) || future->job == last ||
            !(force ||
              lithops_futures_state(future->job->futures, future->index) >= LITHOPS_SUCCESS))
            continue;
        last = future->job;
        if (PyList_Append(found, item) != 0)
            Py_CLEAR(found);
    }
    return found;
}

/* ---- letting go ------------------------------------------------------------------------------ */

enum {
    TIDY_BYTES = 16 << 20,
    REMEMBERED = 1 << 18,
    FORGET_AT = REMEMBERED + REMEMBERED / 4,
};

/* Forget the oldest futures, up to the first that is held elsewhere or not taken; never those of
 * the last job. */
static int forget_oldest(struct module_state *state, struct executor *executor, PyObject *futures)
{
    Py_ssize_t most = PyList_GET_SIZE(futures) - REMEMBERED, count = 0;
    PyTypeObject *base = (PyTypeObject *)state->future_type;
    const PyObject *last = PyList_GET_ITEM(futures, PyList_GET_SIZE(futures) - 1);
    if (!PyObject_TypeCheck(last, base))
        return 0;
    for (; count < most; count++) {
        PyObject *item = PyList_GET_ITEM(futures, count);
        const struct future *future = (struct future *)item;
        if (Py_REFCNT(item) != 1 || !PyObject_TypeCheck(item, base) ||
            future->job == ((const struct future *)last)->job ||
            lithops_futures_marks(future->job->futures, future->index) == 0)
            break;
    }
    executor->collected = executor->collected > count ? executor->collected - count : 0;
    return count ? PyList_SetSlice(futures, 0, count, NULL) : 0;
}

PyDoc_STRVAR(
    tidy_doc,
    "tidy($module, executor, futures, at_once=False, /)\n--\n\n"
    "Release results that were taken and whose futures nobody holds but this list, whenever\n"
    "calls have written 16 MiB, or a quarter of a small shared memory, since the last time,\n"
    "or so much was decoded, or `at_once`. Of more than 300,000 futures the oldest are forgotten, "
    "if nobody\n"
    "holds them and they were taken.");

static uint64_t step_of(const struct module_state *state)
{
    uint64_t step = state->little_memory ? state->little_memory / 4 : TIDY_BYTES;
    return step < TIDY_BYTES ? step : TIDY_BYTES;
}

static void call_much_taken(const struct module_state *state, PyObject *executor)
{
    PyObject *result = PyObject_CallOneArg(state->much_taken, executor);
    if (!result)
        PyErr_WriteUnraisable(state->much_taken);
    Py_XDECREF(result);
}

void note_one_taken(const struct job *job)
{
    const struct module_state *state = job->state;
    if (((struct executor *)job->executor)->taken_bytes >= step_of(state) && state->much_taken)
        call_much_taken(state, job->executor);
}

void release_all_taken(const struct module_state *state)
{
    if (state->much_taken)
        call_much_taken(state, Py_None);
}

/* Whether enough results were written or decoded to be worth a look. */
static bool is_time(const struct module_state *state, struct executor *executor)
{
    uint64_t step = step_of(state);
    bool is_usable = !executor->is_closed && executor->generation == fork_generation();
    uint64_t written = is_usable ? lithops_executor_results_written(executor->fexec) : 0;
    if (executor->taken_bytes < step && written < executor->looked_at + step)
        return false;
    executor->taken_bytes = 0;
    executor->looked_at = written;
    return true;
}

static void release_taken(struct module_state *state, PyObject *futures)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(futures);
         i++) { /* the list may change in the loop */
        PyObject *item = PyList_GET_ITEM(futures, i);
        if (Py_REFCNT(item) != 1 || !PyObject_TypeCheck(item, (PyTypeObject *)state->future_type))
            continue;
        const struct future *future = (struct future *)item;
        struct job *job = job_ref(future->job);
        job_release_taken(job, future->index);
        job_unref(job);
    }
}

static PyObject *tidy(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    struct module_state *state = state_of_module(module);
    if (nargs < 2 || nargs > 3 ||
        !PyObject_TypeCheck(args[0], (PyTypeObject *)state->executor_type) ||
        !PyList_Check(args[1]))
        Py_RETURN_NONE;
    struct executor *executor = (struct executor *)args[0];
    if (PyList_GET_SIZE(args[1]) > FORGET_AT && forget_oldest(state, executor, args[1]) != 0)
        return NULL;
    if (is_time(state, executor) || (nargs == 3 && args[2] == Py_True))
        release_taken(state, args[1]);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(trim_doc, "trim($module, /)\n--\n\n"
                       "Give unused memory of this process back to the system.");

static PyObject *trim(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    warm_bytes_forget(state_of_module(module));
#if defined(__GLIBC__)
    Py_BEGIN_ALLOW_THREADS(void)
    malloc_trim(0);
    Py_END_ALLOW_THREADS
#endif
    Py_RETURN_NONE;
}

#define FAST(function) ((PyCFunction)(void (*)(void))(function))
static PyMethodDef methods[] = {
    {"give_up", give_up, METH_O, give_up_doc},
    {"consume", FAST(consume), METH_FASTCALL, consume_doc},
    {"collect", FAST(collect), METH_FASTCALL, collect_doc},
    {"uncollected", FAST(uncollected), METH_FASTCALL, uncollected_doc},
    {"without_jobs", FAST(without_jobs), METH_FASTCALL, without_jobs_doc},
    {"one_per_job", FAST(one_per_job), METH_FASTCALL, one_per_job_doc},
    {"tidy", FAST(tidy), METH_FASTCALL, tidy_doc},
    {"trim", trim, METH_NOARGS, trim_doc},
    {NULL, NULL, 0, NULL},
};

int lithops_add_remembered(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}
