/* SPDX-License-Identifier: Apache-2.0 */
/* Storage requests that Ctrl-C can interrupt.
 *
 * While a request runs, the engine asks from time to time, on the same thread, whether to go on;
 * Python's signal handlers run then, as they do in waits. Nearly all requests end at once and
 * should not queue for the GIL, so handlers run only after a request has taken PATIENCE_NS. */
#include "storage/request.h"

#include "errors.h"
#include "extension.h"

#include <time.h>

#define PATIENCE_NS 50000000u

static _Thread_local struct request *current; /* of this thread */

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void request_begin(struct request *request)
{
    request->started_ns = now_ns();
    request->outer = current;
    current = request;
    request->thread = PyEval_SaveThread();
}

void request_end(struct request *request)
{
    PyEval_RestoreThread(request->thread);
    current = request->outer;
}

static bool run_signal_handlers(void *user)
{
    (void)user;
    struct request *request = current;
    if (!request || now_ns() - request->started_ns < PATIENCE_NS)
        return false;
    PyEval_RestoreThread(request->thread);
    bool raised = PyErr_CheckSignals() != 0;
    request->thread = PyEval_SaveThread();
    return raised;
}

void request_make_interruptible(lithops_storage *storage)
{
    lithops_storage_set_bounds(storage, LITHOPS_FOREVER, run_signal_handlers, NULL, NULL);
}

PyObject *request_fail(struct module_state *state, const lithops_error *err)
{
    return PyErr_Occurred() ? NULL : raise_error(state, err);
}
