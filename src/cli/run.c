/* SPDX-License-Identifier: Apache-2.0 */
/* Running calls and writing their results.
 *
 * Jobs ("batches") are listed in the order in which they were started. In ordered mode the next
 * result to write is that of one call, the head. Only the head gets a done-callback, and only when
 * there is nothing left to do but wait for it; so a million results that are ready cost no callback
 * at all. In unordered mode every call gets one, which adds the call to the `done` list.
 *
 * Callbacks run on the executor's thread. They touch the done list (under the lock) and the
 * eventfd, nothing else; they end before lithops_executor_close() returns; batches with pending
 * callbacks are freed after that.
 *
 * The amount in flight is limited in bytes, not in calls, to about 64 MiB of inputs and results
 * (estimated from the average so far). So endless input with large results uses little memory, and
 * a million small calls run in a few large jobs. */
#include "cli/run.h"

#include "base/clock.h"
#include "base/error.h"
#include "cli/job.h"
#include "cli/signals.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { FIRST_CALLS = 256, MOST_CALLS = 1 << 18, LEAST_CALLS = 64, MOST_BATCHES = 500 };
#define IN_FLIGHT_BYTES ((uint64_t)64 << 20)

struct cli_done { /* a call whose end a callback reports */
    struct cli_run *run;
    struct cli_batch *batch;
    size_t index;
    struct cli_done *next;
};

struct cli_batch {
    lithops_futures *futures;
    size_t count;
    size_t silent;
    size_t at;             /* ordered: index of the head; unordered: how many are written */
    size_t armed;          /* index + 1 of the call whose callback is set */
    int64_t number;        /* number of its first call among all calls that are written */
    struct cli_done *done; /* one for each call, when unordered */
    struct cli_batch *next;
};

/* ---- opening --------------------------------------------------------------------------------- */

/* Everything but the executor. */
int cli_run_prepare(struct cli_run *run, const struct cli *cli, lithops_error *err)
{
    const struct cli_options *o = &cli->options;
    *run = (struct cli_run){.options = o, .wake_fd = -1, .deadline_ns = UINT64_MAX};
    pthread_mutex_init(&run->lock, NULL);
    int rc = cli_output_init(&run->out, o->json, o->raw, o->out, err);
    run->out.strict_json = o->strict_json;
    if (rc != 0)
        return rc;
    cli_progress_init(&run->progress, o->progress);
    if (o->deadline_ms != LITHOPS_DEFAULT)
        run->deadline_ns = lithops__now_ns() + (uint64_t)o->deadline_ms * 1000000u;
    run->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (run->wake_fd < 0)
        return lithops__fail_errno(err, errno, "eventfd");
    cli_signals_catch(run->wake_fd);
    return 0;
}

int cli_run_open(struct cli_run *run, const struct cli *cli, bool python, lithops_error *err)
{
    int rc = cli_run_prepare(run, cli, err);
    if (rc != 0)
        return rc;
    run->fexec = cli_executor_open(run->options, python, err);
    return run->fexec ? 0 : err->code;
}

/* The job goes on; who wants its results has its handle. */
static int print_handle(struct cli_run *run, lithops_futures *futures, lithops_error *err)
{
    lithops_value *handle =
        lithops_futures_size(futures) > 0 ? lithops_job_handle(futures, err) : lithops_value_null();
    int rc = handle ? cli_output_line(&run->out, handle, err) : err->code;
    lithops_value_free(handle);
    lithops_futures_unref(futures);
    return rc == 0 ? cli_output_flush(&run->out, err) : rc;
}

/* ---- callbacks ------------------------------------------------------------------------------- */

static void wake(const struct cli_run *run)
{
    const uint64_t one = 1;
    ssize_t ignored = write(run->wake_fd, &one, sizeof one); /* full: the thread is awake */
    (void)ignored;
}

static void on_head_done(lithops_future *future, void *user)
{
    (void)future;
    wake(user);
}

static void on_any_done(lithops_future *future, void *user)
{
    (void)future;
    struct cli_done *done = user;
    struct cli_run *run = done->run;
    pthread_mutex_lock(&run->lock);
    bool was_empty = run->done_first == NULL;
    if (was_empty)
        run->done_first = done;
    else
        run->done_last->next = done;
    run->done_last = done;
    pthread_mutex_unlock(&run->lock);
    if (was_empty)
        wake(run);
}

