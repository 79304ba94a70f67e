/* SPDX-License-Identifier: Apache-2.0 */
/* Storage and Reader: objects in buckets. lithops.storage.Storage is built on them.
 *
 * A handle of the engine is thread-safe, so every request runs without the GIL. Names of buckets
 * and objects are str, decoded as file names are: bytes that are not UTF-8 become surrogates, which
 * are encoded back to the same bytes. A Storage of a worker process (`storage_of_process`) uses the
 * engine's handle and does not close it. */
#include "storage/storage.h"

#include "codec/value.h"
#include "errors.h"
#include "extension.h"
#include "storage/reader.h"
#include "storage/request.h"
#include "worker/worker.h"

#include <stdlib.h>
#include <string.h>

struct storage {
    PyObject_HEAD lithops_storage *storage;
    bool is_shared; /* somebody else closes it */
};

static struct storage *storage_of(PyObject *self)
{
    return (struct storage *)self;
}

/* Converter for "O&": a path argument, or None as NULL. */
static int optional_name(PyObject *object, void *ret_bytes)
{
    if (object == NULL || object == Py_None) {
        if (object == NULL)
            Py_CLEAR(*(PyObject **)ret_bytes);
        return 1;
    }
    return PyUnicode_FSConverter(object, ret_bytes);
}

static const char *text(PyObject *name)
{
    return name ? PyBytes_AS_STRING(name) : NULL;
}

static PyObject *fail(PyObject *self, const lithops_error *err)
{
    return request_fail(state_of(self), err);
}

/* None, or the exception. */
static PyObject *none_or_fail(PyObject *self, int rc, const lithops_error *err)
{
    return rc == 0 ? Py_NewRef(Py_None) : fail(self, err);
}

/* ---- opening --------------------------------------------------------------------------------- */

static lithops_storage *open_storage(struct module_state *state, const char *backend,
                                     PyObject *config, const char *config_file)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_storage *storage;
    if (config && config != Py_None) {
        lithops_value *value = value_from_python(config);
        if (!value)
            return NULL;
        storage = lithops_storage_open_config(backend, value, &err);
        lithops_value_free(value);
    } else {
        storage = lithops_storage_open(backend, config_file, &err);
    }
    if (storage)
        request_make_interruptible(storage);
    else
        raise_error(state, &err);
    return storage;
}

static PyObject *wrap(struct module_state *state, lithops_storage *storage, bool is_shared)
{
    PyTypeObject *type = (PyTypeObject *)state->storage_type;
    struct storage *self = (struct storage *)type->tp_alloc(type, 0);
    if (self) {
        self->storage = storage;
        self->is_shared = is_shared;
    } else if (!is_shared) {
        lithops_storage_close(storage);
    }
    return (PyObject *)self;
}

PyObject *storage_of_process(struct module_state *state, lithops_storage *storage)
{
    if (!state->process_storage)
        state->process_storage = wrap(state, storage, true);
    return Py_XNewRef(state->process_storage);
}

static PyObject *storage_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"backend", "config", "config_file", NULL};
    PyObject *module = PyType_GetModule(type);
    const char *backend = NULL;
    PyObject *config = NULL, *file = NULL;
    if (!module || !PyArg_ParseTupleAndKeywords(args, kwargs, "|zOO&:Storage", names, &backend,
                                                &config, optional_name, &file))
        return NULL;
    struct module_state *state = state_of_module(module);
    lithops_storage *storage = open_storage(state, backend, config, text(file));
    Py_XDECREF(file);
    return storage ? wrap(state, storage, false) : NULL;
}

static void storage_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    if (!storage_of(self)->is_shared)
        lithops_storage_close(storage_of(self)->storage);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *storage_get_backend(PyObject *self, void *Py_UNUSED(closure))
{
    return PyUnicode_FromString(lithops_storage_backend(storage_of(self)->storage));
}

static PyObject *storage_get_bucket(PyObject *self, void *Py_UNUSED(closure))
{
    return PyUnicode_DecodeFSDefault(lithops_storage_bucket(storage_of(self)->storage));
}

/* ---- bodies ---------------------------------------------------------------------------------- */

/* The bytes to store: of a str (as UTF-8), of a buffer, or returned by read(). */
struct body {
    Py_buffer view; /* obj is NULL while there is none */
};

