/* SPDX-License-Identifier: Apache-2.0 */
/* From text to inputs: arguments, lines of standard input, KEY=VALUE pairs. */
#ifndef LITHOPS_CLI_INPUT_H
#define LITHOPS_CLI_INPUT_H

#include "base/buffer.h"
#include "cli/options.h"

#include <lithops/value.h>

enum cli_text {
    CLI_TEXT_GUESS,  /* JSON where it is JSON, else a string */
    CLI_TEXT_STRING, /* always a string */
    CLI_TEXT_JSON,   /* must be JSON */
};

/* One value, owned by the caller. Text that is not UTF-8 becomes bytes. NULL with LITHOPS_EPARSE
 * (not JSON, only for CLI_TEXT_JSON; a number too large) or LITHOPS_ENOMEM. */
lithops_value *cli_value_from_text(const char *text, size_t len, enum cli_text how,
                                   lithops_error *err);

/* The inputs from --over's arguments: a list, owned by the caller. With `objects` they are names
 * (or cloudobjects in JSON); one that contains * ? [ and does not name a file is expanded as by the
 * shell, for lists of files too long for a command line. */
lithops_value *cli_values_from_list(const struct cli_list *list, enum cli_text how, bool objects,
                                    lithops_error *err);

/* --extra, -o: KEY=VALUE pairs become a map; a single JSON list or map is taken as it is where
 * `json` allows it. NULL and no error for an empty list. */
int cli_named_values(const struct cli_list *list, const char *option, bool json,
                     lithops_value **ret_value, lithops_error *err);
/* --env: a map of strings. NULL and no error for an empty list. */
int cli_environment(const struct cli_list *list, lithops_value **ret_value, lithops_error *err);

/* \n \t \r \\ \xHH in `text`; the result is freed with free(). NULL with LITHOPS_EUSAGE. */
char *cli_unescape(const char *text, lithops_error *err);

/* ---- lines of a file descriptor --------------------------------------------------------------
 * Reads only on request, so that the caller can wait for the descriptor with others. */
struct cli_lines {
    int fd;
    char end;       /* of a line: \n, with or without \r in front; or NUL, as of find -print0 */
    bool at_end;    /* of the file; what is buffered may still hold lines */
    int64_t number; /* number of the line returned last; the first is 1 */
    struct lithops__buffer buffer;
    size_t start;  /* where the next line starts */
    size_t looked; /* how far the search for a newline has come */
};
void cli_lines_init(struct cli_lines *lines, int fd, char end);
void cli_lines_deinit(struct cli_lines *lines);
/* Read once; blocks unless the descriptor is readable. LITHOPS_EIO; LITHOPS_EPARSE for a line of
 * more than 1 GiB. 0 also if a signal interrupted it. */
int cli_lines_read(struct cli_lines *lines, lithops_error *err);
/* The next line without its end, borrowed until the next read; false: read first, or, with
 * at_end, there are no more. The last line may lack its newline. */
bool cli_lines_next(struct cli_lines *lines, lithops_bytes *ret_line);
/* Whether at least one whole line can be returned. */
bool cli_lines_ready(struct cli_lines *lines);

#endif