static int arm(struct cli_run *run, struct cli_batch *batch, size_t index,
               void (*callback)(lithops_future *, void *), void *user, lithops_error *err)
{
    lithops_future *future = lithops_futures_get(batch->futures, index);
    int rc = future ? lithops_future_on_done(future, callback, user, err)
                    : lithops__fail(err, LITHOPS_ENOMEM, "out of memory for calls");
    lithops_future_unref(future);
    (void)run;
    return rc;
}

static int arm_all(struct cli_run *run, struct cli_batch *batch, lithops_error *err)
{
    batch->done = calloc(batch->count, sizeof *batch->done);
    if (!batch->done && batch->count)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for calls");
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < batch->count; i++) {
        batch->done[i] = (struct cli_done){run, batch, i, NULL};
        rc = arm(run, batch, i, on_any_done, &batch->done[i], err);
    }
    return rc;
}

/* ---- batches --------------------------------------------------------------------------------- */

int cli_run_add(struct cli_run *run, lithops_futures *futures, size_t silent, uint64_t input_bytes,
                lithops_error *err)
{
    if (run->options->detach)
        return print_handle(run, futures, err);
    struct cli_batch *batch = calloc(1, sizeof *batch);
    if (!batch) {
        lithops_futures_unref(futures);
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for a job");
    }
    batch->futures = futures;
    batch->count = lithops_futures_size(futures);
    batch->silent = silent;
    batch->number = run->calls - (int64_t)silent;
    run->calls += (int64_t)batch->count;
    run->input_bytes += input_bytes;
    if (run->last)
        run->last->next = batch;
    else
        run->first = batch;
    run->last = batch;
    return run->options->unordered ? arm_all(run, batch, err) : 0;
}

static void free_batch(struct cli_batch *batch)
{
    lithops_futures_unref(batch->futures);
    free(batch->done);
    free(batch);
}

/* Called once all its results are written, when no callback is pending any more. */
static void remove_batch(struct cli_run *run, struct cli_batch *batch)
{
    struct cli_batch **link = &run->first, *before = NULL;
    while (*link != batch) {
        before = *link;
        link = &before->next;
    }
    *link = batch->next;
    if (run->last == batch)
        run->last = before;
    if (run->forget) {
        lithops_clean_options options = LITHOPS_CLEAN_OPTIONS_INIT;
        options.clean_cloudobjects = false; /* results may refer to them */
        lithops_clean(run->fexec, batch->futures, &options, NULL);
    }
    free_batch(batch);
}

size_t cli_run_room(const struct cli_run *run)
{
    int64_t most = FIRST_CALLS;
    if (run->written > 0) {
        uint64_t each =
            run->input_bytes / (uint64_t)run->calls + run->output_bytes / (uint64_t)run->written;
        most = (int64_t)(IN_FLIGHT_BYTES / (each + 1));
        most = most < LEAST_CALLS ? LEAST_CALLS : most > MOST_CALLS ? MOST_CALLS : most;
    }
    int64_t in_flight = run->calls - run->written;
    int batches = 0;
    for (const struct cli_batch *batch = run->first; batch; batch = batch->next)
        batches++;
    return in_flight < most && batches < MOST_BATCHES ? (size_t)(most - in_flight) : 0;
}

/* ---- writing results ------------------------------------------------------------------------- */

static int write_failure(struct cli_run *run, int64_t number, const lithops_error *failure,
                         lithops_error *err)
{
    run->failed++;
    run->timed_out += failure->code == LITHOPS_ETIMEOUT;
    cli_progress_clear(&run->progress);
    int rc = cli_output_failure(&run->out, number, failure, err);
    if (rc == 0 && !run->options->keep_going)
        rc = lithops__fail(err, LITHOPS_ECALL, "a call failed");
    return rc;
}

static int write_value(struct cli_run *run, int64_t number, const lithops_value *value,
                       lithops_error *err)
{
    size_t before = run->out.buffer.len;
    int rc = cli_output_result(&run->out, number, value, err);
    if (rc == LITHOPS_ETYPE) {
        lithops_error failure = *err;
        lithops__error_prefix(&failure, "the result has no JSON form");
        return write_failure(run, number, &failure, err);
    }
    run->output_bytes += run->out.buffer.len > before ? run->out.buffer.len - before
                                                      : lithops_value_get_bytes(value).len;
    return rc;
}

