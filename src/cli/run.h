/* SPDX-License-Identifier: Apache-2.0 */
/* Running calls for a command: open the executor, keep jobs in flight, write results as they come.
 *
 *     cli_run_open()  ->  cli_run_add() ...  ->  cli_run_finish()
 *
 * One thread, woken through an eventfd when a call ends or a signal arrives. */
#ifndef LITHOPS_CLI_RUN_H
#define LITHOPS_CLI_RUN_H

#include "cli/input.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/progress.h"

#include <lithops/lithops.h>
#include <pthread.h>

struct cli_batch; /* the calls of one job, see run.c */

struct cli_run {
    const struct cli_options *options;
    lithops_executor *fexec;
    struct cli_output out;
    struct cli_progress progress;
    int wake_fd;
    uint64_t deadline_ns; /* UINT64_MAX: none */

    struct cli_batch *first, *last; /* in order of their jobs */
    int64_t calls, written;         /* added so far, and written */
    int64_t failed, timed_out;
    uint64_t input_bytes, output_bytes; /* so far, to bound what is in flight */
    bool more_to_come;                  /* the number of calls is not known yet */
    bool forget;                        /* clean each job once it is written: for endless input */

    /* Called instead of writing the outcome of a call, which is the `call`th of all; and when the
     * output was flushed. May be NULL. Set after cli_run_open(). */
    int (*outcome)(void *user, const lithops_futures *futures, size_t index, int64_t call,
                   lithops_error *err);
    int (*flushed)(void *user, lithops_error *err);
    void *user;

    pthread_mutex_t lock; /* guards what callbacks touch: */
    struct cli_done *done_first, *done_last;
};

/* Open the executor by the options, and the output. Signals are caught from here on. Call
 * cli_run_finish() afterwards, also on failure. */
int cli_run_open(struct cli_run *run, const struct cli *cli, bool python, lithops_error *err);

/* The same without an executor, which the caller sets. */
int cli_run_prepare(struct cli_run *run, const struct cli *cli, lithops_error *err);

/* Take over the calls of a job; cli_run_wait() writes their results. The first `silent` ones are
 * waited for but not written, such as those of a map before its reducer. */
int cli_run_add(struct cli_run *run, lithops_futures *futures, size_t silent, uint64_t input_bytes,
                lithops_error *err);

/* How many more calls may be started now. */
size_t cli_run_room(const struct cli_run *run);

/* Write what is done, then wait until something happens: calls ended, `fd` (or -1) is readable, or
 * it is time to draw. *ret_readable is about fd. *ret_over: everything that was added is written.
 * LITHOPS_ECALL: a call failed (already reported) and --keep-going is not set; LITHOPS_ETIMEDOUT:
 * the deadline passed; LITHOPS_ECANCELED: a signal came; LITHOPS_ECLOSED: no one reads. */
int cli_run_wait(struct cli_run *run, int fd, bool *ret_readable, bool *ret_over,
                 lithops_error *err);

/* Cancel all calls that have not begun. */
void cli_run_cancel_pending(struct cli_run *run);

/* Wait for everything that was added, and write it. */
int cli_run_all(struct cli_run *run, lithops_error *err);

/* Draw, summarise, cancel what still runs, close. `rc` and `err` are the command's outcome.
 * @return the exit status */
int cli_run_finish(struct cli_run *run, int rc, lithops_error *err);

#endif
