/* SPDX-License-Identifier: Apache-2.0 */
/* Executor.map, map_futures and map_reduce: many calls at once. They take the same options, sorted
 * by one table of names; each method takes a part of the table. */
#include "client.h"

#define MAP_SIGNATURE                                                                              \
    "objects=False, chunksize=None, obj_chunk_size=None, obj_chunk_number=None,\n"                 \
    "    obj_newline='\\n', extra_args=None, timeout=None, runtime_memory=None, include=None,\n"   \
    "    exclude=None"
const char executor_map_doc[] = PyDoc_STR(
    "map($self, function, items, *, " MAP_SIGNATURE ")\n--\n\n"
    "Start a call for each item of a list, tuple or range; the Futures. With `objects`, or\n"
    "options of chunks, items name objects: a str, a cloudobject's dict, or [one of these,\n"
    "bytes]. `extra_args` is for native functions.");
const char executor_map_futures_doc[] =
    PyDoc_STR("map_futures($self, function, futures, *, " MAP_SIGNATURE ")\n--\n\n"
              "Start a call for each future: it runs with the future's result when that is there.");
const char executor_map_reduce_doc[] =
    PyDoc_STR("map_reduce($self, map_function, items, reduce_function, *, " MAP_SIGNATURE ",\n"
              "    extra_args_reduce=None, reduce_runtime_memory=None, obj_reduce_by_key=False,\n"
              "    spawn_reducer=20)\n--\n\n"
              "Start a map and a reduce over its results: a pair, the Futures of both.");

/* The names that all three know, and then those of map_reduce. */
enum {
    OBJECTS,
    CHUNKSIZE,
    OBJ_CHUNK_SIZE,
    OBJ_CHUNK_NUMBER,
    OBJ_NEWLINE,
    EXTRA_ARGS,
    TIMEOUT,
    MEMORY,
    INCLUDE,
    EXCLUDE,
    EXTRA_ARGS_REDUCE,
    REDUCE_MEMORY,
    REDUCE_BY_KEY,
    SPAWN_REDUCER,
    OPTION_COUNT
};
#define MAP_NAMES                                                                                  \
    "objects", "chunksize", "obj_chunk_size", "obj_chunk_number", "obj_newline", "extra_args",     \
        "timeout", "runtime_memory", "include", "exclude"
static const char *const map_names[] = {"function", "items", MAP_NAMES, NULL};
static const char *const map_futures_names[] = {"function", "futures", MAP_NAMES, NULL};
static const char *const map_reduce_names[] = {"map_function",
                                               "items",
                                               "reduce_function",
                                               MAP_NAMES,
                                               "extra_args_reduce",
                                               "reduce_runtime_memory",
                                               "obj_reduce_by_key",
                                               "spawn_reducer",
                                               NULL};

/* ---- options --------------------------------------------------------------------------------- */

struct options {
    lithops_map_reduce_options engine; /* of map too: its names are a part of these */
    bool objects;
    lithops_value *extra_args, *extra_args_reduce;
    struct text_list include, exclude;
};

static int take_extra_args(PyObject *object, const char *name, lithops_value **ret_value)
{
    if (!object || object == Py_None)
        return 0;
    if (!PyDict_Check(object) && !PyList_Check(object) && !PyTuple_Check(object)) {
        PyErr_Format(PyExc_TypeError, "%s: list, tuple or dict expected, %s given", name,
                     Py_TYPE(object)->tp_name);
        return -1;
    }
    *ret_value = value_from_python(object);
    return *ret_value ? 0 : -1;
}

static void options_close(struct options *options)
{
    lithops_value_free(options->extra_args);
    lithops_value_free(options->extra_args_reduce);
    text_list_close(&options->include);
    text_list_close(&options->exclude);
}

static int take_numbers(PyObject **values, lithops_map_reduce_options *engine)
{
    if (take_int(values[CHUNKSIZE], "chunksize", &engine->chunksize) != 0 ||
        take_int(values[OBJ_CHUNK_SIZE], "obj_chunk_size", &engine->obj_chunk_size) != 0 ||
        take_int(values[OBJ_CHUNK_NUMBER], "obj_chunk_number", &engine->obj_chunk_number) != 0 ||
        take_int(values[MEMORY], "runtime_memory", &engine->map_runtime_memory_mb) != 0 ||
        take_int(values[REDUCE_MEMORY], "reduce_runtime_memory",
                 &engine->reduce_runtime_memory_mb) != 0 ||
        take_ms(values[TIMEOUT], "timeout", LITHOPS_DEFAULT, &engine->timeout_ms) != 0)
        return -1;
    if (!values[SPAWN_REDUCER] || values[SPAWN_REDUCER] == Py_None)
        return 0;
    return take_int(values[SPAWN_REDUCER], "spawn_reducer", &engine->spawn_reducer);
}

