/* SPDX-License-Identifier: Apache-2.0 */
/* Executors: where functions run, and the calls that start jobs.
 *
 * An executor is thread-safe: any thread may start jobs and wait. After fork() it belongs to the
 * parent; in the child every call on it gives LITHOPS_EFORKED.
 *
 * Options: `lithops_map_options o = LITHOPS_MAP_OPTIONS_INIT;`, then set what you want; NULL in
 * place of options means all defaults. Whatever an option points to is borrowed for the call.
 * `size` says how much of the struct the program knows: members after it have their defaults, so a
 * program runs with a later library, and with an earlier one that ignores what it does not know. */
#ifndef LITHOPS_EXECUTOR_H
#define LITHOPS_EXECUTOR_H

#include <lithops/function.h>
#include <lithops/future.h>
#include <lithops/value.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lithops_executor lithops_executor;

typedef struct lithops_executor_options {
    size_t size;
    const char *mode;                  /* "localhost" | "serverless" | "standalone" */
    const char *backend;               /* a compute backend; wins over mode */
    const char *storage;               /* a storage backend */
    const char *monitoring;            /* "direct" | "storage" | "rabbitmq" */
    const char *config_file;           /* read this file and no other */
    const lithops_value *config;       /* the configuration itself, as a map; no file is read */
    const char *log_level;             /* "debug" "info" "warning" "error" "none" */
    const lithops_value *settings;     /* a map: any keys of the backend's section, as
                                          lithops_pack("{s:i}", "worker_processes", 4) */
    const char *const *worker_command; /* NULL-terminated: a program, found as the shell does, and
                                          arguments that become a worker process, in place of this
                                          program started again; see <lithops/plugin/runtime.h> */
    bool foreign_settings;             /* keys of `settings` that are nobody's, and like none that
                                          is known, are no errors: lithops_executor_findings() */
    /* In place of worker_command, where it depends on the configuration: called once, while the
     * executor opens and on the same thread. `runtime` is that of the backend's section, NULL if it
     * names none. What it returns is read until the executor is open; NULL: why not is in err. */
    const char *const *(*make_worker_command)(void *user, const char *runtime, lithops_error *err);
    void *user; /* of make_worker_command */
    bool
        detached; /* jobs outlive the client: <lithops/detached.h>. As lithops.detached says, too */
} lithops_executor_options;
#define LITHOPS_EXECUTOR_OPTIONS_INIT                                                              \
    {                                                                                              \
        sizeof(lithops_executor_options), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,    \
            false, NULL, NULL, false                                                               \
    }

/** Open an executor. The first worker process starts at once, in the background; others when
 * there is work for them.
 * @return for lithops_executor_close(); NULL with LITHOPS_ECONFIG, LITHOPS_EUNSUPPORTED (names
 *         what there is), LITHOPS_EUSAGE (lithops_init() was not called), LITHOPS_ENOSPACE */
LITHOPS_PUBLIC lithops_executor *lithops_executor_open(const lithops_executor_options *options,
                                                       lithops_error *err);
/** @name The same with the mode given: upstream's LocalhostExecutor, ServerlessExecutor,
 * StandaloneExecutor. */
/** @{ */
LITHOPS_PUBLIC lithops_executor *
lithops_localhost_executor_open(const lithops_executor_options *options, lithops_error *err);
LITHOPS_PUBLIC lithops_executor *
lithops_serverless_executor_open(const lithops_executor_options *options, lithops_error *err);
LITHOPS_PUBLIC lithops_executor *
lithops_standalone_executor_open(const lithops_executor_options *options, lithops_error *err);
/** @} */

/** Cancel what still runs, end the worker processes, free the executor. Futures that the caller
 * still holds stay readable. NULL is fine. Do not call it from a callback. */
LITHOPS_PUBLIC void lithops_executor_close(lithops_executor *fexec);

