/* SPDX-License-Identifier: Apache-2.0 */
/* worker_main(): this Python process runs calls until the client is done with it.
 *
 * All calls of all Python functions go through one native function, "python". The function that
 * _worker/main.py makes of a job's code is cached under the code's number, for the last 64 codes or
 * 64 MiB of code; the memory that the functions hold is assumed to be of about that size.
 *
 * The GIL is released while the engine looks for calls, so that threads left behind by a function
 * can run. Everything in `worker` but `thread` is used with the GIL held. It is static because a
 * native function has no room for a pointer of ours, and a process that is a worker stays one.
 *
 * Replacements of sys.stdout and sys.stderr end with the call that made them (see output.c), and so
 * do its alarms. */
#include "worker/worker.h"

#include "codec/codec.h"
#include "codec/value.h"
#include "extension.h"
#include "worker/arenas.h"
#include "worker/call.h"
#include "worker/output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

enum { CODES = 64, MOST_CODE_BYTES = 64 << 20 };

/* The function made of one code. */
struct loaded {
    uint64_t id; /* 0: free */
    size_t code_len;
    PyObject *entry;    /* entry(call, input) */
    PyObject *function; /* function(input) does the same, unless the input is a tuple or dict;
                           NULL: no such shortcut */
    bool is_plain;      /* the result must be a plain value, for the other faces */
};

static struct {
    struct module_state *state; /* NULL: this process is not a worker */
    PyObject *run, *describe, *settle, *open_streams;
    PyObject *sys_dict, *stream_names[2], *streams[2];
    PyObject *modules, *signal_name; /* sys.modules */
    bool has_signals;                /* some call has imported `signal` */
    PyThreadState *thread;           /* while the engine looks for calls */
    lithops_call *call;              /* that runs */
    struct loaded loaded[CODES];
    unsigned oldest, last;
    size_t code_bytes; /* of all that are loaded */
} worker;

/* ---- failing --------------------------------------------------------------------------------- */

static PyObject *take_exception(void)
{
    PyObject *type, *exception, *traceback;
    PyErr_Fetch(&type, &exception, &traceback);
    PyErr_NormalizeException(&type, &exception, &traceback);
    if (traceback)
        (void)PyException_SetTraceback(exception, traceback);
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return exception;
}

/* As UTF-8; "" if it cannot be encoded. */
static const char *text_of(PyObject *text, size_t *ret_len)
{
    Py_ssize_t len = 0;
    const char *from = PyUnicode_AsUTF8AndSize(text, &len);
    if (!from)
        PyErr_Clear();
    *ret_len = from ? (size_t)len : 0;
    return from ? from : "";
}

/* Copy the beginning, cut at a character boundary. */
static void copy_beginning(char *to, size_t room, PyObject *text)
{
    size_t len;
    const char *from = text_of(text, &len);
    if (len >= room)
        for (len = room - 1; len && (from[len] & 0xc0) == 0x80;)
            len--;
    memcpy(to, from, len);
    to[len] = '\0';
}

/* Copy the end, in whole lines after a line "...": a traceback ends with the exception. */
static void copy_end(char *to, size_t room, PyObject *text)
{
    static const char cut[] = "...\n";
    size_t len, skip = 0;
    const char *from = text_of(text, &len);
    if (len >= room) {
        skip = len - (room - sizeof cut);
        const char *newline = memchr(from + skip, '\n', len - skip);
        if (newline && newline + 1 < from + len)
            skip = (size_t)(newline + 1 - from);
        while ((from[skip] & 0xc0) == 0x80) /* one long line */
            skip++;
        memcpy(to, cut, sizeof cut - 1);
        to += sizeof cut - 1;
    }
    memcpy(to, from + skip, len - skip);
    to[len - skip] = '\0';
}

/* Fail the call with the exception that is set. */
static int fail_call(lithops_call *call)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_bytes data = {NULL, 0};
    err.code = LITHOPS_ECALL;
    PyObject *exception = take_exception();
    PyObject *message, *traceback, *bytes;
    PyObject *parts = exception ? PyObject_CallOneArg(worker.describe, exception) : NULL;
    if (parts && PyArg_ParseTuple(parts, "UUS", &message, &traceback, &bytes)) {
        copy_beginning(err.message, sizeof err.message, message);
        copy_end(err.traceback, sizeof err.traceback, traceback);
        data = (lithops_bytes){PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes)};
    } else { /* no memory, most likely */
        PyErr_Clear();
        snprintf(err.message, sizeof err.message, "%.200s, which could not be described",
                 exception ? Py_TYPE(exception)->tp_name : "an exception");
    }
    int rc = lithops_fail_data(call, &err, data);
    Py_XDECREF(parts);
    Py_XDECREF(exception); /* frees the frames of the function */
    PyErr_Clear();
    return rc;
}

/* ---- code ------------------------------------------------------------------------------------ */