/* Write the outcome of a call that is done. */
static int write_call(struct cli_run *run, struct cli_batch *batch, size_t index,
                      lithops_error *err)
{
    run->written++;
    if (index < batch->silent)
        return 0;
    int64_t number = batch->number + (int64_t)index, small;
    if (run->outcome)
        return run->outcome(run->user, batch->futures, index, number, err);
    lithops_error failure = LITHOPS_ERROR_INIT;
    if (lithops_futures_int(batch->futures, index, &small, NULL) == 0) {
        lithops_value *value = lithops_value_int(small);
        int rc = value ? write_value(run, number, value, err) : LITHOPS_ENOMEM;
        lithops_value_free(value);
        return rc;
    }
    lithops_future *future = lithops_futures_get(batch->futures, index);
    const lithops_value *value;
    int rc;
    if (!future)
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory for results");
    else if (lithops_future_value(future, 0, &value, &failure) == 0)
        rc = write_value(run, number, value, err);
    else
        rc = write_failure(run, number, &failure, err);
    lithops_future_unref(future);
    return rc;
}

static bool is_done(lithops_state state)
{
    return state != LITHOPS_PENDING && state != LITHOPS_RUNNING;
}

static int write_in_order(struct cli_run *run, lithops_error *err)
{
    int rc = 0;
    while (rc == 0 && run->first) {
        struct cli_batch *batch = run->first;
        while (rc == 0 && batch->at < batch->count && !cli_signals_caught()) {
            if (!is_done(lithops_futures_state(batch->futures, batch->at)))
                break;
            rc = write_call(run, batch, batch->at++, err);
        }
        if (rc != 0 || batch->at < batch->count)
            break;
        remove_batch(run, batch);
    }
    if (rc == 0 && run->first && run->first->armed != run->first->at + 1) {
        run->first->armed = run->first->at + 1;
        rc = arm(run, run->first, run->first->at, on_head_done, run, err);
    }
    return rc;
}

static int write_as_they_end(struct cli_run *run, lithops_error *err)
{
    pthread_mutex_lock(&run->lock);
    struct cli_done *done = run->done_first;
    run->done_first = run->done_last = NULL;
    pthread_mutex_unlock(&run->lock);
    int rc = 0;
    while (rc == 0 && done && !cli_signals_caught()) {
        struct cli_done *next = done->next;
        struct cli_batch *batch = done->batch;
        rc = write_call(run, batch, done->index, err);
        if (++batch->at == batch->count)
            remove_batch(run, batch);
        done = next;
    }
    while (rc == 0 && run->first && run->first->count == 0)
        remove_batch(run, run->first);
    return rc;
}

/* ---- waiting --------------------------------------------------------------------------------- */

static int64_t done_calls(const struct cli_run *run)
{
    int64_t done = run->written;
    for (const struct cli_batch *batch = run->first; batch; batch = batch->next)
        done += (int64_t)lithops_futures_done(batch->futures) - (int64_t)batch->at;
    return done;
}

static int check_bounds(struct cli_run *run, lithops_error *err)
{
    if (cli_signals_caught())
        return lithops__fail(err, LITHOPS_ECANCELED, "interrupted");
    if (lithops__now_ns() >= run->deadline_ns)
        return lithops__fail(err, LITHOPS_ETIMEDOUT,
                             "the deadline of %.3g s has passed with %" PRId64 " of %" PRId64
                             "%s calls done",
                             (double)run->options->deadline_ms / 1000, done_calls(run), run->calls,
                             run->more_to_come ? " or more" : "");
    return 0;
}

static int poll_timeout_ms(const struct cli_run *run)
{
    uint64_t left_ms = UINT64_MAX;
    if (run->deadline_ns != UINT64_MAX) {
        uint64_t now = lithops__now_ns();
        left_ms = now < run->deadline_ns ? (run->deadline_ns - now) / 1000000u + 1 : 0;
    }
    if (run->progress.shown && left_ms > CLI_PROGRESS_INTERVAL_MS)
        left_ms = CLI_PROGRESS_INTERVAL_MS;
    return left_ms == UINT64_MAX ? -1 : left_ms > INT_MAX ? INT_MAX : (int)left_ms;
}

