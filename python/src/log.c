/* SPDX-License-Identifier: Apache-2.0 */
/* Log records of the engine, on their way to Python's logging.
 *
 * A record may be made on any thread, under any lock of the engine, so nobody may wait for the GIL
 * here: it is written as a line to a pipe that does not block, and a thread of Python reads there.
 * A record for which there is no room is lost. */
#include "extension.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* The two ends, of the process, as the engine's log is. Made with the first record: it may come
 * before Python knows that somebody wants to read. */
static _Atomic int reading_end = -1, writing_end = -1;

static const char *const levels[] = {"debug", "info", "warning", "error", "none"};

/* By the sink, so never by two threads at a time, or with the GIL while there is no sink. */
static bool make_pipe(void)
{
    int ends[2];
    if (atomic_load(&writing_end) >= 0)
        return true;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    (void)fcntl(ends[1], F_SETFL, O_NONBLOCK);
    atomic_store(&reading_end, ends[0]);
    atomic_store(&writing_end, ends[1]);
    return true;
}

static void write_record(lithops_log_level level, const char *where, const char *text,
                         void *Py_UNUSED(user))
{
    char line[1200]; /* less than PIPE_BUF: lines do not mix */
    int len = snprintf(line, sizeof line, "%s %.60s %.1100s\n", levels[level], where, text);
    int kept_errno = errno;
    if (make_pipe()) {
        ssize_t written = write(atomic_load(&writing_end), line, (size_t)len);
        (void)written; /* nobody could be told */
    }
    errno = kept_errno;
}

PyDoc_STRVAR(
    log_to_pipe_doc,
    "log_to_pipe(level: str) -> int\n--\n\n"
    "Write the engine's log records of this level and above to a pipe, as lines of level,\n"
    "part of the engine, text. 'none': no record, and no pipe.\n"
    "Returns the end to read from, the same one each time, or -1.");

static PyObject *log_to_pipe(PyObject *Py_UNUSED(module), PyObject *args)
{
    const char *word;
    if (!PyArg_ParseTuple(args, "s:log_to_pipe", &word))
        return NULL;
    for (int level = 0; level <= LITHOPS_LOG_NONE; level++) {
        if (strcasecmp(word, levels[level]) != 0)
            continue;
        lithops_log_to(LITHOPS_LOG_NONE, write_record, NULL);
        if (level < LITHOPS_LOG_NONE && !make_pipe())
            return PyErr_SetFromErrno(PyExc_OSError);
        lithops_log_to(level, write_record, NULL);
        return PyLong_FromLong(level < LITHOPS_LOG_NONE ? atomic_load(&reading_end) : -1);
    }
    return PyErr_Format(PyExc_ValueError, "there is no log level '%s'", word);
}

PyDoc_STRVAR(log_close_doc, "log_close()\n--\n\n"
                            "Close the pipe in a child of fork(): it is the parent's.");

static PyObject *log_close(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    lithops_log_to(LITHOPS_LOG_NONE, write_record, NULL);
    int reading = atomic_exchange(&reading_end, -1), writing = atomic_exchange(&writing_end, -1);
    if (reading >= 0)
        close(reading);
    if (writing >= 0)
        close(writing);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"log_to_pipe", log_to_pipe, METH_VARARGS, log_to_pipe_doc},
    {"log_close", log_close, METH_NOARGS, log_close_doc},
    {NULL, NULL, 0, NULL},
};

int lithops_add_log(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}
