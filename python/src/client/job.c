/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs: what the Futures of one map, or of one call_async, have in common.
 *
 * A result is decoded when it is first asked for and kept as long as its Future, so that asking
 * again gives the same object. None, bools and numbers are not kept: making them is faster than
 * looking them up. When the Future dies, the result's shared memory is freed: nobody can ask for it
 * again. A large result may contain buffers that lie in shared memory. They are kept valid by a
 * Memory object, at most one per call, which holds the engine's future. The buffers refer to the
 * Memory, not to the job, so there is no cycle. If the result is released meanwhile, the memory is
 * freed when the Memory dies.
 *
 * The GIL guards all of this. Decoding may run any code, so state is read again afterwards. */
#include "client/job.h"

#include "client/executor.h"
#include "client/fork.h"
#include "client/function.h"
#include "codec/codec.h"
#include "errors.h"
#include "extension.h"

/* Pickles below this have no buffers beside them (see codec.c). */
enum { HANDED_OVER_BYTES = 64 << 10 };

/* ---- memory of results ----------------------------------------------------------------------- */

struct memory {
    PyObject_HEAD lithops_future *future;
    struct job *job; /* whose `kept` points here; NULL: it is gone. Borrowed */
    size_t index;
    unsigned generation;
    bool release;
};

/* The Memory of a call whose `kept` is made: the one that is alive, or a new one. */
static PyObject *memory_of(struct job *job, size_t index)
{
    struct kept *kept = &job->kept[index];
    if (kept->memory) {
        Py_INCREF(kept->memory);
        return (PyObject *)kept->memory;
    }
    PyTypeObject *type = (PyTypeObject *)job->state->memory_type;
    struct memory *self = (struct memory *)type->tp_alloc(type, 0);
    if (!self)
        return NULL;
    self->generation = job->generation;
    self->future = lithops_futures_get(job->futures, index);
    if (!self->future) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    self->job = job;
    self->index = index;
    kept->memory = self;
    return (PyObject *)self;
}

