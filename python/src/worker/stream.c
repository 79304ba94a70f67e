/* SPDX-License-Identifier: Apache-2.0 */
/* Stream: `obj.data_stream`, a binary file over the lines of one chunk.
 *
 * The engine fills its buffer without the GIL; lines are cut from the buffer. Lines keep their
 * separator, as those of a file do; where chunks are plain byte ranges they end with "\n". A stream
 * belongs to its call and is closed when the call ends.
 *
 *     room: [ kept | begin ... end | free ]       position = dropped + begin
 *
 * seek() serves libraries that jump around in a whole object (an image, an archive). The buffer
 * drops nothing before it is full, so a library can inspect the first bytes and seek back cheaply.
 * From the first seek() on nothing is dropped at all; what was dropped earlier is read again. */
#include "worker/stream.h"

#include "errors.h"
#include "extension.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_BYTES = 256 << 10 };
static const uint64_t MOST_EXPECTED = 1ull << 40;

struct stream {
    PyObject_HEAD lithops_stream *stream; /* NULL: closed */
    PyObject *info;                       /* dict, NULL until asked for */
    char *room;
    size_t begin, end, capacity;
    uint64_t dropped;
    bool at_end, keeps, busy;
    PyThread_type_lock reading; /* held while a thread is in the engine with it */
    bool has_newline;           /* false: plain byte ranges */
    size_t newline_len;
    char newline[];
};

/* ---- filling the buffer ---------------------------------------------------------------------- */

static bool check_open(struct stream *self)
{
    if (self->busy)
        PyErr_SetString(PyExc_RuntimeError,
                        "another thread is reading from this stream: use a lock, or one thread");
    else if (!self->stream)
        PyErr_SetString(PyExc_ValueError, "I/O operation on closed file");
    else
        return true;
    return false;
}

/* Enter and leave enclose work without the GIL. */
static lithops_stream *enter(struct stream *self)
{
    self->busy = true;
    PyThread_acquire_lock(self->reading, WAIT_LOCK); /* free, or about to be released */
    return self->stream;
}

/* Returns false and sets an exception if the call has ended meanwhile and `room` was freed. */
static bool leave(struct stream *self)
{
    self->busy = false;
    PyThread_release_lock(self->reading);
    return check_open(self);
}

/* Read from the engine, without the GIL. @return bytes, 0 at the end, -1 with an exception */
static int64_t read_some(struct stream *self, char *to, size_t len)
{
    if (self->at_end || len == 0)
        return 0;
    lithops_stream *stream = enter(self);
    int64_t got;
    Py_BEGIN_ALLOW_THREADS
    got = lithops_stream_read(stream, to, len);
    Py_END_ALLOW_THREADS
    if (!leave(self))
        return -1;
    if (got > 0)
        return got;
    self->at_end = true;
    lithops_error err = LITHOPS_ERROR_INIT;
    if (lithops_stream_error(stream, &err) == 0)
        return 0;
    raise_error(state_of((PyObject *)self), &err);
    return -1;
}

static int reserve(struct stream *self, size_t capacity)
{
    if (capacity <= self->capacity)
        return 0;
    char *room = realloc(self->room, capacity);
    if (!room) {
        PyErr_NoMemory();
        return -1;
    }
    self->room = room;
    self->capacity = capacity;
    return 0;
}

/* Get more bytes behind `end`: some, 0 at the end, -1 with an exception. Moves `begin`. */
static int64_t fill(struct stream *self)
{
    if (self->end == self->capacity && !self->keeps && self->begin > 0) {
        memmove(self->room, self->room + self->begin, self->end - self->begin);
        self->dropped += self->begin;
        self->end -= self->begin;
        self->begin = 0;
    }
    size_t wanted = self->capacity ? self->capacity * 2 : FIRST_BYTES;
    if (self->end == self->capacity && reserve(self, wanted) != 0)
        return -1;
    int64_t got = read_some(self, self->room + self->end, self->capacity - self->end);
    if (got > 0)
        self->end += (size_t)got;
    return got;
}

/* Empty the buffer; the next read bypasses it. */
static void drop_all(struct stream *self)
{
    self->dropped += self->end;
    self->begin = self->end = 0;
}

/* ---- lines ----------------------------------------------------------------------------------- */

/* How long the line at `begin` is, its separator included; filled as far as needed. 0 at the end
 * of the chunk, -1 with an exception. */
