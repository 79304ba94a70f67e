/* SPDX-License-Identifier: Apache-2.0 */
/* For authors of runtimes: worker processes that run functions of another language.
 *
 * A runtime is a program (an interpreter) that becomes a worker process by calling
 * lithops_worker_main(), and one native function, registered there, that every call goes through.
 * What to call is *code*, bytes that only the runtime can read; so are payloads of content
 * LITHOPS_CONTENT_PICKLE and the data of an error. The engine carries them and looks at none.
 *
 *     client                                        worker process
 *     lithops_executor_options.worker_command  -->  lithops_worker_main()
 *     lithops_code_function("python", name, code)   registered function "python":
 *     lithops_map(fexec, func,                          lithops_call_code(), lithops_call_payload()
 *                 lithops_payloads(inputs, n))          ... run it ...
 *     lithops_futures_payload()                <--      lithops_return_payload()
 *     lithops_futures_error_data()             <--      or lithops_fail_data()
 *
 * The Python package of this project is such a runtime, and uses nothing but this header and the
 * ones for users. */
#ifndef LITHOPS_PLUGIN_RUNTIME_H
#define LITHOPS_PLUGIN_RUNTIME_H

#include <lithops/call.h>
#include <lithops/executor.h>
#include <lithops/function.h>
#include <lithops/future.h>
#include <lithops/value.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- payloads -------------------------------------------------------------------------------- */

/** How the bytes of an input or a result are to be read. Up to DOUBLE they are in the payload. */
typedef enum lithops_content {
    LITHOPS_CONTENT_NULL,
    LITHOPS_CONTENT_BOOL,
    LITHOPS_CONTENT_INT,
    LITHOPS_CONTENT_DOUBLE,
    LITHOPS_CONTENT_STRING, /* UTF-8 */
    LITHOPS_CONTENT_BYTES,
    LITHOPS_CONTENT_PACKED, /* a list or map in MessagePack: lithops_value_from_packed() */
    LITHOPS_CONTENT_PICKLE, /* of the runtime: opaque to the engine and to the C face */
    /* A PICKLE in pieces, only as an input for lithops_map() and lithops_call_async(): `bytes` are
     * an array of lithops_bytes (`len` of them), which are put together in shared memory. */
    LITHOPS_CONTENT_PIECES = 64,
} lithops_content;

typedef struct lithops_payload {
    lithops_content content;
    LITHOPS_EXTENSION union {
        bool b;
        int64_t i;
        double d;
        lithops_bytes bytes; /* STRING, BYTES, PACKED, PICKLE, PIECES */
    };
} lithops_payload;

/** A list for lithops_map() out of payloads. BORROWS the array and the bytes, which must live until
 * the call that consumes the list returns. */
LITHOPS_PUBLIC lithops_value *lithops_payloads(const lithops_payload *payloads, size_t count);
/** One payload, for lithops_call_async() and for lists of lists; bytes are borrowed likewise. A
 * PICKLE is a value of type LITHOPS_BYTES to those who ask. */
LITHOPS_PUBLIC lithops_value *lithops_payload_value(const lithops_payload *payload);
/** The value in a payload of content PACKED, owned by the caller. */
LITHOPS_PUBLIC lithops_value *lithops_value_from_packed(lithops_bytes packed, lithops_error *err);
/** Write a value as MessagePack; `ret_bytes` is freed with free(). */
LITHOPS_PUBLIC int lithops_value_to_packed(const lithops_value *value, void **ret_bytes,
                                           size_t *ret_len, lithops_error *err);

/* ---- storage --------------------------------------------------------------------------------- */

/** As lithops_storage_open(), with the configuration itself, a map as in lithops_executor_options;
 * no file is read. */
LITHOPS_PUBLIC lithops_storage *
lithops_storage_open_config(const char *backend, const lithops_value *config, lithops_error *err);

/** What a configuration file has, as it is: nothing is checked, no default added.
 * @return a value to free, null for an empty file; NULL with LITHOPS_ECONFIG (names the line),
 *         LITHOPS_ENOTFOUND and others of the file system */
LITHOPS_PUBLIC lithops_value *lithops_config_read(const char *path, lithops_error *err);

/** The same of the configuration that an executor would find: `config_file`, or, where that is
 * NULL, the first one of the usual places. Null where there is none. */
