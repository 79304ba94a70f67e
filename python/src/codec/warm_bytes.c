/* SPDX-License-Identifier: Apache-2.0 */
/* Large bytes objects whose memory is reused while it is warm.
 *
 * Copying a result of 1 MiB takes 50 us into memory that is mapped, and 450 us into fresh memory.
 * malloc() maps objects of this size anew each time, since it returns them to the system when they
 * are freed. So the most recent ones are kept here, up to 16 MiB. When the reference kept here is
 * the only one left, the program no longer uses the object, and it is filled again. */
#include "codec/warm_bytes.h"

#include "extension.h"

enum { SMALLEST = 256 << 10, LARGEST = 8 << 20, MOST_BYTES = 16 << 20 };

static PyObject *take(struct module_state *state, size_t len)
{
    for (size_t i = 0; i < WARM_BYTES; i++) {
        PyObject *object = state->warm[i];
        if (!object || Py_REFCNT(object) != 1 || (size_t)PyBytes_GET_SIZE(object) != len)
            continue;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations" /* the only way to say it */
        ((PyBytesObject *)object)->ob_shash = -1;
#pragma GCC diagnostic pop
        Py_INCREF(object);
        return object;
    }
    return NULL;
}

static void drop(struct module_state *state, size_t i)
{
    if (state->warm[i])
        state->warm_bytes -= (size_t)PyBytes_GET_SIZE(state->warm[i]);
    Py_CLEAR(state->warm[i]);
}

/* Drops the oldest ones to make room. */
static void remember(struct module_state *state, PyObject *object)
{
    size_t len = (size_t)PyBytes_GET_SIZE(object), at = state->warm_next;
    state->warm_next = (at + 1) % WARM_BYTES;
    drop(state, at);
    for (size_t i = 1; state->warm_bytes + len > MOST_BYTES && i < WARM_BYTES; i++)
        drop(state, (at + i) % WARM_BYTES);
    Py_INCREF(object);
    state->warm[at] = object;
    state->warm_bytes += len;
}

PyObject *warm_bytes(struct module_state *state, lithops_bytes content)
{
    if (content.len < SMALLEST || content.len > LARGEST || state->is_worker)
        return PyBytes_FromStringAndSize(content.ptr, (Py_ssize_t)content.len);
    PyObject *object = take(state, content.len);
    if (!object) {
        object = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)content.len);
        if (!object)
            return NULL;
        remember(state, object);
    }
    memcpy(PyBytes_AS_STRING(object), content.ptr, content.len);
    return object;
}

void warm_bytes_forget(struct module_state *state)
{
    for (size_t i = 0; i < WARM_BYTES; i++)
        drop(state, i);
}
