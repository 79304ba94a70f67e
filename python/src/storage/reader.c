/* SPDX-License-Identifier: Apache-2.0 */
/* Reader: one stored object, or a range of it, as a raw binary file; io.BufferedReader wraps it.
 * Sequential reads use one stream of the engine, and so read one version of the object. A seek ends
 * the stream; the next read opens another one at the new position. */
#include "storage/reader.h"

#include "extension.h"
#include "storage/request.h"

#include <string.h>

struct reader {
    PyObject_HEAD PyObject *owner, *bucket, *key; /* the Storage; names as bytes. NULL: closed */
    lithops_storage *storage;                     /* the owner's */
    lithops_reader *reader;                       /* NULL: opened by the next read */
    uint64_t offset, len, position; /* the range, and where in it the next read begins */
    bool busy;
};

static bool check_open(const struct reader *self)
{
    if (self->busy)
        PyErr_SetString(PyExc_RuntimeError,
                        "another thread is reading from this object: use a lock, or one thread");
    else if (!self->owner)
        PyErr_SetString(PyExc_ValueError, "I/O operation on closed file");
    else
        return true;
    return false;
}

static int open_here(struct reader *self, lithops_error *err)
{
    uint64_t left = self->position < self->len ? self->len - self->position : 0;
    if (self->offset > UINT64_MAX - self->position)
        left = 0;
    return lithops_storage_open_reader(self->storage, PyBytes_AS_STRING(self->bucket),
                                       PyBytes_AS_STRING(self->key), self->offset + self->position,
                                       left, &self->reader, err);
}

/* Fill up to `len` bytes. @return how many, -1 with an exception */
static int64_t read_some(struct reader *self, void *to, size_t len)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    size_t got = 0;
    int rc = 0;
    self->busy = true;
    REQUEST_BEGIN
    if (!self->reader)
        rc = open_here(self, &err);
    if (rc == 0)
        rc = lithops_reader_read(self->reader, to, len, &got, &err);
    REQUEST_END
    self->busy = false;
    self->position += rc == 0 ? got : 0;
    if (rc == 0)
        return (int64_t)got;
    request_fail(state_of((PyObject *)self), &err);
    return -1;
}

static PyObject *read_all(struct reader *self)
{
    size_t done = 0, capacity = 64 << 10;
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)capacity);
    while (bytes) {
        int64_t got = read_some(self, PyBytes_AS_STRING(bytes) + done, capacity - done);
        if (got < 0)
            Py_CLEAR(bytes);
        if (got <= 0)
            break;
        done += (size_t)got;
        if (done == capacity) {
            capacity *= 2;
            (void)_PyBytes_Resize(&bytes, (Py_ssize_t)capacity);
        }
    }
    if (bytes)
        (void)_PyBytes_Resize(&bytes, (Py_ssize_t)done);
    return bytes;
}

static PyObject *read_few(struct reader *self, Py_ssize_t len)
{
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, len);
    int64_t got = bytes ? read_some(self, PyBytes_AS_STRING(bytes), (size_t)len) : -1;
    if (got < 0)
        Py_CLEAR(bytes);
    else if (got < len)
        (void)_PyBytes_Resize(&bytes, (Py_ssize_t)got);
    return bytes;
}

static PyObject *reader_read(PyObject *object, PyObject *args)
{
    struct reader *self = (struct reader *)object;
    PyObject *size = Py_None;
    if (!PyArg_ParseTuple(args, "|O:read", &size) || !check_open(self))
        return NULL;
    Py_ssize_t len = size == Py_None ? -1 : PyNumber_AsSsize_t(size, PyExc_OverflowError);
    if (len == -1 && PyErr_Occurred())
        return NULL;
    return len < 0 ? read_all(self) : read_few(self, len);
}

static PyObject *reader_readall(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    return check_open((struct reader *)object) ? read_all((struct reader *)object) : NULL;
}

static PyObject *reader_readinto(PyObject *object, PyObject *target)
{
    struct reader *self = (struct reader *)object;
    Py_buffer view;
    if (!check_open(self) || PyObject_GetBuffer(target, &view, PyBUF_WRITABLE) != 0)
        return NULL;
    int64_t got = read_some(self, view.buf, (size_t)view.len);
    PyBuffer_Release(&view);
    return got < 0 ? NULL : PyLong_FromLongLong(got);
}

static PyObject *reader_tell(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    struct reader *self = (struct reader *)object;
    return check_open(self) ? PyLong_FromUnsignedLongLong(self->position) : NULL;
}

/* Length of the range in the object's current version. -1 with an exception. */
static int64_t length_of(struct reader *self)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_object_info info;
    int rc;
    self->busy = true;
    REQUEST_BEGIN
    rc = lithops_storage_head(self->storage, PyBytes_AS_STRING(self->bucket),
                              PyBytes_AS_STRING(self->key), &info, &err);
    REQUEST_END
    self->busy = false;
    if (rc != 0) {
        request_fail(state_of((PyObject *)self), &err);
        return -1;
    }
    uint64_t len = info.size_bytes > self->offset ? info.size_bytes - self->offset : 0;
    return (int64_t)(len < self->len ? len : self->len);
}

