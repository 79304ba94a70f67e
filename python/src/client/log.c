/* SPDX-License-Identifier: Apache-2.0 */
/* Passes log records of the engine to Python's logging.
 *
 * A record may be made on any thread, under any lock of the engine, so this code must not wait for
 * the GIL. It writes each record as a line to a non-blocking pipe, which a Python thread reads.
 * Records that find the pipe full are dropped. */
#include "extension.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* The two ends, of the process, as the engine's log is: reading << 32 | writing, or -1. Made with
 * the first record: it may come before Python knows that somebody wants to read. */
static _Atomic int64_t ends = -1;

static const char *const levels[] = {"debug", "info", "warning", "error", "none"};

/* Open the pipe and return its ends; -1 on failure. If several threads do this at a time, one of
 * them wins. */
static int64_t open_pipe(void)
{
    int fds[2];
    int64_t made, there = atomic_load(&ends);
    if (there >= 0 || pipe2(fds, O_CLOEXEC) != 0)
        return there;
    (void)fcntl(fds[1], F_SETFL, O_NONBLOCK);
    made = (int64_t)fds[0] << 32 | fds[1];
    if (atomic_compare_exchange_strong(&ends, &there, made))
        return made;
    close(fds[0]);
    close(fds[1]);
    return there;
}

static void write_record(lithops_log_level level, const char *where, const char *text,
                         void *Py_UNUSED(user))
{
    char line[1200]; /* less than PIPE_BUF: lines do not mix */
    int len = snprintf(line, sizeof line, "%s %.60s %.1100s\n", levels[level], where, text);
    int kept_errno = errno;
    int64_t pipe = open_pipe();
    if (pipe >= 0) {
        ssize_t written = write((int)(pipe & INT32_MAX), line, (size_t)len);
        (void)written; /* a failure to log cannot be reported anywhere */
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
        int64_t pipe = level < LITHOPS_LOG_NONE ? open_pipe() : -1;
        if (pipe < 0 && level < LITHOPS_LOG_NONE)
            return PyErr_SetFromErrno(PyExc_OSError);
        lithops_log_to(level, write_record, NULL);
        return PyLong_FromLong(pipe < 0 ? -1 : (long)(pipe >> 32));
    }
    return PyErr_Format(PyExc_ValueError,
                        "unknown log level '%s'; use debug, info, warning, error or none", word);
}

PyDoc_STRVAR(log_close_doc, "log_close()\n--\n\n"
                            "Close the pipe in a forked child: the parent owns it.");

static PyObject *log_close(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    lithops_log_to(LITHOPS_LOG_NONE, write_record, NULL);
    int64_t pipe = atomic_exchange(&ends, -1);
    if (pipe >= 0) {
        close((int)(pipe >> 32));
        close((int)(pipe & INT32_MAX));
    }
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
