/* SPDX-License-Identifier: Apache-2.0 */
/* Python objects as payloads, and back.
 *
 * None, bool, int of 64 bits, float, str and bytes of exactly these types travel as themselves, so
 * that C programs and the command can read them. Everything else is a pickle of protocol 5, made by
 * the pickle in C; by cloudpickle only if that fails, or if the pickle names things of `__main__`,
 * which is another module on the other side.
 *
 * Buffers of 64 KiB and more are taken out of the pickle. A payload with such buffers is
 *
 *     head | where each buffer is | pickle | pad | buffer | pad | buffer ...
 *
 * with each buffer at a multiple of 64 bytes; a payload without them is the pickle alone, whose
 * first byte (0x80) tells it from a head. All offsets are checked: a crashing call may have written
 * garbage.
 *
 * When decoded with an owner, buffers are not copied: a numpy array then lies in shared memory, is
 * writable, and keeps the owner alive. Without an owner they are copied once, because a function
 * may change its input, and keep it for longer than the call runs. */
#include "codec/codec.h"

#include "codec/value.h"
#include "codec/warm_bytes.h"
#include "extension.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64, OUT_OF_BAND_BYTES = 64 << 10, HEAD_MARK = 0x4c42 /* "BL" */ };

struct head {
    uint32_t mark, count;
    uint64_t pickle_len;
};
struct piece {
    uint64_t offset, len;
};

/* ---- the buffer type ------------------------------------------------------------------------- */

/* An out-of-band buffer, borrowed from the owner or owned. */
struct buffer {
    PyObject_HEAD PyObject *owner; /* NULL: `bytes` is for free() */
    void *bytes;
    Py_ssize_t len;
};

static int buffer_get(PyObject *self, Py_buffer *view, int flags)
{
    struct buffer *buffer = (struct buffer *)self;
    return PyBuffer_FillInfo(view, self, buffer->bytes, buffer->len, 0, flags);
}

static void buffer_dealloc(PyObject *self)
{
    struct buffer *buffer = (struct buffer *)self;
    PyTypeObject *type = Py_TYPE(self);
    if (buffer->owner)
        Py_DECREF(buffer->owner);
    else
        free(buffer->bytes);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot buffer_slots[] = {
    {Py_tp_dealloc, buffer_dealloc},
    {Py_bf_getbuffer, buffer_get},
    {0, NULL},
};

static PyType_Spec buffer_spec = {
    .name = "lithops._lithops.Buffer",
    .basicsize = sizeof(struct buffer),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = buffer_slots,
};

/* A memoryview of `len` bytes; of a copy of them if `owner` is NULL. */
static PyObject *buffer_view(struct module_state *state, void *bytes, size_t len, PyObject *owner)
{
    void *copy = NULL;
    if (!owner && posix_memalign(&copy, ALIGNMENT, len ? len : 1) != 0)
        return PyErr_NoMemory();
    if (copy && len)
        memcpy(copy, bytes, len);
    PyTypeObject *type = (PyTypeObject *)state->buffer_type;
    struct buffer *buffer = (struct buffer *)type->tp_alloc(type, 0);
    if (!buffer) {
        free(copy);
        return NULL;
    }
    buffer->owner = Py_XNewRef(owner);
    buffer->bytes = copy ? copy : bytes;
    buffer->len = (Py_ssize_t)len;
    PyObject *view = PyMemoryView_FromObject((PyObject *)buffer);
    Py_DECREF(buffer);
    return view;
}

/* ---- pickling -------------------------------------------------------------------------------- */

/* buffer_callback of the pickler: returning false takes the buffer out of band. `self` is the list
 * of buffers taken so far. */
static PyObject *take_buffer(PyObject *self, PyObject *buffer)
{
    const Py_buffer *view = PyPickleBuffer_GetBuffer(buffer);
    if (!view)
        return NULL;
    if (view->len < OUT_OF_BAND_BYTES || !PyBuffer_IsContiguous(view, 'A'))
        Py_RETURN_TRUE;
    if (PyList_Append(self, buffer) != 0)
        return NULL;
    Py_RETURN_FALSE;
}

static PyMethodDef take_buffer_def = {"take_buffer", take_buffer, METH_O, NULL};

static PyObject *call_dumps(struct module_state *state, PyObject *dumps, PyObject *object,
                            PyObject *buffers)
{
    PyObject *take = PyCFunction_New(&take_buffer_def, buffers);
    if (!take)
        return NULL;
    PyObject *args[] = {object, state->protocol, take};
    PyObject *pickle = PyObject_Vectorcall(dumps, args, 2, state->dumps_names);
    Py_DECREF(take);
    if (pickle && !PyBytes_Check(pickle)) {
        PyErr_SetString(PyExc_TypeError,
                        "cannot pickle: the pickler returned something other than bytes");
        Py_CLEAR(pickle);
    }
    return pickle;
}

static PyObject *dumps_of_cloudpickle(struct module_state *state)
{
    if (!state->cloudpickle_dumps) {
        PyObject *module = PyImport_ImportModule("lithops._shared.cloudpickle");
        state->cloudpickle_dumps = module ? PyObject_GetAttrString(module, "dumps") : NULL;
        Py_XDECREF(module);
    }
    return state->cloudpickle_dumps;
}

static bool names_main(PyObject *pickle)
{
    return memmem(PyBytes_AS_STRING(pickle), (size_t)PyBytes_GET_SIZE(pickle), "__main__", 8);
}

/* Pickle again, with cloudpickle; `buffers` is emptied first. If the first attempt left an
 * exception set and this one fails too, the first exception is kept. */
static PyObject *pickle_again(struct module_state *state, PyObject *object, PyObject *buffers)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyObject *pickle = NULL, *dumps = NULL;
    if (PyList_SetSlice(buffers, 0, PyList_GET_SIZE(buffers), NULL) == 0)
        dumps = dumps_of_cloudpickle(state);
    if (dumps)
        pickle = call_dumps(state, dumps, object, buffers);
    if (pickle || !type) {
        Py_XDECREF(type);
        Py_XDECREF(value);
        Py_XDECREF(traceback);
    } else {
        PyErr_Restore(type, value, traceback);
    }
    return pickle;
}

