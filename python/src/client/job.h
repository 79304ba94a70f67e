/* SPDX-License-Identifier: Apache-2.0 */
/* What the Futures of one map share.
 *
 *     Future --> struct job --> lithops_futures      (the engine's)
 *                     |-------> Executor             (stays open while futures of it are held)
 *                     '-------> decoded results      (each as long as its Future)
 *
 * None of these takes part in garbage collection: a Future must be small, and without it in the
 * graph nothing behind it can be part of a cycle that the collector sees. For the same reason a job
 * keeps no exceptions: one that was raised holds frames, and these hold the Future. */
#ifndef LITHOPS_PYTHON_CLIENT_JOB_H
#define LITHOPS_PYTHON_CLIENT_JOB_H

#include "extension.h"

struct executor;
struct function;

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
    uint32_t memory_mb;  /* that it was started with; 0: the executor's */
    lithops_futures *futures;
    size_t count;
    PyObject *function_name;
    bool gives_list, is_reduce, feeds_reducer, is_native;
    bool is_chosen;      /* by without_jobs() */
    bool has_attributes; /* some Future of it has, see future.c */
    struct kept *kept;   /* an array of `count`, made when it is needed */
    unsigned decoding;   /* threads that are decoding results */
    uint32_t timeout_ms; /* as memory_mb; at most that */
};

/* A job of the calls in `futures`, which are consumed, also on failure. Its flags are false. */
struct job *job_new(struct executor *executor, struct function *function, lithops_futures *futures);
/* Note what it was started with; LITHOPS_DEFAULT: nothing. */
void job_set_limits(struct job *job, int64_t memory_mb, int64_t timeout_ms);
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
/* It has one of these; see enum lithops_mark. */
bool job_has_mark(const struct job *job, size_t index, unsigned marks);
/* Free the shared memory of a result, as soon as no buffer handed out lies in it. The decoded
 * object stays. */
void job_release(struct job *job, size_t index);
/* The call's Future has died: free its decoded result and its shared memory. */
void job_forget(struct job *job, size_t index);
/* The same, but only for a result that was taken or consumed. */
void job_release_taken(struct job *job, size_t index);

#endif