static int body_open(PyObject *object, struct body *body)
{
    body->view.obj = NULL;
    PyObject *read = NULL, *data = NULL;
    if (!PyObject_CheckBuffer(object) && !PyUnicode_Check(object)) {
        read = PyObject_GetAttrString(object, "read");
        if (!read) {
            PyErr_Clear();
            PyErr_Format(
                PyExc_TypeError,
                "body must be a str, a bytes-like object or a file opened for reading, not %.80s",
                Py_TYPE(object)->tp_name);
            return -1;
        }
        data = PyObject_CallNoArgs(read);
        Py_DECREF(read);
        if (!data)
            return -1;
        object = data;
    }
    PyObject *bytes = PyUnicode_Check(object) ? PyUnicode_AsUTF8String(object) : Py_NewRef(object);
    int rc = bytes ? PyObject_GetBuffer(bytes, &body->view, PyBUF_SIMPLE) : -1;
    Py_XDECREF(bytes);
    Py_XDECREF(data);
    return rc;
}

static lithops_bytes body_bytes(const struct body *body)
{
    return (lithops_bytes){body->view.buf, (size_t)body->view.len};
}

/* The descriptor of a file as open(..., "rb") gives it, at the position where Python is; -1: it
 * must be read through Python. Other kinds of files may have a descriptor whose bytes are not those
 * of read(), as gzip's do. */
static int descriptor_of(PyObject *object)
{
    PyObject *io = PyImport_ImportModule("_io"), *buffered = NULL, *plain = NULL, *raw = NULL;
    PyObject *position = NULL, *moved = NULL;
    int fd = -1;
    if (io && (buffered = PyObject_GetAttrString(io, "BufferedReader")) != NULL &&
        (plain = PyObject_GetAttrString(io, "FileIO")) != NULL &&
        (PyObject *)Py_TYPE(object) == buffered && (raw = PyObject_GetAttrString(object, "raw")) &&
        (PyObject *)Py_TYPE(raw) == plain &&
        (position = PyObject_CallMethod(object, "tell", NULL)) != NULL &&
        (moved = PyObject_CallMethod(raw, "seek", "O", position)) != NULL)
        fd = PyObject_AsFileDescriptor(raw);
    PyErr_Clear(); /* a pipe has no position */
    Py_XDECREF(moved);
    Py_XDECREF(position);
    Py_XDECREF(raw);
    Py_XDECREF(plain);
    Py_XDECREF(buffered);
    Py_XDECREF(io);
    return fd;
}

/* ---- put, get -------------------------------------------------------------------------------- */

static PyObject *put_descriptor(PyObject *self, const char *bucket, const char *key, int fd)
{
    lithops_storage *storage = storage_of(self)->storage;
    lithops_error err = LITHOPS_ERROR_INIT;
    int rc;
    REQUEST_BEGIN
    rc = lithops_storage_put_fd(storage, bucket, key, fd, &err);
    REQUEST_END
    return none_or_fail(self, rc, &err);
}

static PyObject *put_body(PyObject *self, const char *bucket, const char *key, PyObject *object)
{
    struct body body;
    if (body_open(object, &body) != 0)
        return NULL;
    lithops_storage *storage = storage_of(self)->storage;
    lithops_bytes bytes = body_bytes(&body);
    lithops_error err = LITHOPS_ERROR_INIT;
    int rc;
    REQUEST_BEGIN
    rc = lithops_storage_put(storage, bucket, key, bytes, &err);
    REQUEST_END
    PyBuffer_Release(&body.view);
    return none_or_fail(self, rc, &err);
}

static PyObject *storage_put(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"bucket", "key", "body", NULL};
    PyObject *bucket, *key, *object;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O&O&O:put", names, PyUnicode_FSConverter,
                                     &bucket, PyUnicode_FSConverter, &key, &object))
        return NULL;
    int fd = descriptor_of(object);
    PyObject *result = fd >= 0 ? put_descriptor(self, text(bucket), text(key), fd)
                               : put_body(self, text(bucket), text(key), object);
    Py_DECREF(bucket);
    Py_DECREF(key);
    return result;
}

/* offset and length arguments: None is 0 and "to the end". */
static int take_range(PyObject *offset, PyObject *length, uint64_t *ret_offset, uint64_t *ret_len)
{
    *ret_offset = 0;
    *ret_len = UINT64_MAX;
    if (offset && offset != Py_None) {
        *ret_offset = PyLong_AsUnsignedLongLong(offset);
        if (PyErr_Occurred())
            return -1;
    }
    if (length && length != Py_None) {
        *ret_len = PyLong_AsUnsignedLongLong(length);
        if (PyErr_Occurred())
            return -1;
    }
    return 0;
}