/* @param values  by the names above; NULL for those that the method does not know */
static int options_open(PyObject **values, struct options *ret)
{
    *ret = (struct options){.engine = LITHOPS_MAP_REDUCE_OPTIONS_INIT};
    lithops_map_reduce_options *engine = &ret->engine;
    if (take_numbers(values, engine) != 0 ||
        take_bool(values[OBJECTS], false, &ret->objects) != 0 ||
        take_bool(values[REDUCE_BY_KEY], false, &engine->obj_reduce_by_key) != 0 ||
        (values[OBJ_NEWLINE] &&
         take_text(values[OBJ_NEWLINE], "obj_newline", &engine->obj_newline) != 0) ||
        take_extra_args(values[EXTRA_ARGS], "extra_args", &ret->extra_args) != 0 ||
        take_extra_args(values[EXTRA_ARGS_REDUCE], "extra_args_reduce", &ret->extra_args_reduce) !=
            0 ||
        text_list_open(values[INCLUDE], "include", &ret->include) != 0 ||
        text_list_open(values[EXCLUDE], "exclude", &ret->exclude) != 0) {
        options_close(ret);
        return -1;
    }
    engine->extra_args = ret->extra_args;
    engine->extra_args_reduce = ret->extra_args_reduce;
    engine->include_modules = ret->include.texts;
    engine->exclude_modules = ret->exclude.texts;
    ret->objects |=
        engine->obj_chunk_size != LITHOPS_DEFAULT || engine->obj_chunk_number != LITHOPS_DEFAULT;
    return 0;
}

static lithops_map_options map_options(const lithops_map_reduce_options *engine)
{
    lithops_map_options map = LITHOPS_MAP_OPTIONS_INIT;
    map.chunksize = engine->chunksize;
    map.extra_args = engine->extra_args;
    map.runtime_memory_mb = engine->map_runtime_memory_mb;
    map.obj_chunk_size = engine->obj_chunk_size;
    map.obj_chunk_number = engine->obj_chunk_number;
    map.obj_newline = engine->obj_newline;
    map.timeout_ms = engine->timeout_ms;
    map.include_modules = engine->include_modules;
    map.exclude_modules = engine->exclude_modules;
    return map;
}

static int take_items(struct module_state *state, PyObject *items, bool objects, bool is_native,
                      struct inputs *ret_inputs)
{
    return objects ? inputs_of_objects(items, ret_inputs)
                   : inputs_of_items(state, items, is_native, ret_inputs);
}

/* ---- map ------------------------------------------------------------------------------------- */

static PyObject *list_of(struct executor *self, struct function *function, lithops_futures *futures)
{
    struct job *job = job_new(self, function, futures);
    if (!job)
        return NULL;
    job->gives_list = true;
    PyObject *list = futures_of_job(job);
    job_unref(job);
    return list;
}

PyObject *executor_map(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const struct signature signature = {"map", 2, 2, map_names};
    struct executor *self = (struct executor *)object;
    struct module_state *state = state_of(object);
    PyObject *values[2 + OPTION_COUNT] = {NULL};
    if (take_arguments(&signature, args, nargs, kwnames, values) != 0)
        return NULL;
    struct function *function = take_function(state, values[0], "function");
    struct options options;
    struct inputs inputs;
    if (!function || options_open(values + 2, &options) != 0)
        return NULL;
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_futures *futures = NULL;
    lithops_executor *fexec = NULL;
    if (take_items(state, values[1], options.objects, function->is_native, &inputs) != 0) {
        options_close(&options);
        return NULL;
    }
    if ((fexec = executor_enter(self)) != NULL) {
        lithops_map_options map = map_options(&options.engine);
        Py_BEGIN_ALLOW_THREADS
        futures = lithops_map(fexec, function->function, inputs.value, &map, &err);
        Py_END_ALLOW_THREADS
        inputs.value = NULL;
        executor_leave(self);
        if (!futures)
            raise_error(state, &err);
    }
    inputs_release(&inputs);
    options_close(&options);
    return futures ? list_of(self, function, futures) : NULL;
}

