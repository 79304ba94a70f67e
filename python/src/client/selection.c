/* SPDX-License-Identifier: Apache-2.0 */
/* A list of Futures as a sequence of the engine: consecutive calls of one job become one piece, so
 * that the million futures of a map are one piece. It holds references to the jobs: the list may
 * change or be freed while the engine waits without the GIL. */
#include "client/selection.h"

#include "client/fork.h"
#include "client/future.h"
#include "client/job.h"
#include "errors.h"
#include "extension.h"

static int grow(struct selection *selection, size_t *capacity)
{
    size_t more = *capacity ? *capacity * 2 : 4;
    lithops_futures_piece *pieces = PyMem_Realloc(selection->pieces, more * sizeof *pieces);
    if (pieces)
        selection->pieces = pieces;
    struct job **jobs = pieces ? PyMem_Realloc(selection->jobs, more * sizeof(struct job *)) : NULL;
    if (jobs)
        selection->jobs = jobs;
    *capacity = more;
    if (jobs)
        return 0;
    PyErr_NoMemory();
    return -1;
}

/* Add a call; extends the last piece if the call follows it. */
static int add(struct selection *selection, size_t *capacity, struct job *job, size_t index)
{
    if (selection->count > 0) {
        lithops_futures_piece *last = &selection->pieces[selection->count - 1];
        if (last->futures == job->futures && last->end == index) {
            last->end++;
            return 0;
        }
    }
    if (selection->count == *capacity && grow(selection, capacity) != 0)
        return -1;
    selection->pieces[selection->count] = (lithops_futures_piece){job->futures, index, index + 1};
    selection->jobs[selection->count++] = job_ref(job);
    return 0;
}

static int add_all(struct module_state *state, PyObject *sequence, struct selection *selection)
{
    PyTypeObject *base = (PyTypeObject *)state->future_type;
    PyTypeObject *made = (PyTypeObject *)state->made_type;
    PyObject *const *items = PySequence_Fast_ITEMS(sequence);
    Py_ssize_t count = PySequence_Fast_GET_SIZE(sequence);
    const struct job *last = NULL;
    size_t capacity = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        if (Py_TYPE(items[i]) != made && !PyObject_TypeCheck(items[i], base)) {
            PyErr_Format(PyExc_TypeError, "futures[%zd]: Future expected, %s given", i,
                         Py_TYPE(items[i])->tp_name);
            return -1;
        }
        const struct future *future = (struct future *)items[i];
        if (future->job != last && fork_refused(state, future->job->generation, "future"))
            return -1;
        last = future->job;
        if (add(selection, &capacity, future->job, future->index) != 0)
            return -1;
    }
    return 0;
}

int selection_open(struct module_state *state, PyObject *futures, struct selection *ret_selection)
{
    struct selection selection = {0, NULL, NULL, NULL};
    if (PyObject_TypeCheck(futures, (PyTypeObject *)state->future_type)) {
        PyErr_SetString(PyExc_TypeError, "futures: a list of Future expected, one Future given");
        return -1;
    }
    PyObject *sequence = PySequence_Fast(futures, "futures: a list of Future expected");
    int rc = sequence ? add_all(state, sequence, &selection) : -1;
    Py_XDECREF(sequence);
    if (rc == 0) {
        selection.futures = lithops_futures_join(selection.pieces, selection.count);
        if (!selection.futures)
            PyErr_NoMemory();
    }
    if (!selection.futures) {
        selection_close(&selection);
        return -1;
    }
    *ret_selection = selection;
    return 0;
}

void selection_close(struct selection *selection)
{
    lithops_futures_unref(selection->futures);
    for (size_t i = 0; i < selection->count; i++)
        job_unref(selection->jobs[i]);
    PyMem_Free(selection->jobs);
    PyMem_Free(selection->pieces);
    *selection = (struct selection){0, NULL, NULL, NULL};
}

PyObject *selection_visit(struct module_state *state, PyObject *futures,
                          void (*visit)(struct job *job, size_t index))
{
    struct selection selection;
    if (selection_open(state, futures, &selection) != 0)
        return NULL;
    for (size_t p = 0; p < selection.count; p++)
        for (size_t i = selection.pieces[p].begin; i < selection.pieces[p].end; i++)
            visit(selection.jobs[p], i);
    selection_close(&selection);
    Py_RETURN_NONE;
}

bool selection_raise_failure(const struct selection *selection, bool throw_cancelled,
                             bool *ret_cancelled)
{
    struct job *job = NULL; /* of the first one that was cancelled */
    size_t index = 0;
    bool has_failed = false;
    for (size_t p = 0; p < selection->count; p++) {
        const lithops_futures_piece *piece = &selection->pieces[p];
        for (size_t i = piece->begin; i < piece->end; i++) {
            lithops_state state = lithops_futures_state(piece->futures, i);
            if (state != LITHOPS_FAILED && (state != LITHOPS_CANCELED || job))
                continue;
            job = selection->jobs[p];
            index = i;
            has_failed = state == LITHOPS_FAILED;
            if (has_failed)
                goto found;
        }
    }
found:
    if (job && !has_failed && !throw_cancelled)
        *ret_cancelled = true;
    if (!job || (!has_failed && !throw_cancelled))
        return false;
    job_mark_read(job, index, index + 1);
    raise_exception(job_exception(job, index));
    return true;
}
