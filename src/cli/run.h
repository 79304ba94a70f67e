/* SPDX-License-Identifier: Apache-2.0 */
/* Running calls for a command: an executor by the options, jobs in flight, results as they come.
 *
 *     cli_run_open()  ->  cli_run_add() ...  ->  cli_run_finish()
 *
 * One thread; what ends calls wakes it through an eventfd, and so do signals. */
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
    int64_t calls, written;         /* added so far, and done with */
    int64_t failed, timed_out;
    uint64_t input_bytes, output_bytes; /* so far, to bound what is in flight */
    bool more_to_come;                  /* the number of calls is not known yet */
    bool forget; /* clean each job when it is written: for input without an end */

    pthread_mutex_t lock; /* guards what callbacks touch: */
    struct cli_done *done_first, *done_last;
};

/* Open the executor that the options name, and the output. Signals are caught from here on.
 * `cli_run_finish` is owed in any case. */
int cli_run_open(struct cli_run *run, const struct cli *cli, bool python, lithops_error *err);

/* Take over the calls of a job; their results are written by cli_run_wait(). The first `silent`
 * ones are waited for, but not written: those of a map whose reducer follows. */
int cli_run_add(struct cli_run *run, lithops_futures *futures, size_t silent, uint64_t input_bytes,
                lithops_error *err);

/* How many more calls may be started now. */
size_t cli_run_room(const struct cli_run *run);

/* Write what is done, then wait until something happens: calls ended, `fd` (or -1) is readable, or
 * it is time to draw. *ret_readable tells of fd. *ret_over: everything that was added is written.
 * LITHOPS_ECALL: a call failed (told already) and --keep-going is not set; LITHOPS_ETIMEDOUT: the
 * deadline passed; LITHOPS_ECANCELED: a signal came; LITHOPS_ECLOSED: nobody reads. */
int cli_run_wait(struct cli_run *run, int fd, bool *ret_readable, bool *ret_over,
                 lithops_error *err);

/* Wait for and write all that was added. */
int cli_run_all(struct cli_run *run, lithops_error *err);

/* Draw, summarise, cancel what still runs, close. `rc` is what the command came to, with `err`.
 * @return the exit status */
int cli_run_finish(struct cli_run *run, int rc, lithops_error *err);

#endif