/* A pickle, and the buffers that were taken out of it. */
static PyObject *make_pickle(struct module_state *state, PyObject *object, PyObject **ret_buffers)
{
    PyObject *buffers = PyList_New(0);
    PyObject *pickle = buffers ? call_dumps(state, state->pickle_dumps, object, buffers) : NULL;
    if (pickle && names_main(pickle))
        Py_SETREF(pickle, pickle_again(state, object, buffers));
    else if (!pickle && buffers && PyErr_ExceptionMatches(PyExc_Exception) &&
             !PyErr_ExceptionMatches(PyExc_MemoryError))
        pickle = pickle_again(state, object, buffers);
    if (pickle)
        *ret_buffers = buffers;
    else
        Py_XDECREF(buffers);
    return pickle;
}

/* ---- the payload ----------------------------------------------------------------------------- */

static uint64_t align(uint64_t n)
{
    return (n + ALIGNMENT - 1) & ~(uint64_t)(ALIGNMENT - 1);
}

/* A pickle and the buffers that were taken out of it, in the order in which they are written. */
struct layout {
    lithops_bytes *pieces; /* from malloc(), with the head behind them */
    size_t count, len;
};

static void add_piece(struct layout *layout, const void *ptr, size_t len)
{
    layout->pieces[layout->count++] = (lithops_bytes){ptr, len};
    layout->len += len;
}

/* Pieces are borrowed from the pickle and the buffers. `layout->pieces` is for free(). */
static int make_layout(PyObject *pickle, PyObject *buffers, struct layout *layout)
{
    static const char zeros[ALIGNMENT];
    size_t count = (size_t)PyList_GET_SIZE(buffers), most = 2 + 2 * count;
    size_t head_len = sizeof(struct head) + count * sizeof(struct piece);
    *layout = (struct layout){.pieces = malloc(most * sizeof(lithops_bytes) + head_len)};
    if (!layout->pieces) {
        PyErr_NoMemory();
        return -1;
    }
    struct head *head = (struct head *)(layout->pieces + most);
    struct piece *table = (struct piece *)(head + 1);
    *head = (struct head){.mark = HEAD_MARK,
                          .count = (uint32_t)count,
                          .pickle_len = (uint64_t)PyBytes_GET_SIZE(pickle)};
    add_piece(layout, head, head_len);
    add_piece(layout, PyBytes_AS_STRING(pickle), head->pickle_len);
    for (size_t i = 0; i < count; i++) {
        const Py_buffer *view = PyPickleBuffer_GetBuffer(PyList_GET_ITEM(buffers, (Py_ssize_t)i));
        if (!view) {
            free(layout->pieces);
            return -1;
        }
        add_piece(layout, zeros, align(layout->len) - layout->len);
        table[i] = (struct piece){.offset = layout->len, .len = (uint64_t)view->len};
        add_piece(layout, view->buf, (size_t)view->len);
    }
    return 0;
}

