/* SPDX-License-Identifier: Apache-2.0 */
/* Futures: views of calls.
 *
 * A `lithops_future` is one call; a `lithops_futures` is a sequence of calls, of one job or of
 * many, and costs nothing per call. Both are counted references and thread-safe. An outcome is
 * set exactly once; the first one wins.
 *
 * Results live as long as somebody can name their calls: with the last unref of a call's futures
 * and sequences its result goes, or is not kept when it comes. (The calls of a map are named
 * together.) The executor remembers how long calls ran and what they wrote, not their results. */
#ifndef LITHOPS_FUTURE_H
#define LITHOPS_FUTURE_H

#include <lithops/error.h>
#include <lithops/value.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lithops_future lithops_future;
typedef struct lithops_futures lithops_futures;

typedef enum lithops_state {
    LITHOPS_PENDING,  /* waits for a worker process, or for its input */
    LITHOPS_RUNNING,  /* a worker process has it */
    LITHOPS_SUCCESS,  /* done: has a result */
    LITHOPS_FAILED,   /* done: has an error */
    LITHOPS_CANCELED, /* done: was cancelled */
} lithops_state;

LITHOPS_PUBLIC const char *lithops_state_name(lithops_state state); /* "Pending", ... */

LITHOPS_PUBLIC lithops_future *lithops_future_ref(lithops_future *future);
/** Drop a reference. The call goes on; with the last one nobody wants its result. @return NULL */
LITHOPS_PUBLIC lithops_future *lithops_future_unref(lithops_future *future);

/** Drop a reference and the memory of the result with it: for results that are used up as they
 * come, while the executor goes on keeping statistics. Who reads the same call's result later
 * gets LITHOPS_ECLOSED (null, bools and numbers take no memory, and stay); a call that is not done
 * is only unreferenced. Pointers into the result end here. A call of another job that is to read
 * the result (lithops_map_futures()) still does. @return NULL */
LITHOPS_PUBLIC lithops_future *lithops_future_release(lithops_future *future);

LITHOPS_PUBLIC lithops_state lithops_future_state(const lithops_future *future);
LITHOPS_PUBLIC bool lithops_future_is_done(const lithops_future *future);
/** "<executor_id>-<job_id>-<call_id>", as in "a1b2c3-0-A000-00000".
 * @param buf  filled; 64 bytes always suffice. @return buf */
LITHOPS_PUBLIC const char *lithops_future_key(const lithops_future *future, char *buf, size_t len);

/** The call is one of the reducers of lithops_map_reduce(), whose futures stand after the map's. */
LITHOPS_PUBLIC bool lithops_future_is_reducer(const lithops_future *future);

/** Wait until the call is done or the time has passed.
 * @param timeout_ms  0 looks once, LITHOPS_FOREVER waits without limit
 * @return 0; LITHOPS_ETIMEDOUT (the call goes on) */
LITHOPS_PUBLIC int lithops_future_wait(lithops_future *future, int64_t timeout_ms,
                                       lithops_error *err);

/** Wait for the result and take it apart by `format`, as in lithops_unpack(). Stored pointers are
 * borrowed from the future, valid until its last unref.
 * @return 0; LITHOPS_ETIMEDOUT; the code of the call's error, which fills err */
LITHOPS_PUBLIC int lithops_future_result(lithops_future *future, int64_t timeout_ms,
                                         lithops_error *err, const char *format, ...);
/** The result as a value. Borrowed from the future. */
LITHOPS_PUBLIC int lithops_future_value(lithops_future *future, int64_t timeout_ms,
                                        const lithops_value **ret_value, lithops_error *err);
/** The result's bytes (of bytes and strings), no copy. Borrowed from the future. */
LITHOPS_PUBLIC int lithops_future_bytes(lithops_future *future, int64_t timeout_ms,
                                        lithops_bytes *ret_bytes, lithops_error *err);

/** The error of a failed or cancelled call. @return its code, 0 if it succeeded or runs */
LITHOPS_PUBLIC int lithops_future_error(const lithops_future *future, lithops_error *ret_error);
/** The traceback, as in lithops_error: of a long one the end, after a line "...". Freed with
 * free(); NULL if there is none. */
