/* SPDX-License-Identifier: Apache-2.0 */
/* Inputs of calls: Python objects as lists that the engine reads without a value for each.
 *
 * A range stays a range, a list of ints or of floats becomes one array of numbers; so a million
 * numbers are passed without a single pickle. Anything else is an array of payloads, whose bytes
 * lie in the objects themselves where they can. Native functions cannot read pickles: they get
 * values. */
#include "client/inputs.h"

#include "codec/codec.h"
#include "codec/value.h"
#include "extension.h"

static int take_value(lithops_value *value, struct inputs *ret_inputs)
{
    ret_inputs->value = value;
    if (!value)
        PyErr_NoMemory();
    return value ? 0 : -1;
}

void inputs_release(struct inputs *inputs)
{
    lithops_value_free(inputs->value);
    for (size_t i = 0; i < inputs->encoded_count; i++)
        codec_release(&inputs->encoded[i]);
    if (inputs->encoded != &inputs->one)
        PyMem_Free(inputs->encoded);
    PyMem_Free(inputs->array);
    *inputs = (struct inputs){.value = NULL};
}

int inputs_of_one(struct module_state *state, PyObject *object, bool is_native,
                  struct inputs *ret_inputs)
{
    *ret_inputs = (struct inputs){.value = NULL};
    if (is_native)
        return (ret_inputs->value = value_from_item(object)) ? 0 : -1;
    if (codec_encode(state, object, &ret_inputs->one) != 0)
        return -1;
    ret_inputs->encoded = &ret_inputs->one;
    ret_inputs->encoded_count = 1;
    if (take_value(lithops_payload_value(&ret_inputs->one.payload), ret_inputs) != 0) {
        inputs_release(ret_inputs);
        return -1;
    }
    return 0;
}

/* ---- numbers --------------------------------------------------------------------------------- */

/* Returns 1 if all are ints and the array is made, 0 if not, -1 with an exception. */
static int take_ints(PyObject *const *items, Py_ssize_t count, struct inputs *ret_inputs)
{
    if (!PyLong_CheckExact(items[0]))
        return 0;
    int64_t *ints = PyMem_New(int64_t, count);
    if (!ints) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        int overflow = 1;
        if (PyLong_CheckExact(items[i]))
            ints[i] = PyLong_AsLongLongAndOverflow(items[i], &overflow);
        if (overflow) {
            PyMem_Free(ints);
            return 0;
        }
    }
    ret_inputs->array = ints;
    return take_value(lithops_ints(ints, (size_t)count), ret_inputs) == 0 ? 1 : -1;
}

static int take_doubles(PyObject *const *items, Py_ssize_t count, struct inputs *ret_inputs)
{
    for (Py_ssize_t i = 0; i < count; i++)
        if (!PyFloat_CheckExact(items[i]))
            return 0;
    double *doubles = PyMem_New(double, count);
    if (!doubles) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++)
        doubles[i] = PyFloat_AS_DOUBLE(items[i]);
    ret_inputs->array = doubles;
    return take_value(lithops_doubles(doubles, (size_t)count), ret_inputs) == 0 ? 1 : -1;
}

static int take_attribute(PyObject *range, const char *name, int64_t *ret_int)
{
    PyObject *object = PyObject_GetAttrString(range, name);
    int overflow = 0;
    if (object)
        *ret_int = PyLong_AsLongLongAndOverflow(object, &overflow);
    Py_XDECREF(object);
    return !object ? -1 : overflow ? 0 : 1;
}

/* 1: done; 0: its numbers do not fit into 64 bits; -1 with an exception. */
static int take_range(PyObject *range, Py_ssize_t count, struct inputs *ret_inputs)
{
    int64_t start, step;
    int rc = take_attribute(range, "start", &start);
    if (rc > 0)
        rc = take_attribute(range, "step", &step);
    int64_t end;
    if (rc <= 0 || __builtin_mul_overflow(step, (int64_t)count, &end) ||
        __builtin_add_overflow(end, start, &end))
        return rc < 0 ? -1 : 0;
    if (step == 1)
        return take_value(lithops_range(start, end), ret_inputs) == 0 ? 1 : -1;
    int64_t *ints = PyMem_New(int64_t, count);
    if (!ints) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++)
        ints[i] = start + i * step;
    ret_inputs->array = ints;
    return take_value(lithops_ints(ints, (size_t)count), ret_inputs) == 0 ? 1 : -1;
}