static void write_layout(char *to, const struct layout *layout)
{
    for (size_t i = 0; i < layout->count; i++) {
        if (layout->pieces[i].len)
            memcpy(to, layout->pieces[i].ptr, layout->pieces[i].len);
        to += layout->pieces[i].len;
    }
}

/* Encode what needs no pickle. Returns 1; 0 if a pickle is needed. */
static int encode_plain(PyObject *object, lithops_payload *ret)
{
    PyTypeObject *type = Py_TYPE(object);
    if (object == Py_None) {
        *ret = (lithops_payload){.content = LITHOPS_CONTENT_NULL};
    } else if (type == &PyBool_Type) {
        *ret = (lithops_payload){.content = LITHOPS_CONTENT_BOOL, .b = object == Py_True};
    } else if (type == &PyLong_Type) {
        int overflow;
        *ret = (lithops_payload){.content = LITHOPS_CONTENT_INT,
                                 .i = PyLong_AsLongLongAndOverflow(object, &overflow)};
        return !overflow;
    } else if (type == &PyFloat_Type) {
        *ret = (lithops_payload){.content = LITHOPS_CONTENT_DOUBLE, .d = PyFloat_AS_DOUBLE(object)};
    } else if (type == &PyUnicode_Type) {
        Py_ssize_t len;
        const char *text = PyUnicode_AsUTF8AndSize(object, &len);
        if (!text) { /* surrogates, which a pickle can represent */
            PyErr_Clear();
            return 0;
        }
        *ret = (lithops_payload){.content = LITHOPS_CONTENT_STRING, .bytes = {text, (size_t)len}};
    } else if (type == &PyBytes_Type) {
        *ret = (lithops_payload){
            .content = LITHOPS_CONTENT_BYTES,
            .bytes = {PyBytes_AS_STRING(object), (size_t)PyBytes_GET_SIZE(object)}};
    } else {
        return 0;
    }
    return 1;
}

static bool is_inline(const lithops_payload *payload)
{
    return payload->content <= LITHOPS_CONTENT_DOUBLE;
}

/* What keeps the pieces valid is `held`; they are copied when the engine takes the input. */
static int encode_pieces(PyObject *pickle, PyObject *buffers, struct encoded *encoded)
{
    struct layout layout;
    if (make_layout(pickle, buffers, &layout) != 0)
        return -1;
    encoded->held = PyTuple_Pack(2, pickle, buffers);
    if (!encoded->held) {
        free(layout.pieces);
        return -1;
    }
    encoded->memory = layout.pieces;
    encoded->payload.content = LITHOPS_CONTENT_PIECES;
    encoded->payload.bytes = (lithops_bytes){layout.pieces, layout.count};
    return 0;
}

static int encode_pickle(struct module_state *state, PyObject *object, struct encoded *ret)
{
    PyObject *buffers, *pickle = make_pickle(state, object, &buffers);
    if (!pickle)
        return -1;
    struct encoded encoded = {.payload.content = LITHOPS_CONTENT_PICKLE};
    int rc = 0;
    if (PyList_GET_SIZE(buffers) > 0) {
        rc = encode_pieces(pickle, buffers, &encoded);
    } else {
        encoded.held = Py_NewRef(pickle);
        encoded.payload.bytes =
            (lithops_bytes){PyBytes_AS_STRING(pickle), (size_t)PyBytes_GET_SIZE(pickle)};
    }
    Py_DECREF(pickle);
    Py_DECREF(buffers);
    if (rc == 0)
        *ret = encoded;
    return rc;
}