/* Bytes from malloc() as a Python object; they are freed. */
static PyObject *take_bytes(void *data, size_t len)
{
    PyObject *bytes = PyBytes_FromStringAndSize(data, (Py_ssize_t)len);
    free(data);
    return bytes;
}

static PyObject *storage_get(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"bucket", "key", "offset", "length", NULL};
    PyObject *bucket, *key, *offset = NULL, *length = NULL, *result = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O&O&|OO:get", names, PyUnicode_FSConverter,
                                     &bucket, PyUnicode_FSConverter, &key, &offset, &length))
        return NULL;
    uint64_t start, most;
    if (take_range(offset, length, &start, &most) == 0) {
        lithops_storage *storage = storage_of(self)->storage;
        lithops_error err = LITHOPS_ERROR_INIT;
        void *data;
        size_t len;
        int rc;
        REQUEST_BEGIN
        rc = lithops_storage_get(storage, text(bucket), text(key), start, most, &data, &len, &err);
        REQUEST_END
        result = rc == 0 ? take_bytes(data, len) : fail(self, &err);
    }
    Py_DECREF(bucket);
    Py_DECREF(key);
    return result;
}

/* ---- head, list, delete ---------------------------------------------------------------------- */

static PyObject *info_to_python(const lithops_object_info *info)
{
    return Py_BuildValue("{s:N,s:K,s:d,s:s}", "key", PyUnicode_DecodeFSDefault(info->key), "size",
                         (unsigned long long)info->size_bytes, "last_modified", info->last_modified,
                         "etag", info->etag ? info->etag : "");
}

static PyObject *storage_head(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"bucket", "key", NULL};
    PyObject *bucket, *key;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O&O&:head", names, PyUnicode_FSConverter,
                                     &bucket, PyUnicode_FSConverter, &key))
        return NULL;
    lithops_storage *storage = storage_of(self)->storage;
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_object_info info;
    int rc;
    REQUEST_BEGIN
    rc = lithops_storage_head(storage, text(bucket), text(key), &info, &err);
    REQUEST_END
    PyObject *result = rc == 0 ? info_to_python(&info) : fail(self, &err);
    Py_DECREF(bucket);
    Py_DECREF(key);
    return result;
}

/* A listing takes the GIL only while it adds an object, not while it makes requests. */
struct listing {
    struct request request;
    PyObject *list;
};

static int add_to_list(const lithops_object_info *info, void *user)
{
    struct listing *listing = user;
    PyEval_RestoreThread(listing->request.thread);
    PyObject *item = info_to_python(info);
    int rc = item ? PyList_Append(listing->list, item) : -1;
    Py_XDECREF(item);
    if (rc == 0 && PyErr_CheckSignals() != 0)
        rc = -1;
    listing->request.thread = PyEval_SaveThread();
    return rc == 0 ? 0 : 1;
}

static PyObject *storage_list(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"bucket", "prefix", NULL};
    PyObject *bucket, *prefix = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O&|O&:list", names, PyUnicode_FSConverter,
                                     &bucket, optional_name, &prefix))
        return NULL;
    struct listing listing = {.list = PyList_New(0)};
    lithops_error err = LITHOPS_ERROR_INIT;
    int rc = 0;
    if (listing.list) {
        request_begin(&listing.request);
        rc = lithops_storage_list(storage_of(self)->storage, text(bucket), text(prefix),
                                  add_to_list, &listing, &err);
        request_end(&listing.request);
    }
    Py_DECREF(bucket);
    Py_XDECREF(prefix);
    if (rc == 0)
        return listing.list;
    Py_DECREF(listing.list);
    return rc > 0 ? NULL : fail(self, &err); /* 1: a Python exception is set */
}

static PyObject *storage_delete(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"bucket", "key", NULL};
    PyObject *bucket, *key;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O&O&:delete", names, PyUnicode_FSConverter,
                                     &bucket, PyUnicode_FSConverter, &key))
        return NULL;
    lithops_storage *storage = storage_of(self)->storage;
    lithops_error err = LITHOPS_ERROR_INIT;
    int rc;
    REQUEST_BEGIN
    rc = lithops_storage_delete(storage, text(bucket), text(key), &err);
    REQUEST_END
    Py_DECREF(bucket);
    Py_DECREF(key);
    return none_or_fail(self, rc, &err);
}