static int64_t find_line(struct stream *self, size_t most)
{
    size_t seen = 0; /* bytes of the line that hold no separator's first byte */
    for (;;) {
        const char *from = self->room + self->begin + seen;
        size_t len = self->end - self->begin - seen;
        const char *at = !len ? NULL
                         : self->newline_len == 1
                             ? memchr(from, self->newline[0], len)
                             : memmem(from, len, self->newline, self->newline_len);
        if (at) {
            size_t line = (size_t)(at - (self->room + self->begin)) + self->newline_len;
            return (int64_t)(line < most ? line : most);
        }
        if (self->end - self->begin >= most)
            return (int64_t)most;
        if (len >= self->newline_len)
            seen += len - (self->newline_len - 1);
        int64_t got = fill(self);
        if (got < 0)
            return -1;
        if (got == 0)
            return (int64_t)(self->end - self->begin);
    }
}

static PyObject *take(struct stream *self, size_t len)
{
    PyObject *bytes =
        PyBytes_FromStringAndSize(len ? self->room + self->begin : NULL, (Py_ssize_t)len);
    if (bytes)
        self->begin += len;
    return bytes;
}

static PyObject *stream_next(PyObject *object)
{
    struct stream *self = (struct stream *)object;
    if (!check_open(self))
        return NULL;
    int64_t len = find_line(self, SIZE_MAX / 2);
    return len > 0 ? take(self, (size_t)len) : NULL;
}

/* A size argument: None and negative mean all. */
static int take_size(PyObject *object, size_t *ret_size)
{
    *ret_size = SIZE_MAX / 2;
    if (!object || object == Py_None)
        return 0;
    Py_ssize_t size = PyNumber_AsSsize_t(object, PyExc_OverflowError);
    if (size == -1 && PyErr_Occurred())
        return -1;
    if (size >= 0)
        *ret_size = (size_t)size;
    return 0;
}

static bool take_one_size(PyObject *const *args, Py_ssize_t nargs, const char *name, size_t *ret)
{
    if (nargs <= 1)
        return take_size(nargs ? args[0] : NULL, ret) == 0;
    PyErr_Format(PyExc_TypeError, "%s() takes one argument at most (%zd given)", name, nargs);
    return false;
}

static PyObject *stream_readline(PyObject *object, PyObject *const *args, Py_ssize_t nargs)
{
    struct stream *self = (struct stream *)object;
    size_t most;
    if (!take_one_size(args, nargs, "readline", &most) || !check_open(self))
        return NULL;
    int64_t len = most ? find_line(self, most) : 0;
    return len < 0 ? NULL : take(self, (size_t)len);
}

static PyObject *stream_readlines(PyObject *object, PyObject *const *args, Py_ssize_t nargs)
{
    size_t most, total = 0;
    if (!take_one_size(args, nargs, "readlines", &most))
        return NULL;
    if (most == 0)
        most = SIZE_MAX / 2; /* as files have it */
    PyObject *lines = PyList_New(0), *line = NULL;
    while (lines && total < most && (line = stream_next(object)) != NULL) {
        total += (size_t)PyBytes_GET_SIZE(line);
        int rc = PyList_Append(lines, line);
        Py_DECREF(line);
        if (rc != 0)
            Py_CLEAR(lines);
    }
    if (lines && PyErr_Occurred())
        Py_CLEAR(lines);
    return lines;
}

/* Separators in the buffer, from `begin` on; *ret_rest: bytes behind the last one. */
static int64_t count_in_buffer(const struct stream *self, size_t *ret_rest)
{
    const char *at = self->room + self->begin, *end = self->room + self->end, *next;
    int64_t count = 0;
    while (at < end && (next = memmem(at, (size_t)(end - at), self->newline, self->newline_len))) {
        at = next + self->newline_len;
        count++;
    }
    *ret_rest = (size_t)(end - at);
    return count;
}

/* What is not in the buffer is counted by the engine, at the speed of memory. A line that the
 * buffer has the beginning of counts there too, if any of it is left. */
static int64_t count_lines(struct stream *self)
{
    size_t rest = 0;
    int64_t count = self->end > self->begin ? count_in_buffer(self, &rest) : 0;
    if (rest > 0) { /* finish that line here, so that the engine starts at a line */
        self->begin = self->end - rest;
        int64_t len = find_line(self, SIZE_MAX / 2);
        if (len < 0)
            return -1;
        self->begin += (size_t)len;
        int64_t more = count_lines(self);
        return more < 0 ? -1 : count + 1 + more;
    }
    drop_all(self);
    if (self->at_end)
        return count;
    lithops_stream *stream = enter(self);
    int64_t skipped;
    Py_BEGIN_ALLOW_THREADS
    skipped = lithops_stream_skip_lines(stream, INT64_MAX);
    Py_END_ALLOW_THREADS
    if (!leave(self))
        return -1;
    self->at_end = true;
    lithops_error err = LITHOPS_ERROR_INIT;
    if (lithops_stream_error(stream, &err) == 0)
        return count + skipped;
    raise_error(state_of((PyObject *)self), &err);
    return -1;
}