/* ---- anything -------------------------------------------------------------------------------- */

/* Encoding an object may run any code; `items` is a tuple, so it cannot change meanwhile. */
static int take_payloads(struct module_state *state, PyObject *items, struct inputs *ret_inputs)
{
    Py_ssize_t count = PyTuple_GET_SIZE(items);
    lithops_payload *payloads = PyMem_New(lithops_payload, count);
    ret_inputs->array = payloads;
    ret_inputs->encoded = PyMem_New(struct encoded, count);
    if (!payloads || !ret_inputs->encoded) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        if (codec_encode(state, PyTuple_GET_ITEM(items, i), &ret_inputs->encoded[i]) != 0)
            return -1;
        ret_inputs->encoded_count++;
        payloads[i] = ret_inputs->encoded[i].payload;
    }
    return take_value(lithops_payloads(payloads, (size_t)count), ret_inputs);
}

static int append(lithops_value *list, PyObject *item)
{
    lithops_value *value = value_from_item(item);
    if (!value)
        return -1;
    if (lithops_value_append(list, value) == 0)
        return 0;
    PyErr_NoMemory();
    return -1;
}

/* Items are converted one by one, so that an error names the item and a tuple becomes a list. */
static int take_values(PyObject *items, struct inputs *ret_inputs)
{
    if (take_value(lithops_value_list(), ret_inputs) != 0)
        return -1;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(items); i++)
        if (append(ret_inputs->value, PyTuple_GET_ITEM(items, i)) != 0)
            return -1;
    return 0;
}

/* A tuple of the items, or NULL with TypeError. */
static PyObject *tuple_of(PyObject *items)
{
    if (!PyList_Check(items) && !PyTuple_Check(items) && !PyRange_Check(items))
        return PyErr_Format(PyExc_TypeError, "items: list, tuple or range expected, %s given",
                            Py_TYPE(items)->tp_name);
    return PySequence_Tuple(items);
}

/* 1: they were numbers, and are taken; 0: they are not; -1 with an exception. */
static int take_numbers(PyObject *items, struct inputs *ret_inputs)
{
    bool is_sequence = PyList_Check(items) || PyTuple_Check(items);
    Py_ssize_t count = is_sequence
                           ? PySequence_Fast_GET_SIZE(items) /* a subclass's __len__ may lie */
                       : PyRange_Check(items) ? PyObject_Length(items)
                                              : 0;
    if (count <= 0)
        return count < 0 ? -1 : 0;
    if (!is_sequence)
        return take_range(items, count, ret_inputs);
    PyObject *const *array = PySequence_Fast_ITEMS(items);
    int rc = take_ints(array, count, ret_inputs);
    return rc ? rc : take_doubles(array, count, ret_inputs);
}

int inputs_of_items(struct module_state *state, PyObject *items, bool is_native,
                    struct inputs *ret_inputs)
{
    *ret_inputs = (struct inputs){.value = NULL};
    int rc = take_numbers(items, ret_inputs);
    if (rc == 0) {
        PyObject *tuple = tuple_of(items);
        rc = !tuple      ? -1
             : is_native ? take_values(tuple, ret_inputs)
                         : take_payloads(state, tuple, ret_inputs);
        /* the encoded payloads hold references to what they borrow from */
        Py_XDECREF(tuple);
    }
    if (rc < 0)
        inputs_release(ret_inputs);
    return rc < 0 ? -1 : 0;
}

int inputs_of_objects(PyObject *items, struct inputs *ret_inputs)
{
    *ret_inputs = (struct inputs){.value = NULL};
    PyObject *tuple = tuple_of(items);
    int rc = tuple ? take_values(tuple, ret_inputs) : -1;
    Py_XDECREF(tuple);
    if (rc == 0)
        rc = take_value(lithops_objects(ret_inputs->value), ret_inputs);
    if (rc != 0)
        inputs_release(ret_inputs);
    return rc;
}
