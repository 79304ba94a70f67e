/* SPDX-License-Identifier: Apache-2.0 */
/* Detached jobs: they run under a supervisor, not under the program that starts them, and go on
 * when that ends, however it does.
 *
 * Jobs of an executor opened with `detached` are such jobs. Their futures are like all others; what
 * lithops_job_handle() says of them is a map of a few words that any process of the same user on
 * the same machine can attach to, also while the job runs and as often as it likes:
 *
 *     options.detached = true;
 *     fs = lithops_map(fexec, square, inputs, NULL, &err);
 *     handle = lithops_job_handle(fs, &err);              // keep it, as JSON
 *     ...
 *     other = lithops_attach(handle, NULL, &fs, &err);    // in another process
 *     lithops_get_result_value(other, fs, NULL, &results, &err);
 *
 * Results stay until lithops_job_release(), or until supervisors that end, or `lithops clean`, find
 * that the job ended longer ago than lithops.detached_expiry.
 * A handle holds no secret: the files that it names are the user's alone. All of this is
 * thread-safe. Errors, besides those named: LITHOPS_EPARSE (this is no handle, or of a version that
 * this library does not read), LITHOPS_ENOTFOUND (released, expired, or of another machine),
 * LITHOPS_EDENIED (another user's). See docs/detached-jobs.md. */
#ifndef LITHOPS_DETACHED_H
#define LITHOPS_DETACHED_H

#include <lithops/error.h>
#include <lithops/executor.h>
#include <lithops/future.h>
#include <lithops/value.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The handle of the jobs that these futures are of, for lithops_attach() in any process.
 * @return owned by the caller; NULL with LITHOPS_EUSAGE: they are not detached */
LITHOPS_PUBLIC lithops_value *lithops_job_handle(const lithops_futures *futures,
                                                 lithops_error *err);

/** Attach to jobs: make futures of them.
 * @param handle       as lithops_job_handle() gave it, also by way of JSON; borrowed
 * @param options      of an executor, for the memory that results may take here; NULL: defaults
 * @param ret_futures  the futures that the handle is of, owned by the caller
 * @return an executor that starts no jobs, for waiting and plots; closing it leaves the jobs alone
 */
LITHOPS_PUBLIC lithops_executor *lithops_attach(const lithops_value *handle,
                                                const lithops_executor_options *options,
                                                lithops_futures **ret_futures, lithops_error *err);

/** How far a job is. */
typedef struct lithops_job_state {
    size_t size;
    uint64_t calls, success, failed, canceled; /* the latter three are done */
    bool is_done;
    bool is_supervised;    /* there is a supervisor at this moment */
    int trouble;           /* an errno: outcomes cannot be written at the moment (a full disk) */
    double created, ended; /* seconds since 1970; 0: it has not ended */
    char function[128];
} lithops_job_state;
#define LITHOPS_JOB_STATE_INIT                                                                     \
    {                                                                                              \
        sizeof(lithops_job_state), 0, 0, 0, 0, false, false, 0, 0, 0, ""                           \
    }

/** Read it without attaching: takes as long for a million calls as for one.
 * @param ret_state  initialised with LITHOPS_JOB_STATE_INIT */
LITHOPS_PUBLIC int lithops_job_state_read(const lithops_value *handle, lithops_job_state *ret_state,
                                          lithops_error *err);
/** Wait until all its calls are done. Where its supervisor was killed, another one is started.
 * @param timeout_ms  LITHOPS_FOREVER: without limit
 * @return 0; LITHOPS_ETIMEDOUT; LITHOPS_EBACKEND: no supervisor stays */
LITHOPS_PUBLIC int lithops_job_wait(const lithops_value *handle, int64_t timeout_ms,
                                    lithops_error *err);
/** End all calls of its jobs that are not done; they are cancelled. Does not wait for that. */
LITHOPS_PUBLIC int lithops_job_cancel(const lithops_value *handle, lithops_error *err);
/** Nobody wants its jobs any more: what is not done is cancelled, results and errors go. Whoever is
 * attached keeps what was read. */
LITHOPS_PUBLIC int lithops_job_release(const lithops_value *handle, lithops_error *err);
/** All detached jobs of this user on this machine: a list of maps with `key` ("a1b2c3-0-M000"),
 * `function`, `calls`, `success`, `failed`, `canceled`, `created`, `ended` (absent while it runs),
 * `supervised`, `handle`. @return owned by the caller */
LITHOPS_PUBLIC lithops_value *lithops_job_list(lithops_error *err);

#ifdef __cplusplus
}
#endif
#endif