/* Without a separator the engine knows no lines. */
static int64_t count_here(struct stream *self)
{
    int64_t count = 0, len;
    while ((len = find_line(self, SIZE_MAX / 2)) > 0) {
        self->begin += (size_t)len;
        count++;
    }
    return len < 0 ? -1 : count;
}

static PyObject *stream_count_lines(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    struct stream *self = (struct stream *)object;
    if (!check_open(self))
        return NULL;
    int64_t count = self->has_newline && !self->keeps ? count_lines(self) : count_here(self);
    return count < 0 ? NULL : PyLong_FromLongLong(count);
}

/* ---- bytes ----------------------------------------------------------------------------------- */

/* Copy up to `len` bytes: of the buffer first, then straight from the engine. */
static int64_t read_into(struct stream *self, char *to, size_t len)
{
    size_t done = self->end - self->begin;
    if (done > len)
        done = len;
    if (done)
        memcpy(to, self->room + self->begin, done);
    self->begin += done;
    if (done < len && self->begin == self->end && !self->at_end)
        drop_all(self);
    while (done < len) {
        int64_t got = read_some(self, to + done, len - done);
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        done += (size_t)got;
        self->dropped += (uint64_t)got;
    }
    return (int64_t)done;
}

/* Fill the buffer until `len` bytes are behind `begin`, or all that there are. */
static int fill_until(struct stream *self, size_t len)
{
    int64_t got = 1;
    while (self->end - self->begin < len && got > 0)
        got = fill(self);
    return got < 0 ? -1 : 0;
}

/* Small reads do: that is faster, and seek() can go back over them. */
static bool goes_through_buffer(const struct stream *self, size_t len)
{
    return self->keeps || len < FIRST_BYTES / 4;
}

static PyObject *read_all(struct stream *self)
{
    const lithops_object *object = lithops_stream_object(self->stream);
    uint64_t planned = object->range_end - object->range_start;
    size_t len = self->end - self->begin;
    /* A line more than planned, most likely. Of some URLs the size is not known. */
    size_t capacity = len + (planned < MOST_EXPECTED ? (size_t)planned : 0) + 4096;
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)capacity);
    size_t done = 0;
    while (bytes) {
        int64_t got = read_into(self, PyBytes_AS_STRING(bytes) + done, capacity - done);
        if (got < 0)
            Py_CLEAR(bytes);
        if (got <= 0)
            break;
        done += (size_t)got;
        if (done == capacity) {
            capacity += capacity / 2;
            (void)_PyBytes_Resize(&bytes, (Py_ssize_t)capacity);
        }
    }
    if (bytes)
        (void)_PyBytes_Resize(&bytes, (Py_ssize_t)done);
    return bytes;
}

static PyObject *read_few(struct stream *self, size_t len)
{
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)len);
    int64_t got = bytes ? read_into(self, PyBytes_AS_STRING(bytes), len) : -1;
    if (got < 0)
        Py_CLEAR(bytes);
    else if ((size_t)got < len)
        (void)_PyBytes_Resize(&bytes, (Py_ssize_t)got);
    return bytes;
}

static PyObject *stream_read(PyObject *object, PyObject *const *args, Py_ssize_t nargs)
{
    struct stream *self = (struct stream *)object;
    size_t len;
    if (!take_one_size(args, nargs, "read", &len) || !check_open(self))
        return NULL;
    if (goes_through_buffer(self, len)) {
        if (fill_until(self, len) != 0)
            return NULL;
        size_t there = self->end - self->begin;
        return take(self, len < there ? len : there);
    }
    return len == SIZE_MAX / 2 ? read_all(self) : read_few(self, len);
}

static PyObject *stream_readinto(PyObject *object, PyObject *target)
{
    struct stream *self = (struct stream *)object;
    Py_buffer view;
    if (!check_open(self) || PyObject_GetBuffer(target, &view, PyBUF_WRITABLE) != 0)
        return NULL;
    int64_t got = -1;
    if (!goes_through_buffer(self, (size_t)view.len) || fill_until(self, (size_t)view.len) == 0)
        got = read_into(self, view.buf, (size_t)view.len);
    PyBuffer_Release(&view);
    return got < 0 ? NULL : PyLong_FromLongLong(got);
}

