/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of standard input as a stream of jobs.
 *
 * Lines that arrive together become one job: a line typed by hand starts at once, alone, while a
 * file is processed in large jobs. Reading pauses while enough calls are in flight (cli_run_room),
 * so a slow function or a slow reader of the results holds the input back, as in any pipe. */
#include "cli/stream.h"

#include "base/error.h"

#include <string.h>
#include <unistd.h>

int cli_over_is_stream(const struct cli_options *options, bool *ret_stream, lithops_error *err)
{
    *ret_stream = false;
    for (size_t i = 0; i < options->over.count; i++) {
        if (strcmp(options->over.items[i], "-") != 0)
            continue;
        *ret_stream = true;
        if (options->over.count > 1)
            return lithops__fail(err, LITHOPS_EUSAGE,
                                 "--over: - (standard input) must be the only input");
    }
    return 0;
}

/* One line as an input. */
static int append_line(lithops_value *list, lithops_bytes line, int64_t number,
                       const struct cli_options *options, lithops_error *err)
{
    bool name =
        cli_inputs_are_objects(options) && (line.len == 0 || *(const char *)line.ptr != '{');
    enum cli_text how = name ? CLI_TEXT_STRING : cli_input_form(options);
    lithops_value *value = cli_value_from_text(line.ptr, line.len, how, err);
    if (!value) {
        lithops__error_prefix(err, "standard input, line %lld", (long long)number);
        return err->code;
    }
    return lithops_value_append(list, value) ? lithops__fail(err, LITHOPS_ENOMEM, "out of memory")
                                             : 0;
}

/* Take up to `most` lines that have arrived. *ret_list is NULL if there are none. */
static int take_lines(struct cli_lines *lines, size_t most, const struct cli_options *options,
                      lithops_value **ret_list, uint64_t *ret_bytes, lithops_error *err)
{
    lithops_value *list = NULL;
    lithops_bytes line;
    int rc = 0;
    *ret_bytes = 0;
    for (size_t i = 0; rc == 0 && i < most && cli_lines_next(lines, &line); i++) {
        if (!list && !(list = lithops_value_list()))
            rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
        else
            rc = append_line(list, line, lines->number, options, err);
        *ret_bytes += line.len;
    }
    *ret_list = list;
    return rc;
}

/* Start a job over the lines that have arrived. */
static int start_job(struct cli_run *run, const lithops_function *function,
                     const struct cli_job *job, struct cli_lines *lines, lithops_error *err)
{
    lithops_value *list;
    uint64_t bytes;
    int rc = take_lines(lines, cli_run_room(run), run->options, &list, &bytes, err);
    /* Lines before one that is not JSON still count; the error then ends the command. */
    if (list && lithops_value_size(list) > 0 && rc == 0) {
        if (cli_inputs_are_objects(run->options))
            list = lithops_objects(list);
        lithops_futures *futures = lithops_map(run->fexec, function, list, &job->map, err);
        return futures ? cli_run_add(run, futures, 0, bytes, err) : err->code;
    }
    lithops_value_free(list);
    return rc;
}

int cli_stream_map(struct cli_run *run, const lithops_function *function, const struct cli_job *job,
                   lithops_error *err)
{
    struct cli_lines lines;
    cli_lines_init(&lines, STDIN_FILENO, run->options->null_ends ? '\0' : '\n');
    run->more_to_come = true;
    run->forget = !run->options->plot && !run->options->summary;
    bool over = false;
    int rc = 0;
    while (rc == 0 && !(over && lines.at_end && !cli_lines_ready(&lines))) {
        bool readable = false, room = cli_run_room(run) > 0;
        if (room && cli_lines_ready(&lines)) {
            rc = start_job(run, function, job, &lines, err);
            over = false;
            continue;
        }
        run->more_to_come = !lines.at_end || cli_lines_ready(&lines);
        rc = cli_run_wait(run, room && !lines.at_end ? STDIN_FILENO : -1, &readable, &over, err);
        if (rc == 0 && readable)
            rc = cli_lines_read(&lines, err);
    }
    run->more_to_come = false;
    cli_lines_deinit(&lines);
    return rc;
}

lithops_value *cli_stream_read_all(struct cli_run *run, lithops_error *err)
{
    struct cli_lines lines;
    cli_lines_init(&lines, STDIN_FILENO, run->options->null_ends ? '\0' : '\n');
    lithops_value *list = lithops_value_list();
    int rc = list ? 0 : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    while (rc == 0 && !lines.at_end) {
        lithops_bytes line;
        bool readable, over;
        rc = cli_run_wait(run, STDIN_FILENO, &readable, &over, err);
        if (rc == 0 && readable)
            rc = cli_lines_read(&lines, err);
        while (rc == 0 && cli_lines_next(&lines, &line))
            rc = append_line(list, line, lines.number, run->options, err);
    }
    cli_lines_deinit(&lines);
    if (rc == 0)
        return list;
    lithops_value_free(list);
    return NULL;
}
