/* SPDX-License-Identifier: Apache-2.0 */
/* The inputs of `lithops run`, one call after the other: arguments in all combinations, or lines of
 * standard input. */
#ifndef LITHOPS_CLI_FEED_H
#define LITHOPS_CLI_FEED_H

#include "cli/input.h"
#include "cli/options.h"

struct cli_feed {
    const struct cli_options *options;
    bool is_stream;         /* standard input */
    struct cli_lines lines; /* of it */
    char *separator;        /* of columns, or NULL */
    lithops_value *words;   /* from lines that do not make up a whole call yet */
    size_t held;            /* lines in `words` */
    size_t next, total;     /* combinations of arguments */
    int64_t number;         /* of the call returned last */
};

int cli_feed_init(struct cli_feed *feed, const struct cli_options *options, lithops_error *err);
void cli_feed_deinit(struct cli_feed *feed);
/* Whether a call can be returned without reading. */
bool cli_feed_ready(struct cli_feed *feed);
/* Whether standard input, if used, was read to its end: no more calls will become ready. */
bool cli_feed_at_end(struct cli_feed *feed);
/* The next call: a list of its number, from 1, and its inputs; owned by the caller. NULL when out
 * of memory. */
lithops_value *cli_feed_next(struct cli_feed *feed, lithops_error *err);

#endif