/* ---- position -------------------------------------------------------------------------------- */

static PyObject *stream_tell(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    struct stream *self = (struct stream *)object;
    return check_open(self) ? PyLong_FromUnsignedLongLong(self->dropped + self->begin) : NULL;
}

/* Start over at the beginning of the chunk. */
static void rewind_all(struct stream *self)
{
    (void)lithops_stream_rewind(self->stream); /* the next read reports an error */
    self->dropped = 0;
    self->begin = self->end = 0;
    self->at_end = false;
}

static PyObject *stream_seek(PyObject *object, PyObject *args)
{
    struct stream *self = (struct stream *)object;
    long long offset;
    int whence = 0;
    if (!PyArg_ParseTuple(args, "L|i:seek", &offset, &whence) || !check_open(self))
        return NULL;
    self->keeps = true;
    if (whence == 2 && fill_until(self, SIZE_MAX / 2) != 0)
        return NULL;
    uint64_t from = whence == 0   ? 0
                    : whence == 1 ? self->dropped + self->begin
                                  : self->dropped + self->end;
    if (whence < 0 || whence > 2 || (offset < 0 && 0 - (uint64_t)offset > from)) {
        PyErr_SetString(PyExc_ValueError,
                        whence < 0 || whence > 2
                            ? "whence must be 0, 1 or 2"
                            : "the position is before the beginning of the chunk");
        return NULL;
    }
    uint64_t target = from + (uint64_t)offset;
    if (target < self->dropped)
        rewind_all(self);
    while (self->dropped + self->end < target) {
        int64_t got = fill(self);
        if (got < 0)
            return NULL;
        if (got == 0)
            break;
    }
    size_t begin = (size_t)(target - self->dropped);
    self->begin = begin < self->end ? begin : self->end;
    return PyLong_FromUnsignedLongLong(self->dropped + self->begin);
}

static PyObject *stream_true(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    return check_open((struct stream *)object) ? Py_NewRef(Py_True) : NULL;
}

static PyObject *stream_false(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    return check_open((struct stream *)object) ? Py_NewRef(Py_False) : NULL;
}

/* ---- life ------------------------------------------------------------------------------------ */

static int set_item(PyObject *dict, const char *key, PyObject *value)
{
    int rc = value ? PyDict_SetItemString(dict, key, value) : -1;
    Py_XDECREF(value);
    return rc;
}

/* Names need not be UTF-8; decoded as Python decodes file names. */
static int set_name(PyObject *dict, const char *key, const char *name)
{
    return name ? set_item(dict, key, PyUnicode_DecodeFSDefault(name)) : 0;
}

static PyObject *make_info(const struct stream *self)
{
    const lithops_object *object = lithops_stream_object(self->stream);
    PyObject *dict = PyDict_New(), *newline = Py_None;
    if (!dict)
        return NULL;
    newline = self->has_newline ? PyUnicode_DecodeUTF8(self->newline, (Py_ssize_t)self->newline_len,
                                                       "surrogateescape")
                                : Py_NewRef(Py_None);
    const struct {
        const char *key;
        uint64_t number;
    } numbers[] = {
        {"part", (uint64_t)object->part},         {"total_parts", (uint64_t)object->total_parts},
        {"chunk_size", object->chunk_size_bytes}, {"range_start", object->range_start},
        {"range_end", object->range_end},         {"object_size", object->object_size_bytes},
    };
    int rc = set_item(dict, "newline", newline);
    rc |= set_name(dict, "backend", object->backend) | set_name(dict, "bucket", object->bucket) |
          set_name(dict, "key", object->key) | set_name(dict, "path", object->path) |
          set_name(dict, "url", object->url);
    for (size_t i = 0; rc == 0 && i < sizeof numbers / sizeof numbers[0]; i++)
        rc = set_item(dict, numbers[i].key, PyLong_FromUnsignedLongLong(numbers[i].number));
    if (rc != 0)
        Py_CLEAR(dict);
    return dict;
}

static PyObject *stream_get_info(PyObject *object, void *Py_UNUSED(closure))
{
    struct stream *self = (struct stream *)object;
    if (!self->info && (!check_open(self) || !(self->info = make_info(self))))
        return NULL;
    return Py_NewRef(self->info);
}

static PyObject *stream_get_closed(PyObject *object, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(!((struct stream *)object)->stream);
}