PyObject *executor_map_futures(PyObject *object, PyObject *const *args, Py_ssize_t nargs,
                               PyObject *kwnames)
{
    static const struct signature signature = {"map_futures", 2, 2, map_futures_names};
    struct executor *self = (struct executor *)object;
    struct module_state *state = state_of(object);
    PyObject *values[2 + OPTION_COUNT] = {NULL};
    if (take_arguments(&signature, args, nargs, kwnames, values) != 0)
        return NULL;
    struct function *function = take_function(state, values[0], "function");
    struct options options;
    struct selection selection;
    if (!function || options_open(values + 2, &options) != 0)
        return NULL;
    if (selection_open(state, values[1], &selection) != 0) {
        options_close(&options);
        return NULL;
    }
    for (size_t i = 0; i < selection.count; i++)
        selection.jobs[i]->is_input = true;
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_futures *futures = NULL;
    lithops_executor *fexec = executor_enter(self);
    if (fexec) {
        lithops_map_options map = map_options(&options.engine);
        Py_BEGIN_ALLOW_THREADS
        futures = lithops_map_futures(fexec, function->function, selection.futures, &map, &err);
        Py_END_ALLOW_THREADS
        executor_leave(self);
        if (!futures)
            raise_error(state, &err);
    }
    selection_close(&selection);
    options_close(&options);
    return futures ? list_of(self, function, futures) : NULL;
}

/* ---- map_reduce ------------------------------------------------------------------------------ */

/* The calls of a map_reduce are those of the map and then those of the reducers; which are which
 * is in their keys, as in "a1b2c3-0-R001-00000". */
static bool is_reduce_call(const lithops_futures *futures, size_t index)
{
    char key[64];
    lithops_future *future = lithops_futures_get(futures, index);
    lithops_future_key(future, key, sizeof key);
    lithops_future_unref(future);
    char *call = strrchr(key, '-');
    if (!call)
        return false;
    *call = '\0';
    const char *job = strrchr(key, '-');
    return job && job[1] == 'R';
}

static size_t first_reduce_call(const lithops_futures *futures)
{
    size_t low = 0, high = lithops_futures_size(futures);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (is_reduce_call(futures, middle))
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static struct job *job_of_piece(struct executor *self, struct function *function,
                                const lithops_futures *futures, size_t begin, size_t end)
{
    lithops_futures_piece piece = {futures, begin, end};
    return job_new(self, function, lithops_futures_join(&piece, 1));
}

/* @param futures  consumed */
static PyObject *wrap_map_reduce(struct executor *self, struct function *map,
                                 struct function *reduce, bool by_key, lithops_futures *futures)
{
    size_t end = lithops_futures_size(futures), middle = first_reduce_call(futures);
    struct job *maps = job_of_piece(self, map, futures, 0, middle);
    struct job *reduces = maps ? job_of_piece(self, reduce, futures, middle, end) : NULL;
    lithops_futures_unref(futures);
    PyObject *lists[2] = {NULL, NULL}, *pair = NULL;
    if (maps && reduces) {
        maps->gives_list = maps->feeds_reducer = true;
        reduces->is_reduce = true;
        reduces->gives_list = by_key;
        lists[0] = futures_of_job(maps);
        lists[1] = lists[0] ? futures_of_job(reduces) : NULL;
    }
    if (lists[1])
        pair = PyTuple_Pack(2, lists[0], lists[1]);
    Py_XDECREF(lists[0]);
    Py_XDECREF(lists[1]);
    job_unref(maps);
    job_unref(reduces);
    return pair;
}

PyObject *executor_map_reduce(PyObject *object, PyObject *const *args, Py_ssize_t nargs,
                              PyObject *kwnames)
{
    static const struct signature signature = {"map_reduce", 3, 3, map_reduce_names};
    struct executor *self = (struct executor *)object;
    struct module_state *state = state_of(object);
    PyObject *values[3 + OPTION_COUNT] = {NULL};
    if (take_arguments(&signature, args, nargs, kwnames, values) != 0)
        return NULL;
    struct function *map = take_function(state, values[0], "map_function");
    struct function *reduce = map ? take_function(state, values[2], "reduce_function") : NULL;
    struct options options;
    struct inputs inputs;
    if (!reduce || options_open(values + 3, &options) != 0)
        return NULL;
    if (take_items(state, values[1], options.objects, map->is_native, &inputs) != 0) {
        options_close(&options);
        return NULL;
    }
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_futures *futures = NULL;
    lithops_executor *fexec = executor_enter(self);
    if (fexec) {
        int rc;
        Py_BEGIN_ALLOW_THREADS
        rc = lithops_map_reduce(fexec, map->function, inputs.value, reduce->function,
                                &options.engine, &futures, &err);
        Py_END_ALLOW_THREADS
        inputs.value = NULL;
        executor_leave(self);
        if (rc != 0)
            raise_error(state, &err);
    }
    inputs_release(&inputs);
    options_close(&options);
    bool by_key = options.engine.obj_reduce_by_key;
    return futures ? wrap_map_reduce(self, map, reduce, by_key, futures) : NULL;
}
