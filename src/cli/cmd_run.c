/* SPDX-License-Identifier: Apache-2.0 */
/* lithops run COMMAND --over INPUT...: a process per input, like xargs -P and GNU parallel.
 *
 * The command is an ordinary function (lithops_function_command). Its inputs include the number for
 * {#}, so that numbers stay the same when a job log leaves out calls. A call's output is written as
 * a whole, then its standard error, then its line in the job log.
 *
 * The exit status is the number of failed calls, as parallel's is; so failures of the run itself
 * are 255. */
#include "base/error.h"
#include "cli/commands.h"
#include "cli/feed.h"
#include "cli/job.h"
#include "cli/joblog.h"
#include "cli/run.h"
#include "cli/signals.h"
#include "function/code.h"
#include "function/command.h"
#include "value/value.h"

#include <lithops/plugin/runtime.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_COUNTED = 101, STATUS_OF_RUN = 255 };

struct item { /* a call that was started and whose output is not written yet */
    int64_t number;
    char *command; /* as users see it; NULL if not needed */
};

struct command_run {
    struct cli_run run;
    struct cli_feed feed;
    struct cli_joblog log;
    const struct cli_options *options;
    lithops_function *function;
    struct lithops__command command;
    struct lithops__words words; /* to expand into */
    lithops_bytes *inputs;       /* to expand from */
    size_t inputs_capacity;

    struct item *items; /* items[i] is call first + i of the run */
    int64_t first;
    size_t count, capacity;

    bool is_halted;   /* start no more calls */
    int64_t seen;     /* calls that have ended by themselves */
    int first_status; /* of the first call that failed */
    int refused;      /* 126 or 127: the program cannot be run at all */
};

/* ---- the command line of a call -------------------------------------------------------------- */

/* The command line for [number, inputs...]; for free(). NULL with `err` filled. */
static char *command_line(struct command_run *r, const lithops_value *call, lithops_error *err)
{
    const size_t count = lithops_value_size(call) - 1;
    const bool shell = r->options->shell;
    if (count > r->inputs_capacity) {
        lithops_bytes *more = realloc(r->inputs, count * sizeof *more);
        if (!more) {
            lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
            return NULL;
        }
        r->inputs = more;
        r->inputs_capacity = count;
    }
    for (size_t i = 0; i < count; i++)
        r->inputs[i] = lithops_value_get_bytes(lithops_value_at(call, i + 1));
    if (lithops__command_expand(&r->command, r->inputs, r->options->pipe ? 0 : count,
                                lithops_value_get_int(lithops_value_at(call, 0)), &r->words,
                                err) != 0)
        return NULL;
    struct lithops__buffer line = LITHOPS__BUFFER_INIT;
    for (size_t i = shell ? 2 : 0; i < r->words.count; i++) {
        const char *word = r->words.argv[i];
        if (line.len)
            lithops__buffer_append(&line, " ", 1);
        if (shell)
            lithops__buffer_append_string(&line, word);
        else
            lithops__shell_quote(&line, word, strlen(word));
    }
    char *text = lithops__buffer_steal(&line);
    if (!text)
        lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    return text;
}

/* ---- calls that were started ----------------------------------------------------------------- */

static int note_item(struct command_run *r, const lithops_value *call, lithops_error *err)
{
    if (r->count == r->capacity) {
        size_t capacity = r->capacity ? 2 * r->capacity : 256;
        struct item *items = realloc(r->items, capacity * sizeof *items);
        if (!items)
            return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for calls");
        r->items = items;
        r->capacity = capacity;
    }
    struct item item = {lithops_value_get_int(lithops_value_at(call, 0)), NULL};
    if (r->log.fd >= 0 || r->options->json) {
        lithops_error ignored;
        item.command = command_line(r, call, &ignored);
    }
    r->items[r->count++] = item;
    return 0;
}

/* Drop a call whose output is written, and remove dropped ones from the front. */
static void drop_item(struct command_run *r, int64_t call)
{
    struct item *item = &r->items[call - r->first];
    free(item->command);
    *item = (struct item){0, NULL};
    size_t gone = 0;
    while (gone < r->count && r->items[gone].number == 0)
        gone++;
    if (gone < r->count && gone < r->capacity / 2)
        return;
    memmove(r->items, r->items + gone, (r->count - gone) * sizeof *r->items);
    r->count -= gone;
    r->first += (int64_t)gone;
}

