/* SPDX-License-Identifier: Apache-2.0 */
/* Inside a function: input, result, and what upstream injects as id, obj, storage, rabbitmq.
 *
 * Everything here takes the `call` that the function was given and works only on the thread that
 * runs it, while it runs. Borrowed pointers are valid until the function returns. */
#ifndef LITHOPS_CALL_H
#define LITHOPS_CALL_H

#include <lithops/function.h>
#include <lithops/storage.h>
#include <lithops/stream.h>
#include <lithops/value.h>

#ifdef __cplusplus
extern "C" {
#endif

/** @name Input */
/** @{ */

/** Bind the input to variables, by position and by name.
 *
 * One format letter per argument (i I b f s y o, as in lithops_unpack) and for each a name and a
 * pointer. A list input is taken by position, a map by name, anything else is the first argument;
 * extra_args come after (a list) or by name (a map). After `|` arguments are optional and keep
 * what they hold.
 *
 *     if (lithops_args(call, "II|f", "x", &x, "y", &y, "scale", &scale) != 0)
 *         return LITHOPS_EARG;
 *
 * @return 0; LITHOPS_EARG, and the call's error names the argument that is missing, unknown or of
 *         a wrong type */
LITHOPS_PUBLIC int lithops_args(lithops_call *call, const char *format, ...);

/** The whole input as a value. Borrowed. */
LITHOPS_PUBLIC const lithops_value *lithops_call_input(lithops_call *call);
/** extra_args of the job, or NULL. Borrowed. */
LITHOPS_PUBLIC const lithops_value *lithops_call_extra_args(lithops_call *call);
/** The input as bytes (bytes or string), straight from shared memory, no copy; 16-byte aligned.
 * {NULL, 0} for other types. */
LITHOPS_PUBLIC lithops_bytes lithops_call_bytes(lithops_call *call);
/** The input as an int, without a format to read; 0 for other types. */
LITHOPS_PUBLIC int64_t lithops_call_int(lithops_call *call);
/** `obj`: the stream over this call's partition, or over the whole object that the input names.
 * NULL, and the call's error is set, when the input is not an object; one that cannot be opened
 * fails the call. */
LITHOPS_PUBLIC lithops_stream *lithops_call_object(lithops_call *call);
/** @} */

/** @name Result. The last one given counts; none at all is null. */
/** @{ */

/** Return a value by format, as in lithops_pack().
 * @return 0, so that a function can end with `return lithops_return(...)`; else a failure */
LITHOPS_PUBLIC int lithops_return(lithops_call *call, const char *format, ...);
LITHOPS_PUBLIC int lithops_return_int(lithops_call *call, int64_t i);
LITHOPS_PUBLIC int lithops_return_double(lithops_call *call, double d);
/** Consumes the value. */
LITHOPS_PUBLIC int lithops_return_value(lithops_call *call, lithops_value *value);
/** `len` bytes, written in place where `ptr` came from lithops_call_alloc(), else copied. */
LITHOPS_PUBLIC int lithops_return_bytes(lithops_call *call, const void *ptr, size_t len);
/** Room for a result in shared memory, 16-byte aligned (64 above 16 KiB), not zeroed. One at a
 * time: a second call gives the first back. Where shared memory is used up, it waits until results
 * are given back. NULL, and the call's error is set, when none are for 60 s, or 5 s where nobody
 * can be expected to, or when shared memory is smaller than `len`. */
LITHOPS_PUBLIC void *lithops_call_alloc(lithops_call *call, size_t len);
/** Return what a future will hold (a future of an executor that this function opened). Waits for
 * it; the future stays the caller's. */
struct lithops_future;
LITHOPS_PUBLIC int lithops_return_future(lithops_call *call, struct lithops_future *future);
/** Fail this call with a message. @return LITHOPS_ECALL, for `return lithops_fail(...)` */
LITHOPS_PUBLIC int lithops_fail(lithops_call *call, const char *format, ...) LITHOPS_PRINTF(2, 3);
/** Fail this call with an error that another function gave; NULL: one that says that there is none.
 * @return its code, or LITHOPS_ECALL */
LITHOPS_PUBLIC int lithops_fail_error(lithops_call *call, const lithops_error *err);
/** @} */

/** @name In a reducer: results of the map calls, in call order, as they land */
/** @{ */
/** The next one, by format. @return 1; 0 after the last one; a negative code when a map call
 * failed (the reducer fails with its error) or has another type */
LITHOPS_PUBLIC int lithops_call_next_result(lithops_call *call, const char *format, ...);
/** The next one as bytes, no copy. */
LITHOPS_PUBLIC int lithops_call_next_bytes(lithops_call *call, lithops_bytes *ret_bytes);
/** The next one as a value; borrowed until the next one. */
LITHOPS_PUBLIC int lithops_call_next_value(lithops_call *call, const lithops_value **ret_value);
LITHOPS_PUBLIC int64_t lithops_call_result_count(lithops_call *call);
/** This call is a reducer: it gets the results of map calls instead of an input. */
LITHOPS_PUBLIC bool lithops_call_is_reducer(lithops_call *call);
/** @} */

/** @name About the call */
/** @{ */
/** `id`: 0 .. N-1 within the job. */
LITHOPS_PUBLIC int64_t lithops_call_id(lithops_call *call);
/** "<executor_id>-<job_id>". Borrowed. */
LITHOPS_PUBLIC const char *lithops_call_job_key(lithops_call *call);
/** `storage`: opened on first use, shared by the calls of this worker process. NULL, and the
 * call's error is set, when it cannot be opened. */
LITHOPS_PUBLIC lithops_storage *lithops_call_storage(lithops_call *call);
/** `rabbitmq`: the amqp URL of the configuration; NULL when there is none. */
LITHOPS_PUBLIC const char *lithops_call_rabbitmq(lithops_call *call);
/** Where a file named by include_modules is on this machine, by its base name; NULL if it was not
 * included. */
LITHOPS_PUBLIC const char *lithops_call_file(lithops_call *call, const char *name);
/** The job was cancelled: a long function may stop early. */
LITHOPS_PUBLIC bool lithops_call_is_canceled(lithops_call *call);
/** @} */

#ifdef __cplusplus
}
#endif
#endif