static PyObject *reader_seek(PyObject *object, PyObject *args)
{
    struct reader *self = (struct reader *)object;
    long long offset, from = 0, target;
    int whence = 0;
    if (!PyArg_ParseTuple(args, "L|i:seek", &offset, &whence) || !check_open(self))
        return NULL;
    if (whence == 1)
        from = (long long)self->position;
    else if (whence == 2 && (from = length_of(self)) < 0)
        return NULL;
    if (whence < 0 || whence > 2 || __builtin_add_overflow(from, offset, &target) || target < 0) {
        PyErr_SetString(PyExc_ValueError,
                        whence < 0 || whence > 2
                            ? "whence must be 0, 1 or 2"
                            : "the position is before the beginning of the object");
        return NULL;
    }
    if ((uint64_t)target != self->position) {
        lithops_reader_close(self->reader);
        self->reader = NULL;
        self->position = (uint64_t)target;
    }
    return PyLong_FromLongLong(target);
}

static PyObject *reader_true(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    return check_open((struct reader *)object) ? Py_NewRef(Py_True) : NULL;
}

static PyObject *reader_false(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    return check_open((struct reader *)object) ? Py_NewRef(Py_False) : NULL;
}

static PyObject *reader_flush(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    return check_open((struct reader *)object) ? Py_NewRef(Py_None) : NULL;
}

static void reader_clear(struct reader *self)
{
    lithops_reader_close(self->reader);
    self->reader = NULL;
    Py_CLEAR(self->bucket);
    Py_CLEAR(self->key);
    Py_CLEAR(self->owner); /* last: it may close the storage */
}

static PyObject *reader_close(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    struct reader *self = (struct reader *)object;
    if (self->busy && !check_open(self))
        return NULL;
    reader_clear(self);
    Py_RETURN_NONE;
}

static PyObject *reader_enter(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    return check_open((struct reader *)object) ? Py_NewRef(object) : NULL;
}

static PyObject *reader_exit(PyObject *object, PyObject *Py_UNUSED(args))
{
    return reader_close(object, NULL);
}

static PyObject *reader_get_closed(PyObject *object, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(!((struct reader *)object)->owner);
}

static void reader_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    reader_clear((struct reader *)object);
    type->tp_free(object);
    Py_DECREF(type);
}

PyObject *reader_new(struct module_state *state, PyObject *owner, lithops_storage *storage,
                     PyObject *bucket, PyObject *key, uint64_t offset, uint64_t len)
{
    PyTypeObject *type = (PyTypeObject *)state->reader_type;
    struct reader *self = (struct reader *)type->tp_alloc(type, 0);
    if (!self)
        return NULL;
    self->owner = Py_NewRef(owner);
    self->bucket = Py_NewRef(bucket);
    self->key = Py_NewRef(key);
    self->storage = storage;
    self->offset = offset;
    self->len = len;
    char nothing;
    if (read_some(self, &nothing, 0) < 0) { /* a missing object is reported at once */
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static PyMethodDef reader_methods[] = {
    {"read", reader_read, METH_VARARGS,
     PyDoc_STR("read(size=-1, /) -> bytes\n\nUp to `size` bytes; b'' at the end.")},
    {"readall", reader_readall, METH_NOARGS, PyDoc_STR("readall() -> bytes")},
    {"readinto", reader_readinto, METH_O,
     PyDoc_STR("readinto(buffer, /) -> int\n\nThe number of bytes read; 0 at the end.")},
    {"tell", reader_tell, METH_NOARGS, PyDoc_STR("tell() -> int")},
    {"seek", reader_seek, METH_VARARGS, PyDoc_STR("seek(offset, whence=0, /) -> int")},
    {"flush", reader_flush, METH_NOARGS, PyDoc_STR("flush() -> None")},
    {"readable", reader_true, METH_NOARGS, PyDoc_STR("readable() -> True")},
    {"seekable", reader_true, METH_NOARGS, PyDoc_STR("seekable() -> True")},
    {"writable", reader_false, METH_NOARGS, PyDoc_STR("writable() -> False")},
    {"isatty", reader_false, METH_NOARGS, PyDoc_STR("isatty() -> False")},
    {"close", reader_close, METH_NOARGS, PyDoc_STR("close() -> None")},
    {"__enter__", reader_enter, METH_NOARGS, NULL},
    {"__exit__", reader_exit, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef reader_getset[] = {
    {"closed", reader_get_closed, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot reader_slots[] = {
    {Py_tp_doc, PyDoc_STR("A stored object, or a range of it, as a raw binary file.")},
    {Py_tp_dealloc, reader_dealloc},
    {Py_tp_methods, reader_methods},
    {Py_tp_getset, reader_getset},
    {0, NULL},
};

static PyType_Spec reader_spec = {
    .name = "lithops._lithops.Reader",
    .basicsize = sizeof(struct reader),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = reader_slots,
};

int reader_add_type(PyObject *module)
{
    return add_type(module, &reader_spec, &state_of_module(module)->reader_type, true);
}