static void free_items(struct command_run *r)
{
    for (size_t i = 0; i < r->count; i++)
        free(r->items[i].command);
    free(r->items);
}

/* ---- ends ------------------------------------------------------------------------------------ */

static int write_json(struct command_run *r, const struct item *item,
                      const lithops_command_end *end, const char *errors,
                      const lithops_error *failure, lithops_error *err)
{
    lithops_value *line =
        lithops_pack("{s:I s:i s:i s:s?}", "seq", item->number, "status", end->status, "signal",
                     end->signal, "command", item->command);
    lithops_value_set(line, "stdout", lithops__value_text(end->out.ptr, end->out.len));
    lithops_value_set(line, "stderr", lithops_value_string(errors ? errors : ""));
    if (failure->code)
        lithops_value_set(line, "error", lithops_value_string(failure->message));
    int rc = cli_output_line(&r->run.out, line, err);
    lithops_value_free(line);
    return rc;
}

static void log_call(struct command_run *r, lithops_future *future, const struct item *item,
                     const lithops_command_end *end)
{
    lithops_value *stats = lithops_future_stats(future);
    struct cli_joblog_entry entry = {
        .number = item->number,
        .host = lithops_value_get_string(lithops_value_get(stats, "worker_host")),
        .start = lithops_value_get_double(lithops_value_get(stats, "worker_func_start_tstamp")),
        .seconds = lithops_value_get_double(lithops_value_get(stats, "worker_func_exec_time")),
        .received = end->out.len,
        .status = end->status,
        .signal = end->signal,
        .command = item->command ? item->command : ""};
    cli_joblog_add(&r->log, &entry);
    lithops_value_free(stats);
}

/* Write the call's standard error unchanged, and the engine's message unless the exit status says
 * it all. */
static void write_errors(struct command_run *r, const struct item *item, const char *errors,
                         const lithops_error *failure)
{
    bool tells = failure->code && (failure->code != LITHOPS_ECALL || failure->signal);
    if (!errors && !tells)
        return;
    cli_progress_clear(&r->run.progress);
    if (errors && !r->options->json)
        fputs(errors, stderr);
    if (tells)
        fprintf(stderr, "lithops: call %" PRId64 ": %s: %s\n", item->number,
                lithops_error_word(failure->code), failure->message);
}

static void stop_pending(struct command_run *r)
{
    r->is_halted = true;
    cli_run_cancel_pending(&r->run);
}

static int count_failure(struct command_run *r, const lithops_command_end *end,
                         const lithops_error *failure, lithops_error *err)
{
    const char *halt = r->options->halt;
    r->run.failed++;
    if (r->run.failed == 1)
        r->first_status = end->signal ? 128 + end->signal : end->status > 0 ? end->status : 1;
    bool varies = strchr(r->command.words, '{') != NULL; /* another program may exist */
    if ((failure->code == LITHOPS_ENOTFOUND || failure->code == LITHOPS_EDENIED) && !varies &&
        (end->status == 126 || end->status == 127))
        r->refused = end->status;
    if (r->refused || (halt && strcmp(halt, "now") == 0))
        return lithops__fail(err, LITHOPS_ECALL, "a call failed");
    if (halt && strcmp(halt, "soon") == 0 && !r->is_halted)
        stop_pending(r);
    return 0;
}

static int write_end(struct command_run *r, const struct item *item, const lithops_command_end *end,
                     const char *errors, const lithops_error *failure, lithops_error *err)
{
    int rc = r->options->json ? write_json(r, item, end, errors, failure, err)
                              : cli_output_bytes(&r->run.out, item->number, end->out, err);
    r->run.output_bytes += end->out.len;
    if (rc == 0)
        write_errors(r, item, errors, failure);
    return rc;
}

