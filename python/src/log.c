/* SPDX-License-Identifier: Apache-2.0 */
/* Log records of the engine, on their way to Python's logging.
 *
 * A record may be made on any thread, under any lock of the engine, so nobody may wait for the GIL
 * here: it is written as a line to a pipe that does not block, and a thread of Python reads there.
 * A record for which there is no room is lost. */
#include "extension.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static _Atomic int pipe_end = -1; /* of the process, as the engine's log is */

static const char *const levels[] = {"debug", "info", "warning", "error", "none"};

static void write_record(lithops_log_level level, const char *where, const char *text,
                         void *Py_UNUSED(user))
{
    char line[1200]; /* less than PIPE_BUF: lines do not mix */
    int len = snprintf(line, sizeof line, "%s %.60s %.1100s\n", levels[level], where, text);
    int kept_errno = errno;
    ssize_t written = write(atomic_load(&pipe_end), line, (size_t)len);
    (void)written; /* nobody could be told */
    errno = kept_errno;
}

PyDoc_STRVAR(
    log_to_doc,
    "log_to(level: str, descriptor: int)\n--\n\n"
    "Write the engine's log records of this level and above to a pipe, as lines of level,\n"
    "part of the engine, text. 'none': no more of them.");

static PyObject *log_to(PyObject *Py_UNUSED(module), PyObject *args)
{
    const char *word;
    int descriptor;
    if (!PyArg_ParseTuple(args, "si:log_to", &word, &descriptor))
        return NULL;
    for (int level = 0; level <= LITHOPS_LOG_NONE; level++)
        if (strcasecmp(word, levels[level]) == 0) {
            atomic_store(&pipe_end, descriptor);
            lithops_log_to(level, level == LITHOPS_LOG_NONE ? NULL : write_record, NULL);
            Py_RETURN_NONE;
        }
    return PyErr_Format(PyExc_ValueError, "there is no log level '%s'", word);
}

static PyMethodDef methods[] = {
    {"log_to", log_to, METH_VARARGS, log_to_doc},
    {NULL, NULL, 0, NULL},
};

int lithops_add_log(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}