LITHOPS_PUBLIC char *lithops_future_traceback(const lithops_future *future);
/** What the call wrote to standard output and error, U+FFFD in place of a NUL; freed with free().
 * NULL: nothing, or it is not
 * done, or its executor was closed: then `lithops logs` of the command shows it. */
LITHOPS_PUBLIC char *lithops_future_logs(const lithops_future *future);

/** Statistics with upstream's keys (see docs/statistics.md), a map owned by the caller. Times are
 * seconds since 1970 or seconds; sizes bytes. Keys that are not known yet are absent. */
LITHOPS_PUBLIC lithops_value *lithops_future_stats(const lithops_future *future);

/** Cancel: a pending call never runs; a running one is killed, unless it ends by itself first. Wait
 * for it; lithops_future_state() then says which.
 * @return true when it was not done yet; false when it was */
LITHOPS_PUBLIC bool lithops_future_cancel(lithops_future *future);

/** Call `done` once, on the executor's callback thread, when the call is done; at once (there) if
 * it is. Those of one call run in the order in which they were set. It may use the API freely,
 * except lithops_executor_close(). */
LITHOPS_PUBLIC int lithops_future_on_done(lithops_future *future,
                                          void (*done)(lithops_future *future, void *user),
                                          void *user, lithops_error *err);

/* ---- sequences ------------------------------------------------------------------------------- */

/** A sequence of the given futures, for wait() over several jobs. They are referenced. */
LITHOPS_PUBLIC lithops_futures *lithops_futures_new(lithops_future *const *futures, size_t count);
/** All calls of `a`, then all of `b`. */
LITHOPS_PUBLIC lithops_futures *lithops_futures_concat(const lithops_futures *a,
                                                       const lithops_futures *b);
LITHOPS_PUBLIC lithops_futures *lithops_futures_ref(lithops_futures *futures);
LITHOPS_PUBLIC lithops_futures *lithops_futures_unref(lithops_futures *futures); /* NULL */
/** Drop a reference, and the memory of all results of the sequence that are there: the same as
 * lithops_future_release() of each. @return NULL */
LITHOPS_PUBLIC lithops_futures *lithops_futures_release(lithops_futures *futures);
LITHOPS_PUBLIC size_t lithops_futures_size(const lithops_futures *futures);
/** The future at `index`, for lithops_future_unref(); NULL past the end. */
LITHOPS_PUBLIC lithops_future *lithops_futures_get(const lithops_futures *futures, size_t index);
/** How many are done. */
LITHOPS_PUBLIC size_t lithops_futures_done(const lithops_futures *futures);
/** Workers elsewhere that are there now and that calls of the sequence can run on.
 * @param ret_processes  may be NULL; how many calls they run at a time
 * @return how many; 0 where calls run on this machine */
LITHOPS_PUBLIC uint32_t lithops_futures_workers(const lithops_futures *futures,
                                                uint32_t *ret_processes);
/** Cancel all that are not done. @return how many that were; see lithops_future_cancel() */
LITHOPS_PUBLIC size_t lithops_futures_cancel(lithops_futures *futures);

/** @name Without a handle per call: the state and result of the call at `index`. Non-blocking;
 * LITHOPS_ETIMEDOUT while it runs. */
/** @{ */
LITHOPS_PUBLIC lithops_state lithops_futures_state(const lithops_futures *futures, size_t index);
LITHOPS_PUBLIC int lithops_futures_int(const lithops_futures *futures, size_t index,
                                       int64_t *ret_int, lithops_error *err);
LITHOPS_PUBLIC int lithops_futures_bytes(const lithops_futures *futures, size_t index,
                                         lithops_bytes *ret_bytes, lithops_error *err);
/** @} */

/** The next future that is done, each one once, in the order in which they end; the loop
 *     while ((f = lithops_futures_as_completed(fs, LITHOPS_FOREVER)) != NULL) {...}
 * visits all. For lithops_future_unref(). NULL after the last one, or when the time has passed. */
LITHOPS_PUBLIC lithops_future *lithops_futures_as_completed(lithops_futures *futures,
                                                            int64_t timeout_ms);

#ifdef __cplusplus
}
#endif
#endif