/* A call is done: struct cli_run's `outcome`. */
static int on_outcome(void *user, const lithops_futures *futures, size_t index, int64_t call,
                      lithops_error *err)
{
    struct command_run *r = user;
    const struct item item = r->items[call - r->first];
    lithops_command_end end = {.status = 0};
    lithops_payload ignored;
    lithops_error failure = LITHOPS_ERROR_INIT;
    (void)lithops_futures_payload(futures, index, &ignored, &failure);
    if (lithops_futures_command_end(futures, index, &end, NULL) != 0) /* a timeout, say */
        end = (lithops_command_end){.status = -1, .signal = failure.signal};
    int rc = 0;
    if (failure.code != LITHOPS_ECANCELED || !r->is_halted) {
        lithops_future *future = lithops_futures_get(futures, index);
        char *errors = future ? lithops_future_logs(future) : NULL;
        r->seen++;
        rc = write_end(r, &item, &end, errors, &failure, err);
        if (rc == 0 && r->log.fd >= 0)
            log_call(r, future, &item, &end);
        free(errors);
        lithops_future_unref(future);
        if (rc == 0 && failure.code)
            rc = count_failure(r, &end, &failure, err);
    }
    drop_item(r, call);
    return rc;
}

static int on_flushed(void *user, lithops_error *err)
{
    struct command_run *r = user;
    return cli_joblog_flush(&r->log, err);
}

/* ---- running --------------------------------------------------------------------------------- */

static uint64_t bytes_of(const lithops_value *call)
{
    uint64_t bytes = 0;
    for (size_t i = 1; i < lithops_value_size(call); i++)
        bytes += lithops_value_get_bytes(lithops_value_at(call, i)).len;
    return bytes;
}

/* Take up to `most` calls that are ready and not done already. */
static int take_calls(struct command_run *r, size_t most, lithops_value *list, uint64_t *ret_bytes,
                      lithops_error *err)
{
    int rc = 0;
    *ret_bytes = 0;
    while (rc == 0 && lithops_value_size(list) < most && cli_feed_ready(&r->feed)) {
        lithops_value *call = cli_feed_next(&r->feed, err);
        if (!call)
            return LITHOPS_ENOMEM;
        if (cli_joblog_has(&r->log, r->feed.number)) {
            lithops_value_free(call);
            continue;
        }
        rc = note_item(r, call, err);
        *ret_bytes += bytes_of(call);
        if (rc != 0)
            lithops_value_free(call);
        else if (lithops_value_append(list, call) != 0)
            rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory for calls");
    }
    return rc;
}

static int start_calls(struct command_run *r, size_t most, const struct cli_job *job,
                       lithops_error *err)
{
    uint64_t bytes = 0;
    lithops_value *list = lithops_value_list();
    int rc = list ? take_calls(r, most, list, &bytes, err)
                  : lithops__fail(err, LITHOPS_ENOMEM, "out of memory for calls");
    if (rc != 0 || lithops_value_size(list) == 0) {
        lithops_value_free(list);
        return rc;
    }
    lithops_futures *futures = lithops_map(r->run.fexec, r->function, list, &job->map, err);
    return futures ? cli_run_add(&r->run, futures, 0, bytes, err) : err->code;
}

static int run_all(struct command_run *r, const struct cli_job *job, lithops_error *err)
{
    struct cli_run *run = &r->run;
    bool over = false, readable;
    int rc = 0;
    run->forget = !r->options->plot && !r->options->summary;
    while (rc == 0 && !(over && (r->is_halted || cli_feed_at_end(&r->feed)))) {
        size_t room = r->is_halted ? 0 : cli_run_room(run);
        over = false;
        if (room && cli_feed_ready(&r->feed)) {
            rc = start_calls(r, room, job, err);
            continue;
        }
        run->more_to_come = !r->is_halted && !cli_feed_at_end(&r->feed);
        bool reads = room && r->feed.is_stream && !r->feed.lines.at_end;
        rc = cli_run_wait(run, reads ? r->feed.lines.fd : -1, &readable, &over, err);
        if (rc == 0 && reads && readable)
            rc = cli_lines_read(&r->feed.lines, err);
    }
    run->more_to_come = false;
    return rc;
}

static int print_all(struct command_run *r, lithops_error *err)
{
    int rc = 0;
    while (rc == 0 && !cli_feed_at_end(&r->feed)) {
        if (!cli_feed_ready(&r->feed)) {
            rc = cli_lines_read(&r->feed.lines, err);
            continue;
        }
        lithops_value *call = cli_feed_next(&r->feed, err);
        bool skip = call && cli_joblog_has(&r->log, r->feed.number);
        char *line = call && !skip ? command_line(r, call, err) : NULL;
        rc = line || skip ? 0 : err->code;
        if (line)
            puts(line);
        free(line);
        lithops_value_free(call);
    }
    return rc;
}