void stream_end(PyObject *object)
{
    struct stream *self = (struct stream *)object;
    self->stream = NULL; /* the engine owns and closes it */
    if (self->busy) {    /* a thread left behind by the function is still reading */
        Py_BEGIN_ALLOW_THREADS
        PyThread_acquire_lock(self->reading, WAIT_LOCK);
        PyThread_release_lock(self->reading);
        Py_END_ALLOW_THREADS
    }
    free(self->room);
    self->room = NULL;
    self->begin = self->end = self->capacity = 0;
}

static PyObject *stream_close(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    struct stream *self = (struct stream *)object;
    if (self->busy && !check_open(self))
        return NULL;
    stream_end(object);
    Py_RETURN_NONE;
}

static PyObject *stream_enter(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    return check_open((struct stream *)object) ? Py_NewRef(object) : NULL;
}

static PyObject *stream_exit(PyObject *object, PyObject *Py_UNUSED(args))
{
    return stream_close(object, NULL);
}

static void stream_dealloc(PyObject *object)
{
    struct stream *self = (struct stream *)object;
    PyTypeObject *type = Py_TYPE(object);
    if (self->reading)
        PyThread_free_lock(self->reading);
    free(self->room);
    Py_XDECREF(self->info);
    type->tp_free(object);
    Py_DECREF(type);
}

PyObject *stream_new(struct module_state *state, lithops_stream *stream, const char *newline,
                     size_t newline_len)
{
    PyTypeObject *type = (PyTypeObject *)state->stream_type;
    struct stream *self =
        (struct stream *)type->tp_alloc(type, (Py_ssize_t)(newline ? newline_len : 1));
    if (!self)
        return NULL;
    self->reading = PyThread_allocate_lock();
    if (!self->reading) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    self->stream = stream;
    self->has_newline = newline != NULL;
    self->newline_len = newline ? newline_len : 1;
    memcpy(self->newline, newline ? newline : "\n", self->newline_len);
    return (PyObject *)self;
}

static PyMethodDef stream_methods[] = {
    {"read", (PyCFunction)(void (*)(void))stream_read, METH_FASTCALL,
     PyDoc_STR("read(size=-1, /) -> bytes\n\nUp to `size` bytes; fewer only at the end.")},
    {"readline", (PyCFunction)(void (*)(void))stream_readline, METH_FASTCALL,
     PyDoc_STR("readline(size=-1, /) -> bytes\n\nA line with its separator; b'' at the end.")},
    {"readlines", (PyCFunction)(void (*)(void))stream_readlines, METH_FASTCALL,
     PyDoc_STR("readlines(hint=-1, /) -> list of bytes")},
    {"readinto", stream_readinto, METH_O,
     PyDoc_STR("readinto(buffer, /) -> int\n\nFill a buffer; returns the number of bytes read.")},
    {"count_lines", stream_count_lines, METH_NOARGS,
     PyDoc_STR("count_lines() -> int\n\nSkip the remaining lines and return their number, without "
               "making objects of them.")},
    {"tell", stream_tell, METH_NOARGS, PyDoc_STR("tell() -> int\n\nBytes read from the chunk.")},
    {"seek", stream_seek, METH_VARARGS,
     PyDoc_STR("seek(offset, whence=0, /) -> int\n\nAs for files. From the first seek on, "
               "everything that is read stays in memory.")},
    {"readable", stream_true, METH_NOARGS, PyDoc_STR("readable() -> True")},
    {"writable", stream_false, METH_NOARGS, PyDoc_STR("writable() -> False")},
    {"isatty", stream_false, METH_NOARGS, PyDoc_STR("isatty() -> False")},
    {"seekable", stream_true, METH_NOARGS, PyDoc_STR("seekable() -> bool")},
    {"close", stream_close, METH_NOARGS, PyDoc_STR("close() -> None")},
    {"__enter__", stream_enter, METH_NOARGS, NULL},
    {"__exit__", stream_exit, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef stream_getset[] = {
    {"info", stream_get_info, NULL, PyDoc_STR("dict: what the engine knows of the chunk"), NULL},
    {"closed", stream_get_closed, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot stream_slots[] = {
    {Py_tp_doc, PyDoc_STR("The lines of one chunk of an object, as a binary file.")},
    {Py_tp_dealloc, stream_dealloc},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, stream_next},
    {Py_tp_methods, stream_methods},
    {Py_tp_getset, stream_getset},
    {0, NULL},
};

static PyType_Spec stream_spec = {
    .name = "lithops._lithops.Stream",
    .basicsize = sizeof(struct stream),
    .itemsize = 1,
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = stream_slots,
};

int lithops_add_stream(PyObject *module)
{
    return add_type(module, &stream_spec, &state_of_module(module)->stream_type, true);
}
