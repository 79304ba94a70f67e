/* SPDX-License-Identifier: Apache-2.0 */
/* From text to inputs.
 *
 * An argument that is entirely JSON, without blanks around it, is taken as JSON, anything else as a
 * string: so numbers, lists and maps need no option, and words need no quotes. JSON numbers have no
 * leading zeros, so 007 stays a string. A file name that looks like a number becomes a number,
 * unless --strings is given. A number that fits neither int64_t nor double is an error: as a double
 * it would silently change, as a string it would not be a number. */
#include "cli/input.h"

#include "base/error.h"
#include "value/value.h"

#include <ctype.h>
#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { READ_BYTES = 1 << 18 };
#define LONGEST_LINE ((size_t)1 << 30)

/* Fast path for the most frequent input, an integer of at most 18 digits. */
static bool parse_int(const char *text, size_t len, int64_t *ret_int)
{
    bool negative = len > 0 && text[0] == '-';
    size_t at = negative;
    if (len - at == 0 || len - at > 18 || (text[at] == '0' && len - at > 1))
        return false;
    int64_t number = 0;
    for (; at < len; at++) {
        if (!isdigit((unsigned char)text[at]))
            return false;
        number = number * 10 + (text[at] - '0');
    }
    *ret_int = negative ? -number : number;
    return true;
}

static bool may_be_json(const char *text, size_t len)
{
    return len > 0 && text[0] && strchr("-0123456789\"[{tfnNI", text[0]) &&
           !isspace((unsigned char)text[len - 1]);
}

lithops_value *cli_value_from_text(const char *text, size_t len, enum cli_text how,
                                   lithops_error *err)
{
    int64_t number;
    bool too_big = false;
    lithops_value *value = NULL;
    if (how != CLI_TEXT_STRING && parse_int(text, len, &number))
        value = lithops_value_int(number);
    else if (how == CLI_TEXT_JSON)
        return lithops__json_read(text, len, true, &too_big, err);
    else if (how == CLI_TEXT_GUESS && may_be_json(text, len))
        value = lithops__json_read(text, len, true, &too_big, err);
    if (too_big) {
        lithops__error_prefix(err,
                              "the number is too large; --strings takes all inputs as strings");
        return NULL;
    }
    if (!value)
        value = lithops__value_text(text, len);
    if (!value)
        lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    return value;
}

/* ---- arguments ------------------------------------------------------------------------------- */

static int append(lithops_value *list, lithops_value *item, lithops_error *err)
{
    if (!item || lithops_value_append(list, item) != 0)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    return 0;
}

/* Names need not be UTF-8. */
static lithops_value *name_value(const char *name, lithops_error *err)
{
    return cli_value_from_text(name, strlen(name), CLI_TEXT_STRING, err);
}

static int append_object(lithops_value *list, const char *name, lithops_error *err)
{
    if (name[0] == '{') {
        lithops_value *object = cli_value_from_text(name, strlen(name), CLI_TEXT_GUESS, err);
        return append(list, object, err);
    }
    glob_t found;
    if (strpbrk(name, "*?[") && access(name, F_OK) != 0 &&
        glob(name, GLOB_BRACE | GLOB_TILDE, NULL, &found) == 0) {
        int rc = 0;
        for (size_t i = 0; rc == 0 && i < found.gl_pathc; i++)
            rc = append(list, name_value(found.gl_pathv[i], err), err);
        globfree(&found);
        return rc;
    }
    return append(list, name_value(name, err), err);
}

lithops_value *cli_values_from_list(const struct cli_list *list, enum cli_text how, bool objects,
                                    lithops_error *err)
{
    lithops_value *values = lithops_value_list();
    int rc = values ? 0 : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    for (size_t i = 0; rc == 0 && i < list->count; i++) {
        const char *text = list->items[i];
        if (objects) {
            rc = append_object(values, text, err);
        } else {
            lithops_value *value = cli_value_from_text(text, strlen(text), how, err);
            rc = value ? append(values, value, err) : LITHOPS_EPARSE;
            if (!value)
                lithops__error_prefix(err, "input '%s'", text);
        }
    }
    if (rc == 0)
        return values;
    lithops_value_free(values);
    return NULL;
}

/* ---- KEY=VALUE ------------------------------------------------------------------------------- */

static int set_pair(lithops_value *map, const char *pair, bool strings, lithops_error *err)
{
    const char *equals = strchr(pair, '=');
    char *key = strndup(pair, (size_t)(equals - pair));
    lithops_value *value =
        strings ? lithops_value_string(equals + 1)
                : cli_value_from_text(equals + 1, strlen(equals + 1), CLI_TEXT_GUESS, err);
    int rc = 0;
    if (!key) {
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    } else if (!value && strings) {
        rc = lithops__fail(err, LITHOPS_EUSAGE, "'%s' is not UTF-8", pair);
    } else if (!value) {
        lithops__error_prefix(err, "'%s'", pair);
        rc = LITHOPS_EPARSE;
    } else {
        rc = lithops_value_set(map, key, value); /* frees the value on failure too */
        value = NULL;
        if (rc)
            lithops__fail(err, rc, "'%s': the key is not UTF-8, or out of memory", pair);
    }
    lithops_value_free(value);
    free(key);
    return rc;
}

