/* SPDX-License-Identifier: Apache-2.0 */
/* Tells a forked child from the process that made an object.
 *
 * The child has copies of all objects, but the engine's threads are not in it, and a lock that one
 * of them held stays locked for ever. So objects remember the process generation they were made in,
 * and objects of another generation are never passed to the engine, not even to be freed. The count
 * is static because it belongs to the process, not to the module. */
#include "client/fork.h"

#include "errors.h"
#include "extension.h"

#include <pthread.h>

static unsigned generation;

static void count_fork(void)
{
    generation++;
}

static int watch_result = -1;
static pthread_once_t watch_once = PTHREAD_ONCE_INIT;

static void watch(void)
{
    watch_result = pthread_atfork(NULL, NULL, count_fork);
}

int fork_watch(void)
{
    pthread_once(&watch_once, watch);
    if (watch_result != 0)
        PyErr_SetString(PyExc_RuntimeError, "cannot watch for fork()");
    return watch_result == 0 ? 0 : -1;
}

unsigned fork_generation(void)
{
    return generation;
}

bool fork_refused(struct module_state *state, unsigned made_in, const char *what)
{
    if (made_in == generation)
        return false;
    lithops_error err = LITHOPS_ERROR_INIT;
    err.code = LITHOPS_EFORKED;
    snprintf(err.message, sizeof err.message,
             "this %s belongs to the parent process: open another executor after a fork", what);
    raise_error(state, &err);
    return true;
}
