/* SPDX-License-Identifier: Apache-2.0 */
/* Attaches the engine's callback threads to Python.
 *
 * Python needs a PyThreadState for each thread. Making one costs 25 us, so a thread keeps the state
 * of its first callback: the count of PyGILState_Ensure() stays at one between callbacks, and the
 * final PyGILState_Release() comes when the thread ends. This also gives the thread one name in
 * `threading`, however many callbacks it runs.
 *
 * A thread may outlive Python when an executor is closed in a callback (see executor.c): then it
 * must not touch Python any more. */
#include "client/callback_thread.h"

#include "extension.h"

/* Runs a function when the thread ends, before values of pthread_key_create() are destroyed; Python
 * keeps its thread state in one of these. Part of the C library, meant for C++. */
extern int __cxa_thread_atexit_impl(void (*function)(void *), void *user, void *library)
    __attribute__((weak));
extern void *__dso_handle __attribute__((visibility("hidden")));

static _Thread_local bool in_callback;
static _Thread_local PyThreadState *kept;    /* between callbacks; NULL: none */
static _Thread_local PyGILState_STATE first; /* result of the first PyGILState_Ensure() */

static bool python_is_gone(void)
{
#if PY_VERSION_HEX >= 0x030d0000
    return !Py_IsInitialized() || Py_IsFinalizing();
#else
    return !Py_IsInitialized() || _Py_IsFinalizing();
#endif
}

/* The thread ends. */
static void detach(void *Py_UNUSED(user))
{
    if (python_is_gone())
        return;
    PyEval_RestoreThread(kept);
    PyGILState_Release(first);
}

bool callback_thread_enter(PyGILState_STATE *ret_before)
{
    if (python_is_gone())
        return false;
    *ret_before = PyGILState_Ensure();
    in_callback = true;
    return true;
}

void callback_thread_leave(PyGILState_STATE before)
{
    in_callback = false;
    if (kept || !__cxa_thread_atexit_impl ||
        __cxa_thread_atexit_impl(detach, NULL, &__dso_handle) != 0) {
        PyGILState_Release(before);
        return;
    }
    first = before;
    kept = PyEval_SaveThread();
}

bool is_callback_thread(void)
{
    return in_callback;
}
