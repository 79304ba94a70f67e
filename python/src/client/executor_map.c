/* SPDX-License-Identifier: Apache-2.0 */
/* Executor.map, map_futures and map_reduce: many calls at once. They share one table of option
 * names, of which each method accepts a part. */
#include "client/executor_map.h"

#include "client/arguments.h"
#include "client/executor.h"
#include "client/function.h"
#include "client/future.h"
#include "client/inputs.h"
#include "client/job.h"
#include "client/selection.h"
#include "codec/value.h"
#include "errors.h"
#include "extension.h"

#define MAP_SIGNATURE                                                                              \
    "objects=False, chunksize=None, obj_chunk_size=None, obj_chunk_number=None,\n"                 \
    "    obj_newline='\\n', extra_args=None, extra_env=None, timeout=None,\n"                      \
    "    runtime_memory=None, include=None, exclude=None"
const char executor_map_doc[] = PyDoc_STR(
    "map($self, function, items, *, " MAP_SIGNATURE ")\n--\n\n"
    "Start a call for each item of a list, tuple or range; the Futures. With `objects`, or\n"
    "options of chunks, items name objects: a str, a cloudobject's dict, or [one of these,\n"
    "bytes]. `extra_args` and `extra_env` are for native functions.");
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
    EXTRA_ENV,
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
        "extra_env", "timeout", "runtime_memory", "include", "exclude"
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
    lithops_value *extra_args, *extra_args_reduce, *extra_env;
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
    lithops_value_free(options->extra_env);
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
        take_env(values[EXTRA_ENV], &ret->extra_env) != 0 ||
        take_extra_args(values[EXTRA_ARGS_REDUCE], "extra_args_reduce", &ret->extra_args_reduce) !=
            0 ||
        text_list_open(values[INCLUDE], "include", &ret->include) != 0 ||
        text_list_open(values[EXCLUDE], "exclude", &ret->exclude) != 0) {
        options_close(ret);
        return -1;
    }
    engine->extra_args = ret->extra_args;
    engine->extra_args_reduce = ret->extra_args_reduce;
    engine->extra_env = ret->extra_env;
    engine->include_modules = ret->include.texts;
    engine->exclude_modules = ret->exclude.texts;
    ret->objects |=
        engine->obj_chunk_size != LITHOPS_DEFAULT || engine->obj_chunk_number != LITHOPS_DEFAULT;
    return 0;
}

static int take_items(struct module_state *state, PyObject *items, bool objects, bool is_native,
                      struct inputs *ret_inputs)
{
    return objects ? inputs_of_objects(items, ret_inputs)
                   : inputs_of_items(state, items, is_native, ret_inputs);
}

/* ---- map ------------------------------------------------------------------------------------- */

static PyObject *list_of(struct executor *self, struct function *function, lithops_futures *futures,
                         const lithops_map_reduce_options *options)
{
    struct job *job = job_new(self, function, futures);
    if (!job)
        return NULL;
    job_set_limits(job, options->map_runtime_memory_mb, options->timeout_ms);
    job->gives_list = true;
    PyObject *list = futures_of_job(job);
    job_unref(job);
    return list;
}

/* Shared by map and map_futures: their arguments, and the job that is started. */
struct mapping {
    struct executor *executor;
    struct function *function; /* borrowed, as is `given` */
    PyObject *given;           /* items or futures */
    struct options options;
};

static int mapping_open(const struct signature *signature, PyObject *executor,
                        PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                        struct mapping *ret)
{
    PyObject *values[2 + OPTION_COUNT] = {NULL};
    if (take_arguments(signature, args, nargs, kwnames, values) != 0)
        return -1;
    ret->executor = (struct executor *)executor;
    ret->function = take_function(state_of(executor), values[0], "function");
    ret->given = values[1];
    return ret->function ? options_open(values + 2, &ret->options) : -1;
}