int cli_named_values(const struct cli_list *list, const char *option, bool json,
                     lithops_value **ret_value, lithops_error *err)
{
    *ret_value = NULL;
    if (list->count == 0)
        return 0;
    const char *first = list->items[0];
    if (json && list->count == 1 && (first[0] == '[' || first[0] == '{')) {
        *ret_value = lithops_value_from_json(first, strlen(first), err);
        if (*ret_value)
            return 0;
        lithops__error_prefix(err, "--%s", option);
        return LITHOPS_EUSAGE;
    }
    lithops_value *map = lithops_value_map();
    int rc = map ? 0 : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    for (size_t i = 0; rc == 0 && i < list->count; i++) {
        const char *item = list->items[i];
        if (!strchr(item, '=') || item[0] == '=' || (json && (item[0] == '[' || item[0] == '{')))
            rc = lithops__fail(err, LITHOPS_EUSAGE, "--%s '%s': KEY=VALUE%s expected", option, item,
                               json ? ", or one JSON list or map," : "");
        else
            rc = set_pair(map, item, false, err);
    }
    if (rc == 0)
        *ret_value = map;
    else
        lithops_value_free(map);
    return rc;
}

int cli_environment(const struct cli_list *list, lithops_value **ret_value, lithops_error *err)
{
    *ret_value = NULL;
    if (list->count == 0)
        return 0;
    lithops_value *map = lithops_value_map();
    int rc = map ? 0 : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    for (size_t i = 0; rc == 0 && i < list->count; i++)
        rc = set_pair(map, list->items[i], true, err);
    if (rc == 0)
        *ret_value = map;
    else
        lithops_value_free(map);
    return rc;
}

/* The character that the escape at *text stands for, or -1; moves *text to its last letter. */
static int unescape_one(const char **text)
{
    static const char names[] = "ntr\\", meanings[] = "\n\t\r\\";
    const char *name = **text ? strchr(names, **text) : NULL;
    if (name)
        return (unsigned char)meanings[name - names];
    const char *at = *text;
    if (*at != 'x' || !isxdigit((unsigned char)at[1]) || !isxdigit((unsigned char)at[2]))
        return -1;
    const char digits[3] = {at[1], at[2], '\0'};
    *text += 2;
    int code = (int)strtol(digits, NULL, 16);
    return code ? code : -1; /* a separator is a C string */
}

char *cli_unescape(const char *text, lithops_error *err)
{
    char *result = malloc(strlen(text) + 1), *to = result;
    if (!result) {
        lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
        return NULL;
    }
    for (const char *at = text; *at; at++) {
        int c = (unsigned char)*at;
        if (c == '\\') {
            at++;
            c = unescape_one(&at);
        }
        if (c < 0) {
            lithops__fail(err, LITHOPS_EUSAGE,
                          "--newline '%s': after a backslash n, t, r, \\ or xHH (not x00) expected",
                          text);
            free(result);
            return NULL;
        }
        *to++ = (char)c;
    }
    *to = '\0';
    return result;
}

/* ---- lines ----------------------------------------------------------------------------------- */

void cli_lines_init(struct cli_lines *lines, int fd, char end)
{
    *lines = (struct cli_lines){.fd = fd, .end = end, .buffer = LITHOPS__BUFFER_INIT};
}

void cli_lines_deinit(struct cli_lines *lines)
{
    lithops__buffer_deinit(&lines->buffer);
}

int cli_lines_read(struct cli_lines *lines, lithops_error *err)
{
    struct lithops__buffer *buffer = &lines->buffer;
    if (lines->start > 0) {
        memmove(buffer->data, buffer->data + lines->start, buffer->len - lines->start);
        buffer->len -= lines->start;
        lines->looked -= lines->start;
        lines->start = 0;
    }
    if (buffer->len > LONGEST_LINE)
        return lithops__fail(err, LITHOPS_EPARSE,
                             "standard input: line %lld is longer than 1 GiB; is it text?",
                             (long long)lines->number + 1);
    void *room = lithops__buffer_reserve(buffer, READ_BYTES);
    if (!room)
        return lithops__fail(err, LITHOPS_ENOMEM, "standard input: no memory for line %lld",
                             (long long)lines->number + 1);
    ssize_t got = read(lines->fd, room, READ_BYTES);
    if (got < 0 && errno != EINTR && errno != EAGAIN)
        return lithops__fail_errno(err, errno, "standard input cannot be read");
    if (got > 0)
        buffer->len += (size_t)got;
    lines->at_end = lines->at_end || got == 0;
    return 0;
}

bool cli_lines_ready(struct cli_lines *lines)
{
    struct lithops__buffer *buffer = &lines->buffer;
    if (lines->looked < buffer->len) {
        unsigned char *from = buffer->data + lines->looked;
        unsigned char *newline = memchr(from, lines->end, buffer->len - lines->looked);
        lines->looked = newline ? (size_t)(newline - buffer->data) : buffer->len;
    }
    /* Move `looked` to a newline, or to the end of the buffer. */
    return lines->looked < buffer->len || (lines->at_end && lines->start < buffer->len);
}

/* Strip what Windows adds to text: a byte order mark before the first line, a CR at the end of
 * each. */
static void strip_marks(lithops_bytes *line, bool is_first)
{
    static const char mark[] = "\xef\xbb\xbf";
    const size_t len = sizeof mark - 1;
    if (is_first && line->len >= len && memcmp(line->ptr, mark, len) == 0)
        *line = (lithops_bytes){(const char *)line->ptr + len, line->len - len};
    if (line->len && ((const char *)line->ptr)[line->len - 1] == '\r')
        line->len--;
}

bool cli_lines_next(struct cli_lines *lines, lithops_bytes *ret_line)
{
    if (!cli_lines_ready(lines))
        return false;
    struct lithops__buffer *buffer = &lines->buffer;
    *ret_line = (lithops_bytes){buffer->data + lines->start, lines->looked - lines->start};
    lines->start = lines->looked < buffer->len ? lines->looked + 1 : buffer->len;
    lines->looked = lines->start;
    lines->number++;
    if (lines->end == '\n')
        strip_marks(ret_line, lines->number == 1);
    return true;
}