LITHOPS_PUBLIC lithops_value *lithops_config_find(const char *config_file, lithops_error *err);
/** The configuration of an executor with these options (NULL: none), checked and with all defaults.
 * @param secrets  false: to be shown, as lithops_executor_config(). True: to be handed on as
 *                 options->config: secrets are not masked, and sections of backends that are not
 *                 built in are there as they were given
 * @return owned by the caller; NULL with the errors of lithops_executor_open() */
LITHOPS_PUBLIC lithops_value *lithops_config_resolve(const lithops_executor_options *options,
                                                     bool secrets, lithops_error *err);
/** The same of an open executor, to be handed on. */
LITHOPS_PUBLIC lithops_value *lithops_executor_config_full(const lithops_executor *fexec);
/** Bytes of results that calls have written so far; each worker adds what it has in steps. */
LITHOPS_PUBLIC uint64_t lithops_executor_results_written(const lithops_executor *fexec);
/** Does a call of the executors of these futures wait for memory, until results are released?
 * Cheap, and from any thread. */
LITHOPS_PUBLIC bool lithops_futures_lack_memory(const lithops_futures *futures);

/* ---- the client's side ----------------------------------------------------------------------- */

/** A function that is code of a runtime. The bytes are copied; each executor that it is used with
 * stores them once in shared memory, for as long as jobs of it are kept.
 * @param runtime  name of the native function that the worker process has registered
 * @param name     for people: statistics, messages, logs
 * @return for lithops_function_free() (jobs that use it go on); NULL with LITHOPS_ENOMEM */
LITHOPS_PUBLIC lithops_function *lithops_code_function(const char *runtime, const char *name,
                                                       lithops_bytes code, lithops_error *err);

/** The result of a call that is done, as it is; bytes are borrowed from the sequence's memory,
 * until the call is released or cleaned and the last reference to its future and sequence is gone.
 * Does not wait and does not copy.
 * @return 0; LITHOPS_ETIMEDOUT while it runs; the code of the call's error, which fills err;
 *         LITHOPS_ECLOSED when the result was released; LITHOPS_ENOTFOUND past the end */
LITHOPS_PUBLIC int lithops_futures_payload(const lithops_futures *futures, size_t index,
                                           lithops_payload *ret_payload, lithops_error *err);
/** What the runtime said of a failed call besides the error: lithops_fail_data(). Borrowed;
 * {NULL, 0} when there is none. */
LITHOPS_PUBLIC lithops_bytes lithops_futures_error_data(const lithops_futures *futures,
                                                        size_t index);
/** What became of a call's outcome. The engine sets READ itself where it hands a result over, and
 * lithops_get_result() without futures leaves such calls out; the others are a runtime's notes. */
typedef enum lithops_mark {
    LITHOPS_MARK_READ = 1,      /* the caller has taken it */
    LITHOPS_MARK_COLLECTED = 2, /* the runtime's own get_result() without futures has given it */
    LITHOPS_MARK_GIVEN_UP = 4,  /* nobody waits for it: its failure was reported, or need not be */
    LITHOPS_MARK_CONSUMED = 8,  /* it is the input of another job */
} lithops_mark;

/** Set these marks (enum lithops_mark, or-ed) of calls [begin, end), or, without `on`, take them
 * away. Cannot fail; thread-safe; calls past the end are ignored. */
LITHOPS_PUBLIC void lithops_futures_mark(const lithops_futures *futures, size_t begin, size_t end,
                                         unsigned marks, bool on);
/** The marks of one call; 0 past the end. Thread-safe. */
LITHOPS_PUBLIC unsigned lithops_futures_marks(const lithops_futures *futures, size_t index);

/** Note that the caller has learnt the outcomes (and, with `result`, taken the results) of calls
 * [begin, end): for host_status_done_tstamp and host_result_done_tstamp of the statistics, and,
 * with `result`, LITHOPS_MARK_READ. */
LITHOPS_PUBLIC void lithops_futures_seen(const lithops_futures *futures, size_t begin, size_t end,
                                         bool result);

/** A piece of a sequence: calls [begin, end). */
typedef struct lithops_futures_piece {
    const lithops_futures *futures;
    size_t begin, end;
} lithops_futures_piece;
/** One sequence out of pieces of others, for a wait over many jobs; neighbours are joined. NULL
 * when memory is out or a piece reaches past its sequence. */