/* Start a call for each item, or, where there are none, for each future of `of`.
 * @param items  consumed, and NULL then */
static lithops_futures *mapping_start(struct mapping *mapping, lithops_value **items,
                                      lithops_futures *of)
{
    lithops_executor *fexec = executor_enter(mapping->executor);
    if (!fexec)
        return NULL;
    lithops_error err = LITHOPS_ERROR_INIT;
    const lithops_function *function = mapping->function->function;
    lithops_map_options map = lithops_map_options_of(&mapping->options.engine);
    lithops_futures *futures;
    Py_BEGIN_ALLOW_THREADS
    futures = items ? lithops_map(fexec, function, *items, &map, &err)
                    : lithops_map_futures(fexec, function, of, &map, &err);
    Py_END_ALLOW_THREADS
    if (items)
        *items = NULL;
    executor_leave(mapping->executor);
    if (!futures)
        raise_error(state_of((PyObject *)mapping->executor), &err);
    return futures;
}

/* @param futures  consumed; NULL: an exception is set */
static PyObject *mapping_close(struct mapping *mapping, lithops_futures *futures)
{
    options_close(&mapping->options);
    return futures
               ? list_of(mapping->executor, mapping->function, futures, &mapping->options.engine)
               : NULL;
}

PyObject *executor_map(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const struct signature signature = {"map", 2, 2, map_names};
    struct mapping mapping;
    struct inputs inputs;
    lithops_futures *futures = NULL;
    if (mapping_open(&signature, object, args, nargs, kwnames, &mapping) != 0)
        return NULL;
    if (take_items(state_of(object), mapping.given, mapping.options.objects,
                   mapping.function->is_native, &inputs) == 0) {
        futures = mapping_start(&mapping, &inputs.value, NULL);
        inputs_release(&inputs);
    }
    return mapping_close(&mapping, futures);
}

PyObject *executor_map_futures(PyObject *object, PyObject *const *args, Py_ssize_t nargs,
                               PyObject *kwnames)
{
    static const struct signature signature = {"map_futures", 2, 2, map_futures_names};
    struct mapping mapping;
    struct selection selection;
    lithops_futures *futures = NULL;
    if (mapping_open(&signature, object, args, nargs, kwnames, &mapping) != 0)
        return NULL;
    if (selection_open(state_of(object), mapping.given, &selection) == 0) {
        futures = mapping_start(&mapping, NULL, selection.futures);
        selection_close(&selection);
    }
    return mapping_close(&mapping, futures);
}

/* ---- map_reduce ------------------------------------------------------------------------------ */

/* In the calls of a map_reduce, the reducers come after the map. */
static size_t first_reduce_call(const lithops_futures *futures)
{
    size_t low = 0, high = lithops_futures_size(futures);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        lithops_future *future = lithops_futures_get(futures, middle);
        bool is_reducer = lithops_future_is_reducer(future);
        lithops_future_unref(future);
        if (is_reducer)
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
                                 struct function *reduce, lithops_futures *futures,
                                 const lithops_map_reduce_options *options)
{
    size_t end = lithops_futures_size(futures), middle = first_reduce_call(futures);
    struct job *maps = job_of_piece(self, map, futures, 0, middle);
    struct job *reduces = maps ? job_of_piece(self, reduce, futures, middle, end) : NULL;
    lithops_futures_unref(futures);
    PyObject *lists[2] = {NULL, NULL}, *pair = NULL;
    if (maps && reduces) {
        job_set_limits(maps, options->map_runtime_memory_mb, options->timeout_ms);
        job_set_limits(reduces, options->reduce_runtime_memory_mb, options->timeout_ms);
        maps->gives_list = maps->feeds_reducer = true;
        reduces->is_reduce = true;
        reduces->gives_list = options->obj_reduce_by_key;
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
    return futures ? wrap_map_reduce(self, map, reduce, futures, &options.engine) : NULL;
}