/** Six hex digits and a counter, as in "a1b2c3-0". Borrowed. */
LITHOPS_PUBLIC const char *lithops_executor_id(const lithops_executor *fexec);
/** The checked configuration in force, secrets masked; owned by the caller. */
LITHOPS_PUBLIC lithops_value *lithops_executor_config(const lithops_executor *fexec);
/** The names in its configuration that nothing knows and that were passed over: a list of maps with
 * `name` (as it can be shown), `section` (missing where it is the section that is unknown), `place`
 * ("FILE:LINE", "options", "settings") and `message`. Empty where all are known.
 * @return owned by the caller; NULL without an executor or memory */
LITHOPS_PUBLIC lithops_value *lithops_executor_findings(const lithops_executor *fexec);

/* ---- starting jobs --------------------------------------------------------------------------- */

typedef struct lithops_call_options {
    size_t size;
    const lithops_value *extra_env;     /* map of strings: environment of the calls of this job */
    int64_t runtime_memory_mb;          /* limit of the worker process; default: configuration */
    int64_t timeout_ms;                 /* limit of each call; default: configuration */
    const char *const *include_modules; /* NULL-terminated; see docs/function-image.md */
    const char *const *exclude_modules;
} lithops_call_options;
#define LITHOPS_CALL_OPTIONS_INIT                                                                  \
    {                                                                                              \
        sizeof(lithops_call_options), NULL, LITHOPS_DEFAULT, LITHOPS_DEFAULT, NULL, NULL           \
    }

/** Start one call.
 * @param input  consumed, also on failure. A list is bound by position, a map by name; NULL is an
 *               error (lithops_value_null() is not)
 * @return the future, for lithops_future_unref(); NULL on failure */
LITHOPS_PUBLIC lithops_future *
lithops_call_async(lithops_executor *fexec, const lithops_function *func, lithops_value *input,
                   const lithops_call_options *options, lithops_error *err);

typedef struct lithops_map_options {
    size_t size;
    int64_t chunksize;               /* calls per activation; default: adapts */
    const lithops_value *extra_args; /* list or map, added to every input */
    const lithops_value *extra_env;
    int64_t runtime_memory_mb;
    int64_t obj_chunk_size;   /* bytes; inputs are objects, split into chunks of about this size */
    int64_t obj_chunk_number; /* chunks per object; wins over obj_chunk_size */
    const char *obj_newline;  /* separator, "\n"; NULL: chunks are plain byte ranges */
    int64_t timeout_ms;
    const char *const *include_modules;
    const char *const *exclude_modules;
    int64_t call_retries; /* a failed call is run again so often; default: configuration */
} lithops_map_options;
#define LITHOPS_MAP_OPTIONS_INIT                                                                   \
    {                                                                                              \
        sizeof(lithops_map_options), LITHOPS_DEFAULT, NULL, NULL, LITHOPS_DEFAULT,                 \
            LITHOPS_DEFAULT, LITHOPS_DEFAULT, "\n", LITHOPS_DEFAULT, NULL, NULL, LITHOPS_DEFAULT   \
    }

/** Start one call per item.
 *
 * @param iterdata  a list, consumed also on failure. When obj_chunk_size or obj_chunk_number is
 *                  set, or it was made by lithops_objects(), its items name objects: a path, a
 *                  folder, an http(s) URL, "bucket/key", "bucket/prefix/", "backend://bucket/key"
 *                  or a cloudobject; each is split and each chunk is one call. A
 *                  list that begins with a name gives the rest of it to each of these calls
 * @return the futures in input order (an empty list for an empty list), for
 *         lithops_futures_unref(); NULL on failure */
LITHOPS_PUBLIC lithops_futures *lithops_map(lithops_executor *fexec, const lithops_function *func,
                                            lithops_value *iterdata,
                                            const lithops_map_options *options, lithops_error *err);

/** Start one call per future: each runs when its future is done, with that result as input. A
 * call whose input failed fails with the same error. The futures may be of other executors; they
 * are borrowed. */
LITHOPS_PUBLIC lithops_futures *
lithops_map_futures(lithops_executor *fexec, const lithops_function *func, lithops_futures *inputs,
                    const lithops_map_options *options, lithops_error *err);

/** Say that the strings (and cloudobjects) of a list name objects, one chunk each unless the
 * options split them. Consumes and returns `list`. */
LITHOPS_PUBLIC lithops_value *lithops_objects(lithops_value *list);

