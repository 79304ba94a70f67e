/* SPDX-License-Identifier: Apache-2.0 */
/* lithops job status|wait|result|cancel|logs|plot|release, and job list --detached: detached jobs,
 * by a handle, a file that holds one, standard input, or their name. */
#include "base/clock.h"
#include "base/error.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/run.h"
#include "cli/signals.h"
#include "core/detached_jobs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { LARGEST_HANDLE = 64 << 20, LOOK_MS = 200 };

/* ---- handles --------------------------------------------------------------------------------- */

static lithops_value *read_handle(int fd, const char *name, lithops_error *err)
{
    struct lithops__buffer text = LITHOPS__BUFFER_INIT;
    lithops_value *handle = NULL;
    ssize_t n = 1;
    while (n > 0 && text.len < LARGEST_HANDLE) {
        void *room = lithops__buffer_reserve(&text, 65536);
        n = room ? read(fd, room, 65536) : -1;
        if (n < 0 && errno == EINTR)
            n = 1;
        else if (n > 0)
            text.len += (size_t)n;
    }
    if (n < 0)
        lithops__fail_errno(err, errno, "cannot read '%s'", name);
    else if (!(handle = lithops_value_from_json((const char *)text.data, text.len, err)))
        lithops__error_prefix(err, "'%s' holds no handle", name);
    lithops__buffer_deinit(&text);
    return handle;
}

/* The job of that name, "a1b2c3-0-M000". */
static lithops_value *find_handle(const char *key, lithops_error *err)
{
    lithops_value *list = lithops_job_list(err), *handle = NULL;
    for (size_t i = 0; list && !handle && i < lithops_value_size(list); i++) {
        const lithops_value *job = lithops_value_at(list, i);
        const char *name = lithops_value_get_string(lithops_value_get(job, "key"));
        if (name && strcmp(name, key) == 0)
            handle = lithops_value_copy(lithops_value_get(job, "handle"));
    }
    if (list && !handle)
        lithops__fail(err, LITHOPS_ENOTFOUND,
                      "'%s' is no handle, no file, and no detached job ('lithops job list "
                      "--detached' shows them)",
                      key);
    lithops_value_free(list);
    return handle;
}

static lithops_value *take_handle(const struct cli *cli, lithops_error *err)
{
    const char *word = cli->arguments.items[0];
    if (strcmp(word, "-") == 0)
        return read_handle(STDIN_FILENO, "standard input", err);
    if (word[strspn(word, " \t\n")] == '{')
        return lithops_value_from_json(word, strlen(word), err);
    int fd = open(word, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return find_handle(word, err);
    lithops_value *handle = read_handle(fd, word, err);
    close(fd);
    return handle;
}

/* ---- without futures ------------------------------------------------------------------------- */

static const char *word_of(const lithops_job_state *state)
{
    return state->is_done ? "done" : state->is_supervised ? "running" : "waiting";
}

static int print_state(const struct cli *cli, const lithops_job_state *state, lithops_error *err)
{
    struct cli_output out;
    int rc = cli_output_init(&out, cli->options.json, false, NULL, err);
    if (rc != 0)
        return rc;
    double age_s = (double)lithops__wall_ns() / 1e9 - state->created;
    if (cli->options.json) {
        lithops_value *line = lithops_pack(
            "{s:s,s:s,s:I,s:I,s:I,s:I,s:f}", "function", state->function, "state", word_of(state),
            "calls", (int64_t)state->calls, "success", (int64_t)state->success, "failed",
            (int64_t)state->failed, "canceled", (int64_t)state->canceled, "age_s", age_s);
        if (state->trouble)
            (void)lithops_value_set(line, "trouble",
                                    lithops_value_string(strerror(state->trouble)));
        rc = cli_output_line(&out, line, err);
        lithops_value_free(line);
    } else {
        lithops__buffer_printf(&out.buffer,
                               "%s: %s, %" PRIu64 " of %" PRIu64 " calls done, %" PRIu64
                               " failed, %" PRIu64 " cancelled, started %.0f s ago\n",
                               state->function, word_of(state),
                               state->success + state->failed + state->canceled, state->calls,
                               state->failed, state->canceled, age_s);
        if (state->trouble)
            lithops__buffer_printf(&out.buffer, "outcomes cannot be written: %s\n",
                                   strerror(state->trouble));
    }
    if (rc == 0)
        rc = cli_output_flush(&out, err);
    cli_output_deinit(&out);
    return rc;
}

int cmd_job_status(const struct cli *cli)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_job_state state = LITHOPS_JOB_STATE_INIT;
    lithops_value *handle = take_handle(cli, &err);
    int rc = handle ? lithops_job_state_read(handle, &state, &err) : err.code;
    if (rc == 0)
        rc = print_state(cli, &state, &err);
    lithops_value_free(handle);
    return rc ? cli_report(&err) : 0;
}

