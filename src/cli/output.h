/* SPDX-License-Identifier: Apache-2.0 */
/* Where results and errors go: standard output as JSON lines or raw, files, standard error. */
#ifndef LITHOPS_CLI_OUTPUT_H
#define LITHOPS_CLI_OUTPUT_H

#include "base/buffer.h"

#include <lithops/value.h>

struct cli_output {
    int fd;     /* standard output */
    int folder; /* descriptor of --out's folder, or -1 */
    bool raw;
    bool strict_json; /* null for NaN and Infinity, which JSON does not have */
    bool json;        /* write failed calls as lines, too */
    bool is_terminal;
    bool closed; /* the reader of standard output is gone */
    struct lithops__buffer buffer;
};

/* `folder` may be NULL; it is created, but not its parents. */
int cli_output_init(struct cli_output *out, bool json, bool raw, const char *folder,
                    lithops_error *err);
void cli_output_deinit(struct cli_output *out);

/* Write a result: a line, or the file <call>.json, .txt or .bin of the folder.
 * LITHOPS_ETYPE: it has no JSON form (a map that would be read as bytes), and nothing was written;
 * LITHOPS_EIO, LITHOPS_ENOSPACE
 */
int cli_output_result(struct cli_output *out, int64_t call, const lithops_value *result,
                      lithops_error *err);
/* Write bytes unchanged: to standard output, or to the file <number>.out of the folder. */
int cli_output_bytes(struct cli_output *out, int64_t number, lithops_bytes bytes,
                     lithops_error *err);
/* Report a failed call: on standard error, and with `json` as a line of the output. */
int cli_output_failure(struct cli_output *out, int64_t call, const lithops_error *failure,
                       lithops_error *err);
/* Write any value as a line of JSON, for lists other than results. */
int cli_output_line(struct cli_output *out, const lithops_value *value, lithops_error *err);
/* Write out everything. LITHOPS_ECLOSED: the reader is gone. */
int cli_output_flush(struct cli_output *out, lithops_error *err);

/* {"code": "not found", "message": ..., "call": 3, "signal": 11, ...} without members that do not
 * apply; owned by the caller. */
lithops_value *cli_error_value(const lithops_error *failure, int64_t call);

/* Print an error on standard error, in red where colours are wanted, and return the exit status. */
int cli_report(const lithops_error *err);
/* As a lithops__probe_say: a line for each machine, on standard error where it cannot be had. */
void cli_say_part(void *user, const char *name, bool is_there, const char *text);
/* Colours are only for terminals, unless NO_COLOR is set (https://no-color.org). */
bool cli_wants_colour(int fd);

#endif
