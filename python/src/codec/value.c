/* SPDX-License-Identifier: Apache-2.0 */
/* Python objects as values of the engine, and back: configuration, statistics, cloudobjects, inputs
 * and results of native functions.
 *
 * Only types with one obvious counterpart are converted: None, bool, int of 64 bits, float, str,
 * bytes and bytearray, list and tuple, dict with str keys; also their subclasses, and objects with
 * __index__ (numpy's integers). Anything else is a TypeError that names the place: "['a'][3]: a set
 * ...". Inputs may also be paths, whose names need not be UTF-8. Both directions copy. A value has
 * at most 512 levels, so recursion is bounded. */
#include "codec/value.h"

#include "extension.h"

#include <string.h>

enum { MOST_LEVELS = 512 }; /* of a value */

/* The path to the item being converted, for error messages: a list on the C stack, innermost first.
 */
struct place {
    const struct place *outer;
    PyObject *key; /* borrowed; NULL: at `index` */
    Py_ssize_t index;
    int level;
    bool takes_paths; /* and texts that are names of files in no UTF-8 */
};

static lithops_value *convert(PyObject *object, const struct place *place);

static PyObject *describe(const struct place *place)
{
    if (!place->outer)
        return PyUnicode_FromString("");
    PyObject *outer = describe(place->outer), *text = NULL;
    if (outer)
        text = place->key ? PyUnicode_FromFormat("%U[%R]", outer, place->key)
                          : PyUnicode_FromFormat("%U[%zd]", outer, place->index);
    Py_XDECREF(outer);
    return text;
}

/* TypeError: "['a'][3]: <what>". */
static lithops_value *refuse(const struct place *place, const char *what, PyObject *object)
{
    PyObject *where = describe(place);
    if (where && PyUnicode_GET_LENGTH(where) > 0)
        PyErr_Format(PyExc_TypeError, "%U: %s (%.80s)", where, what, Py_TYPE(object)->tp_name);
    else if (where)
        PyErr_Format(PyExc_TypeError, "%s (%.80s)", what, Py_TYPE(object)->tp_name);
    Py_XDECREF(where);
    return NULL;
}

static lithops_value *no_memory(void)
{
    PyErr_NoMemory();
    return NULL;
}

static lithops_value *from_buffer(const char *bytes, Py_ssize_t len)
{
    lithops_value *value = lithops_value_bytes(bytes, (size_t)len);
    return value ? value : no_memory();
}

static lithops_value *from_int(PyObject *object, const struct place *place)
{
    PyObject *number = PyNumber_Index(object);
    if (!number)
        return NULL;
    int overflow;
    int64_t i = PyLong_AsLongLongAndOverflow(number, &overflow);
    Py_DECREF(number);
    if (overflow)
        return refuse(place, "an int of more than 64 bits cannot be passed; use a float or a str",
                      object);
    lithops_value *value = lithops_value_int(i);
    return value ? value : no_memory();
}

/* As os.fsencode(). */
static lithops_value *from_name(PyObject *text)
{
    PyObject *bytes = PyUnicode_EncodeFSDefault(text);
    if (!bytes)
        return NULL;
    lithops_value *value = from_buffer(PyBytes_AS_STRING(bytes), PyBytes_GET_SIZE(bytes));
    Py_DECREF(bytes);
    return value;
}

static lithops_value *from_text(PyObject *object, const struct place *place)
{
    Py_ssize_t len;
    const char *text = PyUnicode_AsUTF8AndSize(object, &len);
    if (!text && !PyErr_ExceptionMatches(PyExc_UnicodeEncodeError))
        return NULL;
    if (!text) {
        PyErr_Clear();
        return place->takes_paths
                   ? from_name(object)
                   : refuse(place, "a str with surrogates cannot be encoded as UTF-8", object);
    }
    lithops_value *value = lithops_value_string_n(text, (size_t)len);
    return value ? value : no_memory();
}

static int append(lithops_value *list, PyObject *item, const struct place *place)
{
    lithops_value *value = convert(item, place);
    if (!value)
        return -1;
    if (lithops_value_append(list, value) == 0)
        return 0;
    no_memory();
    return -1;
}

static lithops_value *from_sequence(PyObject *object, const struct place *outer)
{
    lithops_value *list = lithops_value_list();
    if (!list)
        return no_memory();
    struct place place = {
        .outer = outer, .level = outer->level + 1, .takes_paths = outer->takes_paths};
    /* The size is read each time: converting an item may run its __index__, which may change the
     * list. */
    for (; place.index < PySequence_Fast_GET_SIZE(object); place.index++) {
        PyObject *item = Py_NewRef(PySequence_Fast_GET_ITEM(object, place.index));
        int rc = append(list, item, &place);
        Py_DECREF(item);
        if (rc != 0) {
            lithops_value_free(list);
            return NULL;
        }
    }
    return list;
}