static int end_job(const struct cli *cli, int (*end)(const lithops_value *handle, lithops_error *))
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_value *handle = take_handle(cli, &err);
    int rc = handle ? end(handle, &err) : err.code;
    lithops_value_free(handle);
    return rc ? cli_report(&err) : 0;
}

int cmd_job_cancel(const struct cli *cli)
{
    return end_job(cli, lithops_job_cancel);
}

int cmd_job_release(const struct cli *cli)
{
    return end_job(cli, lithops_job_release);
}

/* In looks, for the bar and for signals. */
static int wait_for(const struct cli *cli, const lithops_value *handle, lithops_job_state *state,
                    lithops_error *err)
{
    struct cli_progress progress;
    struct lithops__watch watch = {0};
    uint64_t deadline_ns = UINT64_MAX;
    int rc = LITHOPS_ETIMEDOUT;
    if (cli->options.deadline_ms != LITHOPS_DEFAULT)
        deadline_ns = lithops__now_ns() + (uint64_t)cli->options.deadline_ms * 1000000u;
    cli_progress_init(&progress, cli->options.progress);
    while (rc == LITHOPS_ETIMEDOUT && !cli_signals_caught()) {
        uint64_t now = lithops__now_ns();
        uint64_t left_ms = now < deadline_ns ? (deadline_ns - now) / 1000000u + 1 : 0;
        int64_t most_ms = progress.shown ? LOOK_MS : 5 * LOOK_MS;
        rc = lithops__job_wait_on(handle, left_ms < (uint64_t)most_ms ? (int64_t)left_ms : most_ms,
                                  &watch, err);
        int state_rc = lithops_job_state_read(handle, state, err);
        if (state_rc != 0)
            return state_rc;
        if (progress.shown)
            cli_progress_update(&progress,
                                (int64_t)(state->success + state->failed + state->canceled),
                                (int64_t)state->calls);
        if (left_ms == 0 && rc == LITHOPS_ETIMEDOUT)
            break;
    }
    if (progress.shown)
        cli_progress_end(&progress, (int64_t)(state->success + state->failed + state->canceled),
                         (int64_t)state->calls);
    return cli_signals_caught() ? lithops__fail(err, LITHOPS_ECANCELED, "interrupted") : rc;
}

int cmd_job_wait(const struct cli *cli)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_job_state state = LITHOPS_JOB_STATE_INIT;
    int wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    cli_signals_catch(wake_fd);
    lithops_value *handle = take_handle(cli, &err);
    int rc = handle ? wait_for(cli, handle, &state, &err) : err.code;
    lithops_value_free(handle);
    close(wake_fd);
    if (cli_signals_caught())
        return 128 + cli_signals_caught();
    if (rc != 0)
        return cli_report(&err);
    return state.failed + state.canceled > 0;
}

/* ---- with futures ---------------------------------------------------------------------------- */

/* Of a map, how many go to its reducer: results are the reducer's. */
static size_t count_silent(const lithops_futures *futures)
{
    size_t count = lithops_futures_size(futures), silent = count;
    while (silent > 0) {
        lithops_future *future = lithops_futures_get(futures, silent - 1);
        bool is_reducer = lithops_future_is_reducer(future);
        lithops_future_unref(future);
        if (!is_reducer)
            break;
        silent--;
    }
    return silent == count ? 0 : silent;
}

int cmd_job_result(const struct cli *cli)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    struct cli_run run;
    lithops_futures *futures;
    lithops_value *handle = take_handle(cli, &err);
    if (!handle)
        return cli_report(&err);
    int rc = cli_run_prepare(&run, cli, &err);
    if (rc == 0)
        run.fexec = lithops_attach(handle, NULL, &futures, &err);
    if (rc == 0 && !run.fexec)
        rc = err.code;
    if (rc == 0)
        rc = cli_run_add(&run, futures, count_silent(futures), 0, &err);
    if (rc == 0)
        rc = cli_run_all(&run, &err);
    lithops_value_free(handle);
    return cli_run_finish(&run, rc, &err);
}