static PyObject *storage_create_bucket(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"bucket", NULL};
    PyObject *bucket;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O&:create_bucket", names, PyUnicode_FSConverter,
                                     &bucket))
        return NULL;
    lithops_storage *storage = storage_of(self)->storage;
    lithops_error err = LITHOPS_ERROR_INIT;
    int rc;
    REQUEST_BEGIN
    rc = lithops_storage_create_bucket(storage, text(bucket), &err);
    REQUEST_END
    Py_DECREF(bucket);
    return none_or_fail(self, rc, &err);
}

/* Into a file object that has a descriptor; it has been flushed. */
static PyObject *storage_get_file(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"bucket", "key", "fd", NULL};
    PyObject *bucket, *key;
    int fd;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O&O&i:get_file", names, PyUnicode_FSConverter,
                                     &bucket, PyUnicode_FSConverter, &key, &fd))
        return NULL;
    lithops_storage *storage = storage_of(self)->storage;
    lithops_error err = LITHOPS_ERROR_INIT;
    uint64_t len = 0;
    int rc;
    REQUEST_BEGIN
    rc = lithops_storage_get_fd(storage, text(bucket), text(key), fd, &len, &err);
    REQUEST_END
    Py_DECREF(bucket);
    Py_DECREF(key);
    return rc == 0 ? PyLong_FromUnsignedLongLong(len) : fail(self, &err);
}

static PyObject *delete_names(PyObject *self, const char *bucket, PyObject *names)
{
    Py_ssize_t count = PyList_GET_SIZE(names);
    const char **keys = calloc((size_t)count + 1, sizeof *keys);
    if (!keys)
        return PyErr_NoMemory();
    for (Py_ssize_t i = 0; i < count; i++)
        keys[i] = text(PyList_GET_ITEM(names, i));
    lithops_storage *storage = storage_of(self)->storage;
    lithops_error err = LITHOPS_ERROR_INIT;
    int rc;
    REQUEST_BEGIN
    rc = lithops_storage_delete_many(storage, bucket, keys, (size_t)count, &err);
    REQUEST_END
    free(keys);
    return none_or_fail(self, rc, &err);
}

/* A list of the keys as bytes; NULL with an exception. */
static PyObject *convert_names(PyObject *keys)
{
    if (PyUnicode_Check(keys) || PyBytes_Check(keys)) {
        PyErr_SetString(PyExc_TypeError, "keys must be a list of str, not a single str");
        return NULL;
    }
    PyObject *iterator = PyObject_GetIter(keys), *names = iterator ? PyList_New(0) : NULL, *key;
    while (names && (key = PyIter_Next(iterator)) != NULL) {
        PyObject *name = NULL;
        if (!PyUnicode_FSConverter(key, &name) || PyList_Append(names, name) != 0)
            Py_CLEAR(names);
        Py_XDECREF(name);
        Py_DECREF(key);
    }
    if (PyErr_Occurred())
        Py_CLEAR(names);
    Py_XDECREF(iterator);
    return names;
}

static PyObject *storage_delete_many(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *argument_names[] = {"bucket", "keys", NULL};
    PyObject *bucket, *keys;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O&O:delete_many", argument_names,
                                     PyUnicode_FSConverter, &bucket, &keys))
        return NULL;
    PyObject *names = convert_names(keys);
    PyObject *result = names ? delete_names(self, text(bucket), names) : NULL;
    Py_XDECREF(names);
    Py_DECREF(bucket);
    return result;
}

/* ---- cloudobjects ---------------------------------------------------------------------------- */

static PyObject *put_cloudobject(PyObject *self, PyObject *object, const char *bucket,
                                 const char *key)
{
    struct body body;
    if (body_open(object, &body) != 0)
        return NULL;
    lithops_storage *storage = storage_of(self)->storage;
    lithops_bytes bytes = body_bytes(&body);
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_value *value;
    REQUEST_BEGIN
    value = lithops_cloudobject_put(storage, bytes, bucket, key, &err);
    REQUEST_END
    PyBuffer_Release(&body.view);
    PyObject *result = value ? value_to_python(value) : fail(self, &err);
    lithops_value_free(value);
    return result;
}

static PyObject *storage_cloudobject_put(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"body", "bucket", "key", NULL};
    PyObject *object, *bucket = NULL, *key = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|O&O&:cloudobject_put", names, &object,
                                     optional_name, &bucket, optional_name, &key))
        return NULL;
    worker_name_session();
    PyObject *result = put_cloudobject(self, object, text(bucket), text(key));
    Py_XDECREF(bucket);
    Py_XDECREF(key);
    return result;
}