int codec_encode(struct module_state *state, PyObject *object, struct encoded *ret)
{
    struct encoded encoded = {.held = NULL};
    if (!encode_plain(object, &encoded.payload))
        return encode_pickle(state, object, ret);
    if (!is_inline(&encoded.payload))
        encoded.held = Py_NewRef(object);
    *ret = encoded;
    return 0;
}

void codec_release(struct encoded *encoded)
{
    Py_CLEAR(encoded->held);
    free(encoded->memory);
    encoded->memory = NULL;
}

static int return_pickle(lithops_call *call, PyObject *pickle, PyObject *buffers)
{
    lithops_payload payload = {
        .content = LITHOPS_CONTENT_PICKLE,
        .bytes = {PyBytes_AS_STRING(pickle), (size_t)PyBytes_GET_SIZE(pickle)}};
    if (PyList_GET_SIZE(buffers) == 0)
        return lithops_return_payload(call, &payload);
    struct layout layout;
    if (make_layout(pickle, buffers, &layout) != 0)
        return 1;
    char *room = lithops_call_alloc(call, layout.len);
    if (room) {
        write_layout(room, &layout);
        payload.bytes = (lithops_bytes){room, layout.len};
    }
    free(layout.pieces);
    return room ? lithops_return_payload(call, &payload) : lithops_call_error(call)->code;
}

int codec_return(struct module_state *state, lithops_call *call, PyObject *object)
{
    lithops_payload payload;
    if (encode_plain(object, &payload))
        return lithops_return_payload(call, &payload);
    PyObject *buffers, *pickle = make_pickle(state, object, &buffers);
    if (!pickle)
        return 1;
    int rc = return_pickle(call, pickle, buffers);
    Py_DECREF(pickle);
    Py_DECREF(buffers);
    return rc;
}

/* ---- back ------------------------------------------------------------------------------------ */

static PyObject *damaged(void)
{
    PyErr_SetString(PyExc_ValueError, "the payload is damaged: a buffer lies outside it");
    return NULL;
}

static PyObject *read_buffers(struct module_state *state, lithops_bytes bytes, uint32_t count,
                              PyObject *owner)
{
    char *base = (char *)(uintptr_t)bytes.ptr; /* shared memory may be written to */
    PyObject *buffers = PyList_New(count);
    for (uint32_t i = 0; buffers && i < count; i++) {
        struct piece piece;
        memcpy(&piece, base + sizeof(struct head) + i * sizeof piece, sizeof piece);
        PyObject *view = piece.offset > bytes.len || piece.len > bytes.len - piece.offset
                             ? damaged()
                             : buffer_view(state, base + piece.offset, piece.len, owner);
        if (view)
            PyList_SET_ITEM(buffers, (Py_ssize_t)i, view);
        else
            Py_CLEAR(buffers);
    }
    return buffers;
}

static PyObject *call_loads(struct module_state *state, lithops_bytes pickle, PyObject *buffers)
{
    PyObject *view =
        PyMemoryView_FromMemory((char *)(uintptr_t)pickle.ptr, (Py_ssize_t)pickle.len, PyBUF_READ);
    if (!view)
        return NULL;
    PyObject *args[] = {view, buffers};
    PyObject *object =
        PyObject_Vectorcall(state->pickle_loads, args, 1, buffers ? state->loads_names : NULL);
    Py_DECREF(view);
    return object;
}

static PyObject *decode_pickle(struct module_state *state, lithops_bytes bytes, PyObject *owner)
{
    struct head head;
    if (bytes.len < sizeof head || *(const unsigned char *)bytes.ptr == 0x80)
        return call_loads(state, bytes, NULL);
    memcpy(&head, bytes.ptr, sizeof head);
    uint64_t start = sizeof head + (uint64_t)head.count * sizeof(struct piece);
    if (head.mark != HEAD_MARK || start > bytes.len || head.pickle_len > bytes.len - start)
        return damaged();
    PyObject *buffers = read_buffers(state, bytes, head.count, owner);
    if (!buffers)
        return NULL;
    lithops_bytes pickle = {(const char *)bytes.ptr + start, head.pickle_len};
    PyObject *object = call_loads(state, pickle, buffers);
    Py_DECREF(buffers);
    return object;
}

