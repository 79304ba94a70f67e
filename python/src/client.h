/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the client's side share: executors, jobs, futures, selections of futures.
 *
 *     Future --> struct job --> lithops_futures      (the engine's)
 *                     |-------> Executor             (stays open while futures of it are held)
 *                     '-------> decoded results      (each as long as its Future)
 *
 * None of these takes part in garbage collection: a Future must be small, and without it in the
 * graph nothing behind it can be part of a cycle that the collector sees. For the same reason a job
 * keeps no exceptions: one that was raised holds frames, and these hold the Future. */
#ifndef LITHOPS_PYTHON_CLIENT_H
#define LITHOPS_PYTHON_CLIENT_H

#include "extension.h"

/* ---- fork.c: is this the process that made it? ----------------------------------------------- */

/* Watch for forks from now on; once per process. */
int fork_watch(void);
/* Counts the forks between the first process and this one. */
unsigned fork_generation(void);
/* True, with the exception that tells so, in a child of the process that `generation` is of. */
bool fork_refused(struct module_state *state, unsigned generation, const char *what);

/* ---- arguments.c ----------------------------------------------------------------------------- */

/* What a METH_FASTCALL | METH_KEYWORDS method takes. Names end with NULL. */
struct signature {
    const char *method;
    int required, positional; /* arguments that must be there; that can be given by position */
    const char *const *names;
};
/* Sort the arguments into ret_values, one for each name; NULL: not given. Borrowed. */
int take_arguments(const struct signature *signature, PyObject *const *args, Py_ssize_t nargs,
                   PyObject *kwnames, PyObject **ret_values);
/* Seconds (an int or float; NULL and None: `none`) as milliseconds, rounded up. */
int take_ms(PyObject *seconds, const char *name, int64_t none, int64_t *ret_ms);
/* An int; NULL and None: LITHOPS_DEFAULT. */
int take_int(PyObject *object, const char *name, int64_t *ret_int);
/* A str; NULL and None: NULL. Borrowed from the object. */
int take_text(PyObject *object, const char *name, const char **ret_text);
/* True or false; NULL: `missing`. */
int take_bool(PyObject *object, bool missing, bool *ret_bool);

/* A NULL-terminated array of C strings out of a sequence of str. */
struct text_list {
    const char **texts; /* NULL for None */
    PyObject *sequence; /* what they are borrowed from */
};
int text_list_open(PyObject *object, const char *name, struct text_list *ret_list);
void text_list_close(struct text_list *list);

/* ---- wait.c ---------------------------------------------------------------------------------- */

/* lithops_wait() without the GIL. 0; a code of the engine, which fills err; 1: a signal handler has
 * raised, its exception is set. */
int wait_for_futures(lithops_futures *futures, int return_when, int64_t timeout_ms,
                     bool throw_except, lithops_error *err);
/* lithops_futures_next() likewise. */
int wait_for_next(lithops_futures *futures, int64_t timeout_ms, size_t *ret_index,
                  lithops_error *err);

/* ---- executor.c ------------------------------------------------------------------------------ */

struct executor {
    PyObject_HEAD lithops_executor *fexec; /* NULL once it was closed */
    unsigned generation;                   /* see fork.c */
    bool is_closed;                        /* no call may start any more */
    int users;                        /* threads that are in the engine with it, without the GIL */
    PyThread_type_lock idle;          /* released when users is 0, for who closes it; or NULL */
    PyObject *id;                     /* str */
    struct executor *next, *previous; /* in module_state.open_executors */
};

/* Close it and take it out of the list of open ones; nothing on a closed one. On a thread that
 * runs a done-callback the engine is closed by another thread, later. */
void executor_close(struct executor *executor);

/* The engine's handle, which stays valid until executor_leave(); NULL with an exception when it is
 * closed or of another process. */
lithops_executor *executor_enter(struct executor *executor);
void executor_leave(struct executor *executor);

/* executor_map.c: methods that start jobs of many calls */
PyObject *executor_map(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
PyObject *executor_map_futures(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                               PyObject *kwnames);
PyObject *executor_map_reduce(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                              PyObject *kwnames);
extern const char executor_map_doc[], executor_map_futures_doc[], executor_map_reduce_doc[];

/* ---- function.c ------------------------------------------------------------------------------ */

struct function {
    PyObject_HEAD lithops_function *function;
    PyObject *name; /* str */
    bool is_native;
};
/* The Function behind an argument, or NULL with TypeError. Borrowed. */
struct function *take_function(struct module_state *state, PyObject *object, const char *name);

/* ---- inputs.c -------------------------------------------------------------------------------- */

/* Inputs of a job for the engine, and the memory that they are borrowed from. */
struct inputs {
    lithops_value *value; /* consumed by the call that starts the job; NULL then */
    void *array;          /* of ints, doubles or payloads */
    struct encoded *encoded;
    size_t encoded_count;
    struct encoded one; /* what `encoded` is for one input */
};
/* One input of call_async. */
int inputs_of_one(struct module_state *state, PyObject *object, bool is_native,
                  struct inputs *ret_inputs);
/* The items of map: a list, tuple or range. */
int inputs_of_items(struct module_state *state, PyObject *items, bool is_native,
                    struct inputs *ret_inputs);
/* The same, where each item names an object. */
int inputs_of_objects(PyObject *items, struct inputs *ret_inputs);
void inputs_release(struct inputs *inputs);

/* ---- job.c ----------------------------------------------------------------------------------- */

/* What a job keeps of one call. */
struct kept {
    PyObject *result;      /* decoded; NULL: not yet, or cheap to make again */
    struct memory *memory; /* alive while a part of the result lies in shared memory; borrowed */
};

struct job {
    size_t refs;
    PyObject *module; /* keeps `state` */
    struct module_state *state;
    PyObject *executor;
    unsigned generation; /* see fork.c */
    lithops_futures *futures;
    size_t count;
    PyObject *function_name;
    bool gives_list, is_reduce, feeds_reducer, is_native;
    bool is_input;          /* calls of a map_futures read its results */
    struct kept *kept;      /* an array of `count`, made when it is needed */
    unsigned decoding;      /* threads that decode results just now */
    uint64_t read_bits_few; /* a bit per call: its outcome was taken */
    uint64_t *read_bits;    /* read_bits_few, or an array where there are more than 64 calls */
};

/* A job of the calls in `futures`, which are consumed, also on failure. Its flags are false. */
struct job *job_new(struct executor *executor, struct function *function, lithops_futures *futures);
struct job *job_ref(struct job *job);
void job_unref(struct job *job); /* NULL is fine */
/* True: the call has a result, which is in *ret_result; NULL there with an exception, when it
 * cannot be decoded. False without an exception: it is not done, has failed, or was released. */
bool job_take_result(struct job *job, size_t index, PyObject **ret_result);
/* The result of a call that is done; raises what a failed call raises, and for one that is not
 * done. */
PyObject *job_result(struct job *job, size_t index);
/* It has failed, or was cancelled. */
bool job_has_failed(const struct job *job, size_t index);
/* What a failed call raises, as an object; None for one that succeeded. */
PyObject *job_exception(struct job *job, size_t index);
/* Note that the outcomes of calls [begin, end) were taken. */
void job_mark_read(struct job *job, size_t begin, size_t end);
bool job_is_read(const struct job *job, size_t index);
/* Give the shared memory of a result back, as soon as nothing handed over lies in it. What was
 * decoded stays. */
void job_release(struct job *job, size_t index);
/* The Future of the call is gone: what was decoded for it goes too, and the shared memory. */
void job_forget(struct job *job, size_t index);
/* The same for a result that is big and was taken; for others nothing. */
void job_release_big(struct job *job, size_t index);

/* ---- future.c -------------------------------------------------------------------------------- */

struct future {
    PyObject_HEAD struct job *job;
    size_t index;
};
PyObject *future_new(struct job *job, size_t index);
/* A list of the Futures of all calls. */
PyObject *futures_of_job(struct job *job);

/* ---- callback_thread.c ----------------------------------------------------------------------- */

/* Take the GIL on a thread of the engine that runs a done-callback. False: Python is gone. */
bool callback_thread_enter(PyGILState_STATE *ret_before);
void callback_thread_leave(PyGILState_STATE before);
/* This thread is in a done-callback. */
bool is_callback_thread(void);

/* ---- selection.c: a sequence of Futures, as the engine wants it ------------------------------ */

struct selection {
    size_t count; /* pieces */
    lithops_futures_piece *pieces;
    struct job **jobs;        /* of each piece, a reference */
    lithops_futures *futures; /* all of them */
};
/* Out of a list or another iterable of Futures. */
int selection_open(struct module_state *state, PyObject *futures, struct selection *ret_selection);
void selection_close(struct selection *selection);
/* Raise what the first call that has failed raises; of one that was cancelled only where none has
 * failed, as it may have been for the sake of the failure. False: there is neither. */
bool selection_raise_failure(const struct selection *selection);

#endif