static PyObject *storage_cloudobject_get(PyObject *self, PyObject *object)
{
    lithops_value *value = value_from_python(object);
    if (!value)
        return NULL;
    lithops_storage *storage = storage_of(self)->storage;
    lithops_error err = LITHOPS_ERROR_INIT;
    void *data;
    size_t len;
    int rc;
    REQUEST_BEGIN
    rc = lithops_cloudobject_get(storage, value, &data, &len, &err);
    REQUEST_END
    lithops_value_free(value);
    return rc == 0 ? take_bytes(data, len) : fail(self, &err);
}

static PyObject *storage_cloudobject_delete(PyObject *self, PyObject *object)
{
    lithops_value *value = value_from_python(object);
    if (!value)
        return NULL;
    lithops_storage *storage = storage_of(self)->storage;
    lithops_error err = LITHOPS_ERROR_INIT;
    int rc;
    REQUEST_BEGIN
    rc = lithops_cloudobject_delete(storage, value, &err);
    REQUEST_END
    lithops_value_free(value);
    return none_or_fail(self, rc, &err);
}

static PyObject *storage_reader(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"bucket", "key", "offset", "length", NULL};
    PyObject *bucket, *key, *offset = NULL, *length = NULL, *result = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O&O&|OO:reader", names, PyUnicode_FSConverter,
                                     &bucket, PyUnicode_FSConverter, &key, &offset, &length))
        return NULL;
    uint64_t start, len;
    if (take_range(offset, length, &start, &len) == 0)
        result =
            reader_new(state_of(self), self, storage_of(self)->storage, bucket, key, start, len);
    Py_DECREF(bucket);
    Py_DECREF(key);
    return result;
}

/* ---- the type -------------------------------------------------------------------------------- */

#define KEYWORDS(function) (PyCFunction)(void (*)(void))(function), METH_VARARGS | METH_KEYWORDS

static PyMethodDef storage_methods[] = {
    {"put", KEYWORDS(storage_put),
     PyDoc_STR("put(bucket, key, body)\n\nStore one object: bytes, a str, or a file to read.")},
    {"get", KEYWORDS(storage_get), PyDoc_STR("get(bucket, key, offset=0, length=None) -> bytes")},
    {"reader", KEYWORDS(storage_reader),
     PyDoc_STR("reader(bucket, key, offset=0, length=None) -> Reader")},
    {"head", KEYWORDS(storage_head),
     PyDoc_STR("head(bucket, key) -> dict\n\nkey, size (bytes), last_modified (seconds), etag")},
    {"list", KEYWORDS(storage_list),
     PyDoc_STR("list(bucket, prefix=None) -> list of dict\n\nAs head(), in the order of keys.")},
    {"create_bucket", KEYWORDS(storage_create_bucket), PyDoc_STR("create_bucket(bucket)")},
    {"get_file", KEYWORDS(storage_get_file),
     PyDoc_STR("get_file(bucket, key, fd) -> int\n\nWrite an object to a descriptor; its size.")},
    {"delete", KEYWORDS(storage_delete), PyDoc_STR("delete(bucket, key)")},
    {"delete_many", KEYWORDS(storage_delete_many), PyDoc_STR("delete_many(bucket, keys)")},
    {"cloudobject_put", KEYWORDS(storage_cloudobject_put),
     PyDoc_STR("cloudobject_put(body, bucket=None, key=None) -> dict")},
    {"cloudobject_get", storage_cloudobject_get, METH_O,
     PyDoc_STR("cloudobject_get(dict, /) -> bytes")},
    {"cloudobject_delete", storage_cloudobject_delete, METH_O,
     PyDoc_STR("cloudobject_delete(dict, /)")},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef storage_getset[] = {
    {"backend", storage_get_backend, NULL, PyDoc_STR("str: \"localhost\", ..."), NULL},
    {"bucket", storage_get_bucket, NULL, PyDoc_STR("str: the bucket of Lithops' own data"), NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot storage_slots[] = {
    {Py_tp_doc, PyDoc_STR("Storage(backend=None, config=None, config_file=None)\n\nObjects in "
                          "buckets, of one backend.")},
    {Py_tp_new, storage_new},
    {Py_tp_dealloc, storage_dealloc},
    {Py_tp_methods, storage_methods},
    {Py_tp_getset, storage_getset},
    {0, NULL},
};

static PyType_Spec storage_spec = {
    .name = "lithops._lithops.Storage",
    .basicsize = sizeof(struct storage),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = storage_slots,
};

int lithops_add_storage(PyObject *module)
{
    struct module_state *state = state_of_module(module);
    return add_type(module, &storage_spec, &state->storage_type, true) == 0
               ? reader_add_type(module)
               : -1;
}