static PyObject *decode_packed(lithops_bytes bytes)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_value *value = lithops_value_from_packed(bytes, &err);
    if (!value) {
        PyErr_SetString(err.code == LITHOPS_ENOMEM ? PyExc_MemoryError : PyExc_ValueError,
                        err.message);
        return NULL;
    }
    PyObject *object = value_to_python(value);
    lithops_value_free(value);
    return object;
}

PyObject *codec_decode(struct module_state *state, const lithops_payload *payload, PyObject *owner)
{
    lithops_bytes bytes = payload->bytes;
    switch (payload->content) {
    case LITHOPS_CONTENT_NULL:
        Py_RETURN_NONE;
    case LITHOPS_CONTENT_BOOL:
        return PyBool_FromLong(payload->b);
    case LITHOPS_CONTENT_INT:
        return PyLong_FromLongLong(payload->i);
    case LITHOPS_CONTENT_DOUBLE:
        return PyFloat_FromDouble(payload->d);
    case LITHOPS_CONTENT_STRING:
        return PyUnicode_DecodeUTF8(bytes.ptr, (Py_ssize_t)bytes.len, NULL);
    case LITHOPS_CONTENT_BYTES:
        return warm_bytes(state, bytes);
    case LITHOPS_CONTENT_PACKED:
        return decode_packed(bytes);
    case LITHOPS_CONTENT_PICKLE:
        return decode_pickle(state, bytes, owner);
    case LITHOPS_CONTENT_PIECES:
        break; /* not the content of a stored payload */
    }
    PyErr_Format(PyExc_ValueError, "the payload has the unknown content %d", (int)payload->content);
    return NULL;
}

/* ---- the module ------------------------------------------------------------------------------ */

static PyObject *join(PyObject *pickle, PyObject *buffers)
{
    struct layout layout;
    if (make_layout(pickle, buffers, &layout) != 0)
        return NULL;
    PyObject *result = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)layout.len);
    if (result)
        write_layout(PyBytes_AS_STRING(result), &layout);
    free(layout.pieces);
    return result;
}

static PyObject *dumps(PyObject *module, PyObject *object)
{
    PyObject *buffers, *pickle = make_pickle(state_of_module(module), object, &buffers);
    if (!pickle)
        return NULL;
    PyObject *result = PyList_GET_SIZE(buffers) > 0 ? join(pickle, buffers) : Py_NewRef(pickle);
    Py_DECREF(pickle);
    Py_DECREF(buffers);
    return result;
}

static PyObject *loads(PyObject *module, PyObject *object)
{
    Py_buffer view;
    if (PyObject_GetBuffer(object, &view, PyBUF_SIMPLE) != 0)
        return NULL;
    lithops_bytes bytes = {view.buf, (size_t)view.len};
    PyObject *result = decode_pickle(state_of_module(module), bytes, NULL);
    PyBuffer_Release(&view);
    return result;
}

static PyMethodDef functions[] = {
    {"dumps", dumps, METH_O,
     PyDoc_STR("dumps(object, /) -> bytes\n\nThe payload of content PICKLE, whatever the object.")},
    {"loads", loads, METH_O, PyDoc_STR("loads(buffer, /) -> object\n\nWhat dumps() was given.")},
    {NULL, NULL, 0, NULL},
};

int lithops_add_codec(PyObject *module)
{
    struct module_state *state = state_of_module(module);
    /* Not `pickle`, which imports a third of the standard library. */
    PyObject *pickle = PyImport_ImportModule("_pickle");
    if (!pickle)
        return -1;
    state->pickle_dumps = PyObject_GetAttrString(pickle, "dumps");
    state->pickle_loads = PyObject_GetAttrString(pickle, "loads");
    Py_DECREF(pickle);
    state->protocol = PyLong_FromLong(5);
    state->dumps_names = Py_BuildValue("(s)", "buffer_callback");
    state->loads_names = Py_BuildValue("(s)", "buffers");
    if (!state->pickle_dumps || !state->pickle_loads || !state->protocol || !state->dumps_names ||
        !state->loads_names || add_type(module, &buffer_spec, &state->buffer_type, false) != 0)
        return -1;
    return PyModule_AddFunctions(module, functions);
}
