/* SPDX-License-Identifier: Apache-2.0 */
/* Where results and errors go: standard output as JSON lines or raw, files, standard error. */
#ifndef LITHOPS_CLI_OUTPUT_H
#define LITHOPS_CLI_OUTPUT_H

#include "base/buffer.h"

#include <lithops/value.h>

struct cli_output {
    int fd;     /* standard output */
    int folder; /* the descriptor of --out's folder, or -1 */
    bool raw;
    bool json; /* failed calls are lines of the output too */
    bool is_terminal;
    bool closed; /* nobody reads standard output any more */
    struct lithops__buffer buffer;
};

/* `folder` may be NULL; it is created, but not its parents. */
int cli_output_init(struct cli_output *out, bool json, bool raw, const char *folder,
                    lithops_error *err);
void cli_output_deinit(struct cli_output *out);

/* Write a result: a line, or the file <call>.json, .txt or .bin of the folder.
 * LITHOPS_ETYPE: it has no JSON form (NaN), and nothing was written; LITHOPS_EIO, LITHOPS_ENOSPACE
 */
int cli_output_result(struct cli_output *out, int64_t call, const lithops_value *result,
                      lithops_error *err);
/* Say that a call failed: on standard error, and with json as a line of the output. */
int cli_output_failure(struct cli_output *out, int64_t call, const lithops_error *failure,
                       lithops_error *err);
/* Any value as a line of JSON, for lists of other things than results. */
int cli_output_line(struct cli_output *out, const lithops_value *value, lithops_error *err);
/* Hand everything to the system. LITHOPS_ECLOSED: nobody reads any more. */
int cli_output_flush(struct cli_output *out, lithops_error *err);

/* {"code": "not found", "message": ..., "call": 3, "signal": 11, ...} without what does not apply;
 * owned by the caller. */
lithops_value *cli_error_value(const lithops_error *failure, int64_t call);

/* Print an error on standard error, red where that is wanted, and return the exit status. */
int cli_report(const lithops_error *err);
/* Colours are for terminals, and not where NO_COLOR is set (https://no-color.org). */
bool cli_wants_colour(int fd);

#endif
