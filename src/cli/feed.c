/* SPDX-License-Identifier: Apache-2.0 */
/* Each --over is a source. A single source gives a call per argument, several give one per
 * combination, of which the last source changes fastest. With --link the sources advance together,
 * and shorter ones start over. Standard input is a special source, as its lines are not known in
 * advance.
 *
 * --max-args puts several inputs into a call, --colsep makes several of each line. */
#include "cli/feed.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- sources --------------------------------------------------------------------------------- */

static size_t source_begin(const struct cli_options *o, size_t source)
{
    return o->sources[source];
}

static size_t source_size(const struct cli_options *o, size_t source)
{
    size_t end = source + 1 < o->source_count ? o->sources[source + 1] : o->over.count;
    return end - o->sources[source];
}

static int count_combinations(struct cli_feed *feed, lithops_error *err)
{
    const struct cli_options *o = feed->options;
    feed->total = o->link ? 0 : 1;
    for (size_t s = 0; s < o->source_count; s++) {
        size_t size = source_size(o, s);
        if (size == 0) {
            feed->total = 0;
            return 0;
        }
        if (o->link)
            feed->total = size > feed->total ? size : feed->total;
        else if (__builtin_mul_overflow(feed->total, size, &feed->total))
            return lithops__fail(err, LITHOPS_EUSAGE, "run: too many combinations of inputs");
    }
    if (o->source_count == 1 && o->max_args != LITHOPS_DEFAULT)
        feed->total = (feed->total + (size_t)o->max_args - 1) / (size_t)o->max_args;
    return 0;
}

int cli_feed_init(struct cli_feed *feed, const struct cli_options *o, lithops_error *err)
{
    *feed = (struct cli_feed){.options = o};
    for (size_t i = 0; i < o->over.count; i++)
        feed->is_stream |= strcmp(o->over.items[i], "-") == 0;
    if (feed->is_stream && o->over.count > 1)
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "run: --over: - (standard input) must be the only input");
    if (o->source_count > 1 && (o->max_args != LITHOPS_DEFAULT || o->colsep))
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "run: --max-args and --colsep are for inputs of one --over");
    if (o->colsep && !(feed->separator = cli_unescape(o->colsep, err)))
        return LITHOPS_EUSAGE;
    if (feed->separator && !feed->separator[0])
        return lithops__fail(err, LITHOPS_EUSAGE, "run: --colsep is empty");
    cli_lines_init(&feed->lines, STDIN_FILENO, o->null_ends ? '\0' : '\n');
    return feed->is_stream ? 0 : count_combinations(feed, err);
}

void cli_feed_deinit(struct cli_feed *feed)
{
    cli_lines_deinit(&feed->lines);
    lithops_value_free(feed->words);
    free(feed->separator);
    *feed = (struct cli_feed){.options = feed->options};
}

/* ---- words ----------------------------------------------------------------------------------- */

static int append_word(lithops_value *list, const char *text, size_t len)
{
    return lithops_value_append(list, cli_value_from_text(text, len, CLI_TEXT_STRING, NULL));
}

/* The columns of an input, or all of it. */
static int append_input(const struct cli_feed *feed, lithops_value *list, const char *text,
                        size_t len)
{
    const char *separator = feed->separator;
    size_t separator_len = separator ? strlen(separator) : 0;
    const char *end = text + len, *found;
    int rc = 0;
    while (rc == 0 && separator && text < end &&
           (found = memmem(text, (size_t)(end - text), separator, separator_len)) != NULL) {
        rc = append_word(list, text, (size_t)(found - text));
        text = found + separator_len;
    }
    return rc == 0 ? append_word(list, text, (size_t)(end - text)) : rc;
}

static int append_argument(const struct cli_feed *feed, lithops_value *list, size_t index)
{
    const char *text = feed->options->over.items[index];
    return append_input(feed, list, text, strlen(text));
}

static int append_combination(const struct cli_feed *feed, lithops_value *list)
{
    const struct cli_options *o = feed->options;
    size_t step = feed->total, index = feed->next;
    int rc = 0;
    for (size_t s = 0; rc == 0 && s < o->source_count; s++) {
        size_t size = source_size(o, s), at = index % size;
        if (!o->link) {
            step /= size;
            at = index / step;
            index %= step;
        }
        rc = append_argument(feed, list, source_begin(o, s) + at);
    }
    return rc;
}

/* --max-args of one source. */
static int append_slice(const struct cli_feed *feed, lithops_value *list)
{
    size_t each = (size_t)feed->options->max_args, begin = feed->next * each;
    int rc = 0;
    for (size_t i = begin; rc == 0 && i < begin + each && i < feed->options->over.count; i++)
        rc = append_argument(feed, list, i);
    return rc;
}

/* ---- calls ----------------------------------------------------------------------------------- */

static size_t lines_per_call(const struct cli_feed *feed)
{
    int64_t most = feed->options->max_args;
    return most == LITHOPS_DEFAULT ? 1 : (size_t)most;
}

static lithops_value *new_call(const struct cli_feed *feed)
{
    lithops_value *list = lithops_value_list();
    if (list && lithops_value_append(list, lithops_value_int(feed->number + 1)) == 0)
        return list;
    lithops_value_free(list);
    return NULL;
}

bool cli_feed_ready(struct cli_feed *feed)
{
    if (!feed->is_stream)
        return feed->next < feed->total;
    if (feed->options->max_args == LITHOPS_DEFAULT)
        return cli_lines_ready(&feed->lines);
    lithops_bytes line;
    while (feed->held < lines_per_call(feed) && cli_lines_next(&feed->lines, &line)) {
        feed->words = feed->words ? feed->words : new_call(feed);
        if (!feed->words || append_input(feed, feed->words, line.ptr, line.len) != 0)
            return true; /* next() reports the lack of memory */
        feed->held++;
    }
    return feed->held == lines_per_call(feed) || (feed->held && feed->lines.at_end);
}

bool cli_feed_at_end(struct cli_feed *feed)
{
    return (!feed->is_stream || feed->lines.at_end) && !cli_feed_ready(feed);
}

lithops_value *cli_feed_next(struct cli_feed *feed, lithops_error *err)
{
    const bool several = feed->options->max_args != LITHOPS_DEFAULT;
    lithops_value *list = feed->is_stream && several ? feed->words : new_call(feed);
    lithops_bytes line;
    int rc = list ? 0 : LITHOPS_ENOMEM;
    if (rc == 0 && feed->is_stream && !several && cli_lines_next(&feed->lines, &line))
        rc = append_input(feed, list, line.ptr, line.len);
    else if (rc == 0 && !feed->is_stream)
        rc = several ? append_slice(feed, list) : append_combination(feed, list);
    feed->words = NULL;
    feed->held = 0;
    feed->next++;
    feed->number++;
    if (rc == 0)
        return list;
    lithops_value_free(list);
    lithops__fail(err, LITHOPS_ENOMEM, "out of memory for the inputs");
    return NULL;
}