typedef struct lithops_map_reduce_options {
    size_t size;
    int64_t chunksize;
    const lithops_value *extra_args;
    const lithops_value *extra_args_reduce;
    const lithops_value *extra_env;
    int64_t map_runtime_memory_mb;
    int64_t reduce_runtime_memory_mb;
    int64_t timeout_ms;
    int64_t obj_chunk_size;
    int64_t obj_chunk_number;
    const char *obj_newline;
    bool obj_reduce_by_key; /* one reducer per object */
    int64_t spawn_reducer;  /* percentage of map calls done before the reducer may start, 0-100 */
    const char *const *include_modules;
    const char *const *exclude_modules;
} lithops_map_reduce_options;
#define LITHOPS_MAP_REDUCE_OPTIONS_INIT                                                            \
    {                                                                                              \
        sizeof(lithops_map_reduce_options), LITHOPS_DEFAULT, NULL, NULL, NULL, LITHOPS_DEFAULT,    \
            LITHOPS_DEFAULT, LITHOPS_DEFAULT, LITHOPS_DEFAULT, LITHOPS_DEFAULT, "\n", false, 20,   \
            NULL, NULL                                                                             \
    }

/** Those of them that are for the map. */
static inline lithops_map_options lithops_map_options_of(const lithops_map_reduce_options *options)
{
    lithops_map_options map = LITHOPS_MAP_OPTIONS_INIT;
    map.chunksize = options->chunksize;
    map.extra_args = options->extra_args;
    map.extra_env = options->extra_env;
    map.runtime_memory_mb = options->map_runtime_memory_mb;
    map.obj_chunk_size = options->obj_chunk_size;
    map.obj_chunk_number = options->obj_chunk_number;
    map.obj_newline = options->obj_newline;
    map.timeout_ms = options->timeout_ms;
    map.include_modules = options->include_modules;
    map.exclude_modules = options->exclude_modules;
    return map;
}

/** Start a map and a reduce over its results (see lithops_call_next_result()). A reducer waits
 * only for calls that already run: it never keeps a worker process from a map call.
 * @param ret_futures  may be NULL; the map futures and then the reduce future(s), owned by the
 *                     caller; lithops_get_result() on them gives the reduce results alone */
LITHOPS_PUBLIC int lithops_map_reduce(lithops_executor *fexec, const lithops_function *map_func,
                                      lithops_value *iterdata, const lithops_function *reduce_func,
                                      const lithops_map_reduce_options *options,
                                      lithops_futures **ret_futures, lithops_error *err);

/* ---- waiting --------------------------------------------------------------------------------- */

#define LITHOPS_ALWAYS (-1) /* return_when: look once, do not wait */
#define LITHOPS_ANY 0       /* return_when: one more is done */
#define LITHOPS_ALL 100     /* return_when: all are done; 1 .. 100 is a percentage */

typedef struct lithops_wait_options {
    size_t size;
    bool throw_except;     /* stop at the first failed call and return its error */
    int return_when;       /* LITHOPS_ANY, LITHOPS_ALL, LITHOPS_ALWAYS or a percentage */
    bool download_results; /* wait for the results too; on localhost they come with the status */
    int64_t timeout_ms;    /* LITHOPS_DEFAULT: no limit; must be positive */
    int threadpool_size;   /* threads that fetch results from remote storage; 64 */
    int64_t wait_dur_ms;   /* time between two looks at a remote monitor; default: configuration */
    bool show_progressbar; /* on standard error, when it is a terminal */
    /* Asked when a signal has arrived on this thread, and some times a second: true ends the wait
     * with LITHOPS_ECANCELED; the calls go on. For languages whose signal handlers only take note.
     */
    bool (*interrupted)(void *user);
    void *user;
} lithops_wait_options;
#define LITHOPS_WAIT_OPTIONS_INIT                                                                  \
    {                                                                                              \
        sizeof(lithops_wait_options), true, LITHOPS_ALL, false, LITHOPS_DEFAULT, 64,               \
            LITHOPS_DEFAULT, false, NULL, NULL                                                     \
    }