static void unload(struct loaded *loaded)
{
    loaded->id = 0;
    worker.code_bytes -= loaded->code_len;
    loaded->code_len = 0;
    Py_CLEAR(loaded->entry);
    Py_CLEAR(loaded->function);
}

static struct loaded *load(lithops_call *call, uint64_t id)
{
    lithops_bytes code = lithops_call_code(call);
    PyObject *bytes = PyBytes_FromStringAndSize(code.ptr, (Py_ssize_t)code.len);
    PyObject *made = bytes ? PyObject_CallOneArg(worker.run, bytes) : NULL;
    PyObject *entry, *function;
    int is_plain;
    Py_XDECREF(bytes);
    if (!made || !PyArg_ParseTuple(made, "OOp", &entry, &function, &is_plain)) {
        Py_XDECREF(made);
        return NULL;
    }
    worker.last = worker.oldest++ % CODES;
    struct loaded *loaded = &worker.loaded[worker.last];
    unload(loaded);
    loaded->code_len = code.len;
    worker.code_bytes += code.len;
    for (unsigned i = 0; i < CODES - 1 && worker.code_bytes > MOST_CODE_BYTES; i++)
        unload(&worker.loaded[(worker.oldest + i) % CODES]);
    loaded->entry = Py_NewRef(entry);
    loaded->function = function == Py_None ? NULL : Py_NewRef(function);
    loaded->is_plain = is_plain;
    loaded->id = id;
    Py_DECREF(made);
    return loaded;
}

static struct loaded *find_loaded(lithops_call *call)
{
    uint64_t id = lithops_call_code_id(call);
    if (worker.loaded[worker.last].id == id && id)
        return &worker.loaded[worker.last];
    for (unsigned i = 0; i < CODES && id; i++)
        if (worker.loaded[i].id == id)
            return &worker.loaded[worker.last = i];
    return load(call, id);
}

/* ---- a call ---------------------------------------------------------------------------------- */

/* Futures of an executor that the function has opened, or a list that begins with one. */
static bool holds_futures(PyObject *result)
{
    PyTypeObject *future = (PyTypeObject *)worker.state->future_type;
    if (!PyList_Check(result))
        return PyObject_TypeCheck(result, future);
    return PyList_GET_SIZE(result) > 0 ? PyObject_TypeCheck(PyList_GET_ITEM(result, 0), future)
                                       : !PyList_CheckExact(result);
}

static int return_plain(lithops_call *call, PyObject *result)
{
    lithops_value *value = value_from_python(result);
    return value ? lithops_return_value(call, value) : 1;
}

/* The result in *ret_result, or NULL with an exception. @return the code that results() of a
 * reducer has left, or 0 */
static int call_entry(lithops_call *call, const struct loaded *loaded, PyObject *input,
                      PyObject **ret_result)
{
    *ret_result = NULL;
    if (loaded->function && !PyTuple_Check(input) && !PyDict_Check(input)) {
        *ret_result = PyObject_CallOneArg(loaded->function, input);
        return 0;
    }
    PyObject *object = call_new(worker.state, call);
    if (!object)
        return 0;
    PyObject *args[] = {object, input};
    PyObject *entry = Py_NewRef(loaded->entry); /* the call may load others */
    *ret_result = PyObject_Vectorcall(entry, args, 2, NULL);
    Py_DECREF(entry);
    return call_end(object);
}

static int run_loaded(lithops_call *call, const struct loaded *loaded)
{
    lithops_payload payload;
    int rc = lithops_call_payload(call, &payload);
    if (rc != 0)
        return rc;
    bool is_plain = loaded->is_plain;
    PyObject *result, *input = codec_decode(worker.state, &payload, NULL);
    if (!input)
        return fail_call(call);
    rc = call_entry(call, loaded, input, &result);
    Py_DECREF(input);
    if (rc != 0) { /* a map call has failed, which the engine has already recorded */
        PyErr_Clear();
        Py_XDECREF(result);
        return rc;
    }
    if (result && holds_futures(result))
        Py_SETREF(result, PyObject_CallOneArg(worker.settle, result));
    if (result)
        rc = is_plain ? return_plain(call, result) : codec_return(worker.state, call, result);
    if (!result || PyErr_Occurred())
        rc = fail_call(call);
    Py_XDECREF(result);
    return rc;
}

/* ---- standard streams ------------------------------------------------------------------------ */

static int open_streams(void)
{
    PyObject *pair = PyObject_CallNoArgs(worker.open_streams), *streams[2];
    if (!pair || !PyArg_ParseTuple(pair, "OO", &streams[0], &streams[1])) {
        Py_XDECREF(pair);
        return -1;
    }
    for (int i = 0; i < 2; i++)
        Py_XSETREF(worker.streams[i], Py_NewRef(streams[i]));
    Py_DECREF(pair);
    (void)output_end_call(NULL); /* the old ones count as closed */
    return 0;
}