static void memory_dealloc(struct memory *self)
{
    PyTypeObject *type = Py_TYPE(self);
    if (self->job)
        self->job->kept[self->index].memory = NULL;
    if (self->generation == fork_generation()) {
        if (self->release)
            lithops_future_release(self->future);
        else
            lithops_future_unref(self->future);
    }
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot memory_slots[] = {
    {Py_tp_dealloc, memory_dealloc},
    {0, NULL},
};
static PyType_Spec memory_spec = {
    .name = "lithops._lithops.Memory",
    .basicsize = sizeof(struct memory),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = memory_slots,
};

int lithops_add_job(PyObject *module)
{
    return add_type(module, &memory_spec, &state_of_module(module)->memory_type, false);
}

/* ---- life ------------------------------------------------------------------------------------ */

struct job *job_new(struct executor *executor, struct function *function, lithops_futures *futures)
{
    struct job *job = futures ? PyMem_Calloc(1, sizeof *job) : NULL;
    if (!job) {
        lithops_futures_unref(futures);
        PyErr_NoMemory();
        return NULL;
    }
    PyTypeObject *type = Py_TYPE(executor);
    job->refs = 1;
    job->module = ((PyHeapTypeObject *)type)->ht_module;
    job->state = state_of_module(job->module);
    job->executor = (PyObject *)executor;
    job->generation = executor->generation;
    job->futures = futures;
    job->count = lithops_futures_size(futures);
    job->function_name = function->name;
    job->is_native = function->is_native;
    Py_INCREF(job->module);
    Py_INCREF(job->executor);
    Py_INCREF(job->function_name);
    return job;
}

static uint32_t as_limit(int64_t limit)
{
    return limit < 0 ? 0 : limit < UINT32_MAX ? (uint32_t)limit : UINT32_MAX;
}

void job_set_limits(struct job *job, int64_t memory_mb, int64_t timeout_ms)
{
    job->memory_mb = as_limit(memory_mb);
    job->timeout_ms = as_limit(timeout_ms);
}

struct job *job_ref(struct job *job)
{
    job->refs++;
    return job;
}

void job_unref(struct job *job)
{
    if (!job || --job->refs > 0)
        return;
    for (size_t i = 0; job->kept && i < job->count; i++) {
        if (job->kept[i].memory)
            job->kept[i].memory->job = NULL;
        Py_XDECREF(job->kept[i].result);
    }
    PyMem_Free(job->kept);
    if (job->generation == fork_generation())
        lithops_futures_unref(job->futures);
    PyObject *executor = job->executor, *module = job->module;
    Py_DECREF(job->function_name);
    PyMem_Free(job);
    Py_DECREF(executor); /* may close it */
    Py_DECREF(module);
}

/* ---- marks ----------------------------------------------------------------------------------- */

bool job_has_mark(const struct job *job, size_t index, unsigned marks)
{
    return lithops_futures_marks(job->futures, index) & marks;
}

void job_mark_read(struct job *job, size_t begin, size_t end)
{
    lithops_futures_seen(job->futures, begin, end, true);
}

/* ---- results --------------------------------------------------------------------------------- */

static int make_kept(struct job *job)
{
    if (!job->kept)
        job->kept = PyMem_Calloc(job->count, sizeof *job->kept);
    if (job->kept)
        return 0;
    PyErr_NoMemory();
    return -1;
}

/* Say which call's result cannot be loaded, and why. Exceptions that are not about the result, such
 * as KeyboardInterrupt and MemoryError, are left alone. */
static void name_the_call(struct job *job, size_t index)
{
    if (!PyErr_ExceptionMatches(PyExc_Exception) || PyErr_ExceptionMatches(PyExc_MemoryError))
        return;
    PyObject *reason = take_raised();
    lithops_error err = LITHOPS_ERROR_INIT;
    char key[64];
    lithops_future *future = lithops_futures_get(job->futures, index);
    lithops_future_key(future, key, sizeof key);
    lithops_future_unref(future);
    err.code = LITHOPS_EPARSE;
    PyObject *text = PyUnicode_FromFormat("the result of call %s cannot be loaded: %s: %S", key,
                                          Py_TYPE(reason)->tp_name, reason);
    const char *words = text ? PyUnicode_AsUTF8(text) : NULL;
    PyErr_Clear(); /* its str() failed */
    snprintf(err.message, sizeof err.message, "%s",
             words ? words : "the result of a call cannot be loaded");
    PyObject *exception = error_to_exception(job->state, &err);
    Py_XDECREF(text);
    if (exception)
        PyException_SetCause(exception, reason); /* takes the reference */
    else
        Py_DECREF(reason);
    raise_exception(exception);
}

/* May run any code, with the bytes still in shared memory. */
static PyObject *decode_in_place(struct job *job, size_t index, const lithops_payload *payload)
{
    bool is_big =
        payload->content == LITHOPS_CONTENT_PICKLE && payload->bytes.len >= HANDED_OVER_BYTES;
    PyObject *owner = is_big ? memory_of(job, index) : NULL;
    if (is_big && !owner)
        return NULL;
    job->decoding++;
    PyObject *result = codec_decode(job->state, payload, owner);
    job->decoding--;
    if (!result)
        name_the_call(job, index);
    Py_XDECREF(owner); /* buffers in the result keep it alive */
    return result;
}

static PyObject *decode(struct job *job, size_t index, const lithops_payload *payload)
{
    if (payload->content <= LITHOPS_CONTENT_DOUBLE)
        return codec_decode(job->state, payload, NULL);
    if (make_kept(job) != 0)
        return NULL;
    ((struct executor *)job->executor)->taken_bytes += payload->bytes.len;
    PyObject *result = decode_in_place(job, index, payload);
    struct kept *kept = &job->kept[index];
    if (result && kept->result) { /* another thread was faster */
        Py_INCREF(kept->result);
        Py_SETREF(result, kept->result);
    } else if (result) {
        Py_INCREF(result);
        kept->result = result;
    }
    return result;
}

static PyObject *make_exception(const struct job *job, size_t index, const lithops_error *err)
{
    return call_to_exception(job->state, err, lithops_futures_error_data(job->futures, index));
}

bool job_has_failed(const struct job *job, size_t index)
{
    lithops_state state = lithops_futures_state(job->futures, index);
    return state == LITHOPS_FAILED || state == LITHOPS_CANCELED;
}

static bool is_released(const struct job *job, size_t index)
{
    return job->kept && job->kept[index].memory && job->kept[index].memory->release;
}

bool job_take_result(struct job *job, size_t index, PyObject **ret_result)
{
    PyObject *kept = job->kept ? job->kept[index].result : NULL;
    if (kept) {
        Py_INCREF(kept);
        *ret_result = kept;
        return true;
    }
    lithops_payload payload;
    if (is_released(job, index) ||
        lithops_futures_payload(job->futures, index, &payload, NULL) != 0)
        return false;
    *ret_result = decode(job, index, &payload);
    return true;
}

static const char released_text[] =
    "the result was released: it was cleaned, or it was taken before and its future held by "
    "nobody; hold futures whose results are to be read twice";

PyObject *job_result(struct job *job, size_t index)
{
    PyObject *result;
    if (job_take_result(job, index, &result))
        return result;
    lithops_error err = LITHOPS_ERROR_INIT;
    if (is_released(job, index)) {
        err.code = LITHOPS_ECLOSED;
        snprintf(err.message, sizeof err.message, "%s", released_text);
        return raise_error(job->state, &err);
    }
    lithops_payload payload;
    if (lithops_futures_payload(job->futures, index, &payload, &err) == 0)
        return decode(job, index, &payload); /* it ended between the two checks */
    if (job_has_failed(job, index))
        return raise_exception(make_exception(job, index, &err));
    if (err.code == LITHOPS_ECLOSED)
        snprintf(err.message, sizeof err.message, "%s", released_text);
    return raise_error(job->state, &err);
}

PyObject *job_exception(struct job *job, size_t index)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_future *future = lithops_futures_get(job->futures, index);
    int rc = lithops_future_error(future, &err);
    lithops_future_unref(future);
    if (rc != 0)
        return make_exception(job, index, &err);
    Py_RETURN_NONE;
}

void job_release(struct job *job, size_t index)
{
    struct memory *memory = job->kept ? job->kept[index].memory : NULL;
    /* The engine keeps results that other calls, reducers included, have yet to read. */
    if (job->decoding > 0 || lithops_futures_state(job->futures, index) != LITHOPS_SUCCESS)
        return;
    if (memory)
        memory->release = true;
    else
        lithops_future_release(lithops_futures_get(job->futures, index));
}

void job_forget(struct job *job, size_t index)
{
    /* Where nothing was kept of the whole job, results are small or nobody wanted them. */
    if (!job->kept || job->generation != fork_generation())
        return;
    job_release(job, index);
    Py_CLEAR(job->kept[index].result);
}

void job_release_taken(struct job *job, size_t index)
{
    bool is_kept = job->kept && job->kept[index].result;
    lithops_payload payload;
    if (is_kept && job_has_mark(job, index, LITHOPS_MARK_READ | LITHOPS_MARK_CONSUMED))
        job_forget(job, index);
    else if (!is_kept && job_has_mark(job, index, LITHOPS_MARK_CONSUMED) &&
             lithops_futures_payload(job->futures, index, &payload, NULL) == 0 &&
             payload.content > LITHOPS_CONTENT_DOUBLE)
        job_release(job, index);
}