LITHOPS_PUBLIC lithops_futures *lithops_futures_join(const lithops_futures_piece *pieces,
                                                     size_t count);

/** The place of the next call that is done: each one once, in the order in which they end, as
 * lithops_futures_as_completed() does it.
 * @param options  of these timeout_ms (0: look once) and interrupted; NULL waits without limit
 * @return 0; LITHOPS_ENOTFOUND after the last one; LITHOPS_ETIMEDOUT; LITHOPS_ECANCELED: it was
 *         interrupted */
LITHOPS_PUBLIC int lithops_futures_next(lithops_futures *futures,
                                        const lithops_wait_options *options, size_t *ret_index,
                                        lithops_error *err);

/** lithops_job_summary() of these futures; their executor may be closed by now. */
LITHOPS_PUBLIC int lithops_futures_summary(const lithops_futures *futures, int64_t cloud_objects_n,
                                           const char *path, char **ret_csv, lithops_error *err);

/* ---- the worker's side ----------------------------------------------------------------------- */

/** Be a worker process: run calls until the client is done with this process. Handlers of SIGSEGV
 * and its kin that are set before run after the engine's, and must end the process.
 * @param argument  the last argument that the program was started with
 * @return the status to exit with */
LITHOPS_PUBLIC int lithops_worker_main(const char *argument);

/** What a runtime needs on a machine that has none of this one's files: a map of
 *     program    name of the interpreter that is looked for there, as "python3.11"
 *     arguments  a list of what follows it; the engine appends one more
 *     files      a list of pairs [path here, name there]; names may have folders. Worker processes
 *                find them in the folder that LITHOPS_WORKER_FILES of their environment names
 *     own        a list of names of modules whose files are always sent. Those of others stay here
 *                where the record of the workers' runtime has a module of that name; may be missing
 * @return owned by the caller; NULL with an error */
typedef lithops_value *(*lithops_runtime_kit_fn)(lithops_error *err);
/** Say what makes that map. It is called while an executor opens that has a worker command and
 * whose workers are on other machines, on the thread that opens it, and takes the place of the
 * command. One per process; thread-safe. */
LITHOPS_PUBLIC void lithops_runtime_elsewhere(lithops_runtime_kit_fn make);

/** What gives memory back that the runtime keeps for later calls. Runs on the thread of
 * lithops_worker_main(), between calls, when there was none for a moment; what malloc() keeps is
 * given back after it. NULL: nothing. */
LITHOPS_PUBLIC void lithops_worker_on_quiet(void (*give_back)(void *user), void *user);

/** The code that the call's function was made of. Borrowed while the call runs. */
LITHOPS_PUBLIC lithops_bytes lithops_call_code(lithops_call *call);
/** A number for that code, never used again for another one in this worker process: what the
 * runtime has made of the code can be kept under it. 0: the function is not code. */
LITHOPS_PUBLIC uint64_t lithops_call_code_id(lithops_call *call);
/** The input as it is. Bytes are borrowed while the call runs. A list that names an object first
 * (see lithops_call_object()) is a PACKED. In a reducer: NULL. */
LITHOPS_PUBLIC int lithops_call_payload(lithops_call *call, lithops_payload *ret_payload);
/** In a reducer: as lithops_call_next_value(), without decoding. */
LITHOPS_PUBLIC int lithops_call_next_payload(lithops_call *call, lithops_payload *ret_payload);
/** Return a payload; its bytes are copied unless they came from lithops_call_alloc(). */
LITHOPS_PUBLIC int lithops_return_payload(lithops_call *call, const lithops_payload *payload);
/** Fail this call with an error, and data for the runtime on the other side (copied; may be empty;
 * omitted when shared memory is used up). @return the error's code */
LITHOPS_PUBLIC int lithops_fail_data(lithops_call *call, const lithops_error *err,
                                     lithops_bytes data);
/** Say that this call has written to standard output or error on its own, not through stdio. The
 * engine looks into stdio's buffer after each call; for anything else it looks at the clock, and
 * cannot tell which of several tiny calls has written. */
LITHOPS_PUBLIC void lithops_call_wrote(lithops_call *call);
/** The call's error as it stands, after a function of <lithops/call.h> has failed. Borrowed. */
LITHOPS_PUBLIC const lithops_error *lithops_call_error(const lithops_call *call);

#ifdef __cplusplus
}
#endif
#endif