static int set_pair(lithops_value *map, PyObject *key, PyObject *item, const struct place *outer)
{
    struct place place = {
        .outer = outer, .key = key, .level = outer->level + 1, .takes_paths = outer->takes_paths};
    Py_ssize_t len;
    const char *name = PyUnicode_Check(key) ? PyUnicode_AsUTF8AndSize(key, &len) : NULL;
    if (!name || strlen(name) != (size_t)len) {
        PyErr_Clear();
        refuse(&place, "a dict key must be a str without NUL or surrogates", key);
        return -1;
    }
    lithops_value *value = convert(item, &place);
    if (!value)
        return -1;
    if (lithops_value_set(map, name, value) == 0)
        return 0;
    no_memory();
    return -1;
}

static lithops_value *from_dict(PyObject *object, const struct place *outer)
{
    lithops_value *map = lithops_value_map();
    if (!map)
        return no_memory();
    PyObject *pairs = PyDict_Items(object); /* a copy: converting an item may run code */
    for (Py_ssize_t i = 0; pairs && i < PyList_GET_SIZE(pairs); i++) {
        PyObject *pair = PyList_GET_ITEM(pairs, i);
        if (set_pair(map, PyTuple_GET_ITEM(pair, 0), PyTuple_GET_ITEM(pair, 1), outer) != 0)
            Py_CLEAR(pairs);
    }
    if (!pairs) {
        lithops_value_free(map);
        return NULL;
    }
    Py_DECREF(pairs);
    return map;
}

static lithops_value *from_path(PyObject *object, const struct place *place)
{
    PyObject *name = PyOS_FSPath(object); /* str or bytes */
    lithops_value *value = name ? convert(name, place) : NULL;
    Py_XDECREF(name);
    return value;
}

static lithops_value *convert(PyObject *object, const struct place *place)
{
    lithops_value *value = NULL;
    if (place->level >= MOST_LEVELS)
        return refuse(place->outer, "nested too deeply: at most 512 levels are allowed", object);
    if (object == Py_None)
        return (value = lithops_value_null()) ? value : no_memory();
    if (PyBool_Check(object))
        return (value = lithops_value_bool(object == Py_True)) ? value : no_memory();
    if (PyFloat_Check(object))
        return (value = lithops_value_double(PyFloat_AS_DOUBLE(object))) ? value : no_memory();
    if (PyUnicode_Check(object))
        return from_text(object, place);
    if (PyBytes_Check(object))
        return from_buffer(PyBytes_AS_STRING(object), PyBytes_GET_SIZE(object));
    if (PyByteArray_Check(object))
        return from_buffer(PyByteArray_AS_STRING(object), PyByteArray_GET_SIZE(object));
    if (PyList_Check(object) || PyTuple_Check(object))
        return from_sequence(object, place);
    if (PyDict_Check(object))
        return from_dict(object, place);
    if (PyIndex_Check(object))
        return from_int(object, place);
    if (place->takes_paths && PyObject_HasAttrString((PyObject *)Py_TYPE(object), "__fspath__"))
        return from_path(object, place);
    return refuse(
        place,
        "cannot be passed; use None, bool, int, float, str, bytes, or lists and dicts of these",
        object);
}

lithops_value *value_from_item(PyObject *object)
{
    struct place place = {.outer = NULL, .takes_paths = true};
    return convert(object, &place);
}

lithops_value *value_from_python(PyObject *object)
{
    struct place place = {.outer = NULL};
    return convert(object, &place);
}

/* ---- back ------------------------------------------------------------------------------------ */

static PyObject *list_to_python(const lithops_value *value)
{
    size_t count = lithops_value_size(value);
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list && i < count; i++) {
        PyObject *item = value_to_python(lithops_value_at(value, i));
        if (item)
            PyList_SET_ITEM(list, (Py_ssize_t)i, item);
        else
            Py_CLEAR(list);
    }
    return list;
}

static PyObject *map_to_python(const lithops_value *value)
{
    PyObject *dict = PyDict_New();
    const char *key;
    const lithops_value *item;
    for (size_t i = 0; dict && (item = lithops_value_pair(value, i, &key)) != NULL; i++) {
        PyObject *object = value_to_python(item);
        if (!object || PyDict_SetItemString(dict, key, object) != 0)
            Py_CLEAR(dict);
        Py_XDECREF(object);
    }
    return dict;
}

PyObject *value_to_python(const lithops_value *value)
{
    lithops_bytes bytes;
    switch (lithops_value_type(value)) {
    case LITHOPS_NULL:
        Py_RETURN_NONE;
    case LITHOPS_BOOL:
        return PyBool_FromLong(lithops_value_get_bool(value));
    case LITHOPS_INT:
        return PyLong_FromLongLong(lithops_value_get_int(value));
    case LITHOPS_DOUBLE:
        return PyFloat_FromDouble(lithops_value_get_double(value));
    case LITHOPS_STRING:
        bytes = lithops_value_get_bytes(value);
        return PyUnicode_DecodeUTF8(bytes.ptr, (Py_ssize_t)bytes.len, NULL);
    case LITHOPS_BYTES:
        bytes = lithops_value_get_bytes(value);
        return PyBytes_FromStringAndSize(bytes.ptr, (Py_ssize_t)bytes.len);
    case LITHOPS_LIST:
        return list_to_python(value);
    case LITHOPS_MAP:
        return map_to_python(value);
    }
    Py_RETURN_NONE;
}