/** Wait for futures, of one executor or of several.
 * @param fexec         NULL when `fs` is given
 * @param fs            borrowed; NULL: all calls of `fexec`, also those whose futures were dropped
 * @param ret_done, ret_not_done  may be NULL; views of `fs`, owned by the caller
 * @return 0; LITHOPS_ETIMEDOUT; with throw_except the code of a failed call */
LITHOPS_PUBLIC int lithops_wait(lithops_executor *fexec, lithops_futures *fs,
                                const lithops_wait_options *options, lithops_futures **ret_done,
                                lithops_futures **ret_not_done, lithops_error *err);

/** Wait for results and take them apart by `format` (as lithops_unpack): of one call its value, of
 * a map or of several calls the list of their values, of a map_reduce the value of the reducer (a
 * list with obj_reduce_by_key).
 * With fs NULL: of all futures of `fexec` that somebody holds, those whose results were not read
 * yet, and reducers whose futures nobody was given. Pointers stored by `s`, `y` and `o` are
 * borrowed from the futures, until the last unref of them; of such reducers until clean or close.
 * throw_except false: a failed call's result is null.
 * @return 0; LITHOPS_ETIMEDOUT; the code of a failed call; LITHOPS_ETYPE */
LITHOPS_PUBLIC int lithops_get_result(lithops_executor *fexec, lithops_futures *fs,
                                      const lithops_wait_options *options, lithops_error *err,
                                      const char *format, ...);
/** The same as one value, owned by the caller. */
LITHOPS_PUBLIC int lithops_get_result_value(lithops_executor *fexec, lithops_futures *fs,
                                            const lithops_wait_options *options,
                                            lithops_value **ret_value, lithops_error *err);

/* ---- afterwards ------------------------------------------------------------------------------ */

typedef struct lithops_plot_options {
    size_t size;
    double width_in, height_in; /* figsize, inches at 100 dots each */
} lithops_plot_options;
#define LITHOPS_PLOT_OPTIONS_INIT                                                                  \
    {                                                                                              \
        sizeof(lithops_plot_options), 10, 6                                                        \
    }

/** Draw `<dst>_timeline.png` and `<dst>_histogram.png`.
 * @param fs   NULL: all futures of `fexec`; only calls that are done are drawn
 * @param dst  path prefix; a folder gets a name by date; NULL: plots/ in the working directory */
LITHOPS_PUBLIC int lithops_plot(lithops_executor *fexec, lithops_futures *fs, const char *dst,
                                const lithops_plot_options *options, lithops_error *err);

/** The statistics table that upstream writes: Job_ID, Function, Invocations, Memory(MB),
 * AvgRuntime, Cost, CloudObjects, and a Summary row. Costs are reckoned by the price list of the
 * backend, see docs/costs.md; what workers cost besides the calls, and requests to a storage, are
 * rows before the last where they have a price.
 * @param cloud_objects_n  the number to state for the executor's cloudobjects
 * @param path             where to write the CSV; NULL: not written
 * @param ret_csv          may be NULL; the text, freed with free() */
LITHOPS_PUBLIC int lithops_job_summary(lithops_executor *fexec, int64_t cloud_objects_n,
                                       const char *path, char **ret_csv, lithops_error *err);

typedef struct lithops_clean_options {
    size_t size;
    const lithops_value *cs; /* list of cloudobjects to delete; NULL: none named */
    bool clean_cloudobjects; /* delete those that the calls stored */
    bool clean_fn;           /* forget function images too */
    bool force;              /* also of jobs that still run: they are cancelled */
    bool on_exit;            /* only mark: do it when the executor closes */
} lithops_clean_options;
#define LITHOPS_CLEAN_OPTIONS_INIT                                                                 \
    {                                                                                              \
        sizeof(lithops_clean_options), NULL, true, false, false, false                             \
    }

/** Drop jobs: their statistics, what they stored, and give unused memory back to the system.
 * @param fs  NULL: all finished jobs of `fexec`; futures still held stay readable */
LITHOPS_PUBLIC int lithops_clean(lithops_executor *fexec, lithops_futures *fs,
                                 const lithops_clean_options *options, lithops_error *err);

#ifdef __cplusplus
}
#endif
#endif