/* Put back what the call has done to sys.stdout and sys.stderr. */
static void restore_streams(lithops_call *call)
{
    for (int i = 0; i < 2; i++)
        if (PyDict_GetItem(worker.sys_dict, worker.stream_names[i]) != worker.streams[i] &&
            PyDict_SetItem(worker.sys_dict, worker.stream_names[i], worker.streams[i]) != 0)
            PyErr_Clear();
    /* Only now: the replaced streams may have wrapped our files, and closed them when they were
     * freed. */
    if (!output_end_call(call) && open_streams() != 0)
        PyErr_Clear();
}

/* ---- alarms ---------------------------------------------------------------------------------- */

/* A timer left running by this call would end a later one. Signals that have arrived are handled
 * now. */
static void stop_timers(void)
{
    static const int timers[] = {ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF};
    static const struct itimerval never;
    worker.has_signals =
        worker.has_signals || PyDict_GetItem(worker.modules, worker.signal_name) != NULL;
    if (!worker.has_signals)
        return;
    for (size_t i = 0; i < sizeof timers / sizeof timers[0]; i++)
        (void)setitimer(timers[i], &never, NULL);
    if (PyErr_CheckSignals() != 0)
        PyErr_Clear();
}

/* ---- the native function --------------------------------------------------------------------- */

static int run_python(lithops_call *call)
{
    PyEval_RestoreThread(worker.thread);
    worker.call = call;
    struct loaded *loaded = find_loaded(call);
    int rc = loaded ? run_loaded(call, loaded) : fail_call(call);
    worker.call = NULL;
    stop_timers();
    restore_streams(call);
    worker.thread = PyEval_SaveThread();
    return rc;
}

static lithops_function python_function = {
    .magic = LITHOPS_FUNCTION_MAGIC, .name = "python", .run = run_python, .symbol = "python"};

void worker_name_session(void)
{
    if (!worker.call)
        return;
    char key[128];
    snprintf(key, sizeof key, "%s-%05lld", lithops_call_job_key(worker.call),
             (long long)lithops_call_id(worker.call));
    (void)setenv("__LITHOPS_SESSION_ID", key, 1);
}

/* Called when the worker has been idle for a moment. */
static void give_back(void *Py_UNUSED(user))
{
    PyEval_RestoreThread(worker.thread);
    drop_arenas();
    worker.thread = PyEval_SaveThread();
}

static PyObject *worker_main(PyObject *module, PyObject *args)
{
    const char *argument;
    PyObject *run, *describe, *settle, *streams;
    if (!PyArg_ParseTuple(args, "sOOOO:worker_main", &argument, &run, &describe, &settle, &streams))
        return NULL;
    if (worker.state) {
        PyErr_SetString(PyExc_RuntimeError, "worker_main() was called twice in this process");
        return NULL;
    }
    worker.run = Py_NewRef(run);
    worker.describe = Py_NewRef(describe);
    worker.settle = Py_NewRef(settle);
    worker.open_streams = Py_NewRef(streams);
    worker.stream_names[0] = PyUnicode_InternFromString("stdout");
    worker.stream_names[1] = PyUnicode_InternFromString("stderr");
    PyObject *sys = PyImport_ImportModule("sys");
    worker.sys_dict = Py_XNewRef(sys ? PyModule_GetDict(sys) : NULL);
    worker.modules = Py_NewRef(PyImport_GetModuleDict());
    worker.signal_name = PyUnicode_InternFromString("signal");
    Py_XDECREF(sys);
    if (!worker.sys_dict || !worker.stream_names[0] || !worker.stream_names[1] ||
        !worker.signal_name || open_streams() != 0)
        return NULL;
    worker.state = state_of_module(module);
    worker.state->is_worker = true;
    keep_arenas_warm();
    output_watch_crashes();
    lithops_function_register(&python_function);
    lithops_worker_on_quiet(give_back, NULL);
    worker.thread = PyEval_SaveThread();
    int status = lithops_worker_main(argument);
    PyEval_RestoreThread(worker.thread);
    lithops_function_unregister(&python_function);
    return PyLong_FromLong(status);
}

static PyMethodDef functions[] = {
    {"worker_main", worker_main, METH_VARARGS,
     PyDoc_STR("worker_main(argument, run, describe, settle, open_streams) -> int\n\n"
               "Run calls until the client is done with this process; the status to exit with.\n"
               "run(code) -> (entry, function or None, is_plain): entry(call, input) does a call,\n"
               "function(input) the same for inputs other than tuples and dicts.\n"
               "describe(exception) -> (message, traceback, data); settle(futures) -> results;\n"
               "open_streams() -> (stdout, stderr), put in sys.")},
    {NULL, NULL, 0, NULL},
};

int lithops_add_worker(PyObject *module)
{
    return output_add_type(module) == 0 ? PyModule_AddFunctions(module, functions) : -1;
}