static int print_logs(const lithops_futures *futures, lithops_error *err)
{
    size_t count = lithops_futures_size(futures);
    for (size_t i = 0; i < count && !ferror(stdout); i++) {
        lithops_future *future = lithops_futures_get(futures, i);
        char *text = future ? lithops_future_logs(future) : NULL, key[64];
        if (text)
            printf("==> %s <==\n%s%s", lithops_future_key(future, key, sizeof key), text,
                   text[0] && text[strlen(text) - 1] != '\n' ? "\n" : "");
        free(text);
        lithops_future_unref(future);
    }
    return fflush(stdout) == 0 ? 0 : lithops__fail_errno(err, errno, "cannot write");
}

/* All outcomes that there are have been read: those of a job that runs come as they are written. */
static int settle(const lithops_value *handle, lithops_futures *futures, lithops_error *err)
{
    lithops_job_state state = LITHOPS_JOB_STATE_INIT;
    int rc = lithops_job_state_read(handle, &state, err);
    uint64_t done = state.success + state.failed + state.canceled;
    /* How many calls of a part are done the state does not say: one look is enough for that. */
    bool is_part = lithops_futures_size(futures) < state.calls, looks = true;
    for (; looks && rc == 0 && lithops_futures_done(futures) < done && !cli_signals_caught();
         looks = !is_part) {
        lithops_wait_options options = LITHOPS_WAIT_OPTIONS_INIT;
        options.throw_except = false;
        options.timeout_ms = LOOK_MS;
        rc = lithops_wait(NULL, futures, &options, NULL, NULL, err);
        rc = rc == LITHOPS_ETIMEDOUT ? 0 : rc;
    }
    return rc;
}

static int look_back(const struct cli *cli, const char *plot)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_futures *futures = NULL;
    lithops_value *handle = take_handle(cli, &err);
    lithops_executor *fexec = handle ? lithops_attach(handle, NULL, &futures, &err) : NULL;
    int rc = fexec ? settle(handle, futures, &err) : err.code;
    if (rc == 0)
        rc = plot ? lithops_plot(fexec, futures, plot, NULL, &err) : print_logs(futures, &err);
    lithops_futures_unref(futures);
    lithops_executor_close(fexec);
    lithops_value_free(handle);
    return rc ? cli_report(&err) : 0;
}

int cmd_job_logs(const struct cli *cli)
{
    return look_back(cli, NULL);
}

int cmd_job_plot(const struct cli *cli)
{
    return look_back(cli, cli->arguments.items[1]);
}

/* ---- the list -------------------------------------------------------------------------------- */

static int print_listed(struct cli_output *out, const lithops_value *job, lithops_error *err)
{
    const char *key, *function;
    int64_t calls, success, failed, canceled;
    double created;
    bool supervised;
    if (out->json)
        return cli_output_line(out, job, err);
    int rc = lithops_unpack(job, err, "{s:s,s:s,s:I,s:I,s:I,s:I,s:f,s:b}", "key", &key, "function",
                            &function, "calls", &calls, "success", &success, "failed", &failed,
                            "canceled", &canceled, "created", &created, "supervised", &supervised);
    if (rc == 0)
        lithops__buffer_printf(
            &out->buffer, "%-24s %-8s %9" PRId64 " %9" PRId64 " %9" PRId64 " %7.0fs  %s\n", key,
            lithops_value_get(job, "ended") ? "done"
            : supervised                    ? "running"
                                            : "waiting",
            calls, success, failed + canceled, (double)lithops__wall_ns() / 1e9 - created,
            function);
    return rc;
}

int cli_list_detached(const struct cli *cli)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    struct cli_output out;
    int rc = cli_output_init(&out, cli->options.json, false, NULL, &err);
    if (rc != 0)
        return cli_report(&err);
    lithops_value *list = lithops_job_list(&err);
    rc = list ? 0 : err.code;
    if (rc == 0 && lithops_value_size(list) > 0 && !out.json)
        lithops__buffer_printf(&out.buffer, "%-24s %-8s %9s %9s %9s %8s  %s\n", "JOB", "STATE",
                               "CALLS", "SUCCESS", "FAILED", "AGE", "FUNCTION");
    for (size_t i = 0; rc == 0 && i < lithops_value_size(list); i++)
        rc = print_listed(&out, lithops_value_at(list, i), &err);
    if (rc == 0)
        rc = cli_output_flush(&out, &err);
    lithops_value_free(list);
    cli_output_deinit(&out);
    return rc ? cli_report(&err) : 0;
}