int cli_run_wait(struct cli_run *run, int fd, bool *ret_readable, bool *ret_over,
                 lithops_error *err)
{
    *ret_readable = false;
    int rc = run->options->unordered ? write_as_they_end(run, err) : write_in_order(run, err);
    if (run->out.buffer.len > 0 && run->out.is_terminal)
        cli_progress_clear(&run->progress); /* or results would be printed on the bar's line */
    if (rc == 0)
        rc = cli_output_flush(&run->out, err);
    if (rc == 0 && run->flushed)
        rc = run->flushed(run->user, err);
    if (rc == 0)
        rc = check_bounds(run, err);
    *ret_over = rc == 0 && !run->first;
    if (rc != 0 || (*ret_over && fd < 0))
        return rc;
    if (run->progress.shown)
        cli_progress_update(&run->progress, done_calls(run), run->more_to_come ? 0 : run->calls);
    struct pollfd fds[2] = {{run->wake_fd, POLLIN, 0}, {fd, POLLIN, 0}};
    if (poll(fds, 2, poll_timeout_ms(run)) < 0 && errno != EINTR)
        return lithops__fail_errno(err, errno, "poll");
    uint64_t ignored;
    if (fds[0].revents)
        (void)!read(run->wake_fd, &ignored, sizeof ignored);
    *ret_readable = fds[1].revents != 0;
    return check_bounds(run, err);
}

void cli_run_cancel_pending(struct cli_run *run)
{
    for (const struct cli_batch *batch = run->first; batch; batch = batch->next)
        for (size_t i = 0; i < batch->count; i++) {
            if (lithops_futures_state(batch->futures, i) != LITHOPS_PENDING)
                continue;
            lithops_future *future = lithops_futures_get(batch->futures, i);
            if (future)
                (void)lithops_future_cancel(future);
            lithops_future_unref(future);
        }
}

int cli_run_all(struct cli_run *run, lithops_error *err)
{
    bool over = false, readable;
    int rc = 0;
    while (rc == 0 && !over)
        rc = cli_run_wait(run, -1, &readable, &over, err);
    return rc;
}

/* ---- the end --------------------------------------------------------------------------------- */

static int afterwards(struct cli_run *run, lithops_error *err)
{
    const struct cli_options *o = run->options;
    char *csv = NULL;
    int rc = 0;
    if (o->plot && run->calls > 0)
        rc = lithops_plot(run->fexec, NULL, o->plot, NULL, err);
    if (rc == 0 && o->summary)
        rc = lithops_job_summary(run->fexec, 0, NULL, &csv, err);
    if (csv)
        fputs(csv, stderr);
    free(csv);
    return rc;
}

static int exit_status(const struct cli_run *run, int rc, lithops_error *err)
{
    if (rc == LITHOPS_ECLOSED && run->out.closed)
        return 128 + 13; /* quietly, as if SIGPIPE had ended it */
    if (rc == LITHOPS_ECANCELED && cli_signals_caught()) {
        fprintf(stderr, "lithops: interrupted; %" PRId64 " results were written\n",
                run->written - run->failed);
        return 128 + cli_signals_caught();
    }
    if (rc != 0 && rc != LITHOPS_ECALL)
        return cli_report(err);
    /* Failed calls were reported one by one. */
    return run->failed == 0 ? 0 : run->failed == run->timed_out ? 124 : 1;
}

int cli_run_finish(struct cli_run *run, int rc, lithops_error *err)
{
    if (run->out.is_terminal)
        cli_progress_clear(&run->progress);
    cli_output_flush(&run->out, NULL); /* what was written before a failure */
    if (run->calls > 0)
        cli_progress_end(&run->progress, done_calls(run), run->calls);
    if (run->fexec && !cli_signals_caught() && (rc == 0 || rc == LITHOPS_ECALL)) {
        lithops_error after = LITHOPS_ERROR_INIT;
        int after_rc = afterwards(run, &after);
        if (after_rc != 0 && rc == 0) {
            rc = after_rc;
            *err = after;
        }
    }
    lithops_executor_close(run->fexec); /* cancels running calls and waits for the last callback */
    int status = exit_status(run, rc, err);
    while (run->first) {
        struct cli_batch *next = run->first->next;
        free_batch(run->first);
        run->first = next;
    }
    cli_output_deinit(&run->out);
    pthread_mutex_destroy(&run->lock);
    if (run->wake_fd >= 0)
        close(run->wake_fd);
    return status;
}
