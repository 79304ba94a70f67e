/* SPDX-License-Identifier: Apache-2.0 */
/* Output: the raw file under sys.stdout and sys.stderr of a worker process, in place of a FileIO.
 *
 * A call's output must be kept apart from the next one's, must be there when the call is killed a
 * moment later, and a print() must not cost two system calls. So:
 *
 * - lines are written as soon as they are whole. What is left when the call ends goes through
 * stdio, which the engine flushes after every call, even if the function has closed a descriptor;
 * - the engine learns which calls have written: among several tiny ones it cannot see that itself.
 *
 * The two streams are one file in a worker, and their order is kept: what one has buffered is
 * written before the other writes. There is one worker in a process, so the buffers are static. */
#include "worker/output.h"

#include "extension.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { HELD_BYTES = 8192, STREAMS = 2 };

static struct held {
    char bytes[HELD_BYTES];
    size_t len;
    bool was_closed;
} held_of[STREAMS];
static bool has_written; /* in this call */

struct output {
    PyObject_HEAD int fd;
    bool is_closed;
};

static struct held *held(const struct output *self)
{
    return &held_of[self->fd - STDOUT_FILENO];
}

/* Write all of it; -1 with errno. Releases the GIL: the function may have put a pipe in place of
 * the descriptor. */
static int write_fd(int fd, const char *bytes, size_t len)
{
    int rc = 0, error = 0;
    Py_BEGIN_ALLOW_THREADS
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            error = errno;
            rc = -1;
            break;
        }
        bytes += n;
        len -= (size_t)n;
    }
    Py_END_ALLOW_THREADS
    errno = error;
    return rc;
}

static int write_held(int fd)
{
    struct held *this = &held_of[fd - STDOUT_FILENO];
    char bytes[HELD_BYTES];
    size_t len = this->len;
    memcpy(bytes, this->bytes, len); /* another thread may print while the GIL is released */
    this->len = 0;
    return len ? write_fd(fd, bytes, len) : 0;
}

static int hold(struct output *self, const char *bytes, size_t len)
{
    int other = self->fd == STDOUT_FILENO ? STDERR_FILENO : STDOUT_FILENO;
    struct held *this = held(self);
    has_written = true;
    if (write_held(other) != 0)
        errno = 0; /* the other stream's error is not ours to report */
    /* Repeats if another thread has filled the buffer while we were writing. */
    while (len > HELD_BYTES - this->len && this->len > 0)
        if (write_held(self->fd) != 0)
            return -1;
    if (len > HELD_BYTES)
        return write_fd(self->fd, bytes, len);
    memcpy(this->bytes + this->len, bytes, len);
    this->len += len;
    return memrchr(bytes, '\n', len) ? write_held(self->fd) : 0;
}

static bool check_open(const struct output *self)
{
    if (!self->is_closed)
        return true;
    PyErr_SetString(PyExc_ValueError, "I/O operation on closed file");
    return false;
}

static PyObject *output_write(PyObject *object, PyObject *data)
{
    struct output *self = (struct output *)object;
    Py_buffer view;
    if (!check_open(self) || PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) != 0)
        return NULL;
    Py_ssize_t len = view.len;
    int rc = len > 0 ? hold(self, view.buf, (size_t)len) : 0;
    int error = errno;
    PyBuffer_Release(&view);
    errno = error;
    return rc == 0 ? PyLong_FromSsize_t(len) : PyErr_SetFromErrno(PyExc_OSError);
}

static PyObject *output_flush(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    struct output *self = (struct output *)object;
    if (!check_open(self))
        return NULL;
    return write_held(self->fd) == 0 ? Py_NewRef(Py_None) : PyErr_SetFromErrno(PyExc_OSError);
}

static PyObject *output_close(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    struct output *self = (struct output *)object;
    if (!self->is_closed)
        held(self)->was_closed = true;
    self->is_closed = true;
    Py_RETURN_NONE;
}

bool output_end_call(lithops_call *call)
{
    bool whole = true;
    if (has_written && call)
        lithops_call_wrote(call);
    has_written = false;
    for (int i = 0; i < STREAMS; i++) {
        struct held *this = &held_of[i];
        if (this->len > 0)
            (void)fwrite(this->bytes, 1, this->len, stdout);
        this->len = 0;
        whole = whole && !this->was_closed;
        this->was_closed = false;
    }
    return whole;
}

/* ---- crashes --------------------------------------------------------------------------------- */