/* ---- the command ----------------------------------------------------------------------------- */

static int check_options(const struct cli_options *o, lithops_error *err)
{
    if (!o->over_given)
        return lithops__fail(
            err, LITHOPS_EUSAGE,
            "run: --over is missing; name the inputs, as in --over 1 2 3, or - for lines");
    if ((o->resume || o->resume_failed) && !o->joblog)
        return lithops__fail(err, LITHOPS_EUSAGE, "run: --resume needs --joblog FILE");
    return 0;
}

static int read_command(struct command_run *r, lithops_error *err)
{
    const struct lithops_function_code *code = r->function->code;
    return lithops__command_read((lithops_bytes){code->bytes, code->len}, &r->command, err);
}

static int prepare(struct command_run *r, const struct cli *cli, lithops_error *err)
{
    const struct cli_options *o = &cli->options;
    lithops_command_options options = LITHOPS_COMMAND_OPTIONS_INIT;
    options.folder = o->folder;
    options.shell = o->shell;
    options.pipe = o->pipe;
    options.numbered = true;
    *r = (struct command_run){.options = o, .log = {.fd = -1}};
    int rc = check_options(o, err);
    if (rc == 0)
        rc = cli_feed_init(&r->feed, o, err);
    if (rc == 0) {
        r->function = lithops_function_command(cli->arguments.items, &options, err);
        rc = r->function ? read_command(r, err) : err->code;
    }
    /* A dry run heeds the log without changing it. */
    const char *path = o->dry_run && !(o->resume || o->resume_failed) ? NULL : o->joblog;
    if (rc == 0)
        rc = cli_joblog_open(&r->log, path,
                             o->resume_failed ? CLI_JOBLOG_RESUME_FAILED
                             : o->resume      ? CLI_JOBLOG_RESUME
                                              : CLI_JOBLOG_NEW,
                             err);
    return rc;
}

static int exit_status(struct command_run *r, int rc, int status)
{
    if (cli_signals_caught() || r->run.out.closed)
        return status;
    if (rc != 0 && rc != LITHOPS_ECALL)
        return STATUS_OF_RUN;
    if (r->run.failed > 0 && !r->refused)
        fprintf(stderr, "lithops: %" PRId64 " of %" PRId64 " commands failed\n", r->run.failed,
                r->seen);
    if (r->refused)
        return r->refused;
    if (r->options->halt && strcmp(r->options->halt, "never") != 0)
        return r->first_status;
    return r->run.failed < MOST_COUNTED ? (int)r->run.failed : MOST_COUNTED;
}

static int run_command(struct command_run *r, const struct cli *cli, lithops_error *err)
{
    struct cli_job job;
    int rc = cli_job_init(&job, &cli->options, err);
    job.map.call_retries = cli->options.retries;
    if (rc != 0) {
        cli_job_deinit(&job);
        (void)cli_report(err);
        return STATUS_OF_RUN;
    }
    rc = cli_run_open(&r->run, cli, false, err);
    r->run.outcome = on_outcome;
    r->run.flushed = on_flushed;
    r->run.user = r;
    if (rc == 0)
        rc = run_all(r, &job, err);
    int status = cli_run_finish(&r->run, rc, err);
    lithops_error log_error = LITHOPS_ERROR_INIT;
    if (cli_joblog_flush(&r->log, &log_error) != 0 && rc == 0)
        rc = cli_report(&log_error);
    cli_job_deinit(&job);
    return exit_status(r, rc, status);
}

int cmd_run(const struct cli *cli)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    struct command_run r;
    int rc = prepare(&r, cli, &err), status = 0;
    if (rc == 0 && cli->options.dry_run)
        rc = print_all(&r, &err);
    else if (rc == 0)
        status = run_command(&r, cli, &err);
    if (rc != 0) {
        (void)cli_report(&err);
        status = STATUS_OF_RUN;
    }
    cli_joblog_close(&r.log);
    cli_feed_deinit(&r.feed);
    lithops_function_free(r.function);
    lithops__words_deinit(&r.words);
    free(r.inputs);
    free_items(&r);
    return status;
}
