/* SPDX-License-Identifier: Apache-2.0 */
/* Threads of the engine on which done-callbacks run, as Python sees them.
 *
 * Python wants a state of its own for each thread. To make one costs 25 us, so a thread keeps what
 * it was given with its first callback: the count of PyGILState_Ensure() stays at one in between,
 * and the last PyGILState_Release() is made by the thread's end. The thread has one name in
 * `threading` then, too, however many callbacks it runs.
 *
 * A thread may outlive Python, where an executor is being closed in a callback (see executor.c):
 * then nothing is touched any more. */
#include "client.h"

/* Runs a function when the thread ends, before what threads have by pthread_key_create() is gone:
 * Python keeps its state of a thread in such a key. Of the C library, for C++. */
extern int __cxa_thread_atexit_impl(void (*function)(void *), void *user, void *library)
    __attribute__((weak));
extern void *__dso_handle __attribute__((visibility("hidden")));

static _Thread_local bool in_callback;
static _Thread_local PyThreadState *kept;    /* between callbacks; NULL: none */
static _Thread_local PyGILState_STATE first; /* what PyGILState_Ensure() gave for it */

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