static const int crash_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
enum { CRASH_SIGNALS = sizeof crash_signals / sizeof crash_signals[0] };
static struct sigaction next_handlers[CRASH_SIGNALS];

/* Write what is buffered, then restore the previous handler, which gets the signal next. */
static void on_crash(int signal, siginfo_t *info, void *Py_UNUSED(context))
{
    for (int i = 0; i < STREAMS; i++)
        if (held_of[i].len > 0)
            (void)!write(STDOUT_FILENO + i, held_of[i].bytes, held_of[i].len);
    for (int i = 0; i < CRASH_SIGNALS; i++)
        if (crash_signals[i] == signal)
            sigaction(signal, &next_handlers[i], NULL);
    if (info->si_code <= 0) /* else returning runs into the same fault again */
        raise(signal);
}

void output_watch_crashes(void)
{
    struct sigaction action = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    for (int i = 0; i < CRASH_SIGNALS; i++)
        sigaction(crash_signals[i], &action, &next_handlers[i]);
}

/* ---- the type -------------------------------------------------------------------------------- */

static PyObject *output_fileno(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    struct output *self = (struct output *)object;
    return check_open(self) ? PyLong_FromLong(self->fd) : NULL;
}

static PyObject *output_true(PyObject *Py_UNUSED(object), PyObject *Py_UNUSED(ignored))
{
    Py_RETURN_TRUE;
}

static PyObject *output_false(PyObject *Py_UNUSED(object), PyObject *Py_UNUSED(ignored))
{
    Py_RETURN_FALSE;
}

static PyObject *output_get_closed(PyObject *object, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(((struct output *)object)->is_closed);
}

static PyObject *output_get_name(PyObject *object, void *Py_UNUSED(closure))
{
    return PyUnicode_FromString(((struct output *)object)->fd == STDOUT_FILENO ? "<stdout>"
                                                                               : "<stderr>");
}

static PyObject *output_get_mode(PyObject *Py_UNUSED(object), void *Py_UNUSED(closure))
{
    return PyUnicode_FromString("wb");
}

static PyObject *output_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    int fd;
    if (kwargs && PyDict_GET_SIZE(kwargs) > 0) {
        PyErr_SetString(PyExc_TypeError, "Output() takes no keyword arguments");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "i:Output", &fd))
        return NULL;
    if (fd != STDOUT_FILENO && fd != STDERR_FILENO) {
        PyErr_SetString(PyExc_ValueError, "Output() takes descriptor 1 or 2");
        return NULL;
    }
    struct output *self = (struct output *)type->tp_alloc(type, 0);
    if (self)
        self->fd = fd;
    return (PyObject *)self;
}

static void output_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    held((struct output *)self)->was_closed = true; /* detached from the stream over it */
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef output_methods[] = {
    {"write", output_write, METH_O, PyDoc_STR("write(bytes, /) -> int")},
    {"flush", output_flush, METH_NOARGS, PyDoc_STR("flush() -> None")},
    {"close", output_close, METH_NOARGS,
     PyDoc_STR("close() -> None\n\nThe descriptor stays open: it is the worker's.")},
    {"fileno", output_fileno, METH_NOARGS, PyDoc_STR("fileno() -> int")},
    {"writable", output_true, METH_NOARGS, PyDoc_STR("writable() -> True")},
    {"readable", output_false, METH_NOARGS, PyDoc_STR("readable() -> False")},
    {"seekable", output_false, METH_NOARGS, PyDoc_STR("seekable() -> False")},
    {"isatty", output_false, METH_NOARGS, PyDoc_STR("isatty() -> False")},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef output_getset[] = {
    {"closed", output_get_closed, NULL, NULL, NULL},
    {"name", output_get_name, NULL, NULL, NULL},
    {"mode", output_get_mode, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot output_slots[] = {
    {Py_tp_doc, PyDoc_STR("Output(fd)\n\nThe standard output (1) or error (2) of a worker "
                          "process, as a binary file.")},
    {Py_tp_new, output_new},
    {Py_tp_dealloc, output_dealloc},
    {Py_tp_methods, output_methods},
    {Py_tp_getset, output_getset},
    {0, NULL},
};

static PyType_Spec output_spec = {
    .name = "lithops._lithops.Output",
    .basicsize = sizeof(struct output),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = output_slots,
};

int output_add_type(PyObject *module)
{
    return add_type(module, &output_spec, &state_of_module(module)->output_type, true);
}
