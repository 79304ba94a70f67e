/* SPDX-License-Identifier: Apache-2.0 */
/* Values to JSON.
 *
 * One line of UTF-8; escaped are the quote, the backslash and control characters. A double is the
 * shortest text that reads back as the same double, and always has a '.' or an 'e', so that it does
 * not come back as an int. Bytes are written as {"$bytes": "<base64>"}; a map of exactly that form
 * is refused, as it would be read back as bytes. */
#include "base/error.h"
#include "value/tree.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void write_string(struct lithops__buffer *out, const char *s, size_t len)
{
    static const char escapes[] = {['"'] = '"',  ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f',
                                   ['\n'] = 'n', ['\r'] = 'r',  ['\t'] = 't'};
    size_t written = 0;
    lithops__buffer_append(out, "\"", 1);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        lithops__buffer_append(out, s + written, i - written);
        written = i + 1;
        if (escapes[c])
            lithops__buffer_append(out, (char[]){'\\', escapes[c]}, 2);
        else
            lithops__buffer_printf(out, "\\u%04x", c);
    }
    lithops__buffer_append(out, s + written, len - written);
    lithops__buffer_append(out, "\"", 1);
}

/* The fewest digits that read back as `d`. Precisions below 15 need not be tried, since %g drops
 * trailing zeros; only subnormal numbers have fewer digits than that. */
static void write_double(struct lithops__buffer *out, double d)
{
    char digits[40], text[48];
    for (int precision = fpclassify(d) == FP_SUBNORMAL ? 1 : 15; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, d);
        if (strtod(digits, NULL) == d)
            break;
    }
    size_t len = 0;
    bool has_mark = false;
    for (const char *p = digits; *p; p++) {
        if (strchr("0123456789+-e", *p)) {
            has_mark |= *p == 'e';
            text[len++] = *p;
        } else if (len > 0 && text[len - 1] != '.') {
            has_mark = true; /* the locale's decimal point, of one byte or more */
            text[len++] = '.';
        }
    }
    lithops__buffer_append(out, text, len);
    if (!has_mark)
        lithops__buffer_append(out, ".0", 2);
}

static void write_base64(struct lithops__buffer *out, const unsigned char *bytes, size_t len)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < len; i += 3) {
        size_t count = len - i < 3 ? len - i : 3;
        uint32_t bits = (uint32_t)bytes[i] << 16;
        if (count > 1)
            bits |= (uint32_t)bytes[i + 1] << 8;
        if (count > 2)
            bits |= bytes[i + 2];
        char quad[4] = {letters[bits >> 18], letters[bits >> 12 & 63],
                        count > 1 ? letters[bits >> 6 & 63] : '=',
                        count > 2 ? letters[bits & 63] : '='};
        lithops__buffer_append(out, quad, 4);
    }
}

struct writer {
    struct lithops__buffer out;
    enum lithops__json_numbers numbers;
    lithops_error *err;
};

static int write_value(struct writer *w, const lithops_value *value);

static int write_no_number(struct writer *w, double d)
{
    if (w->numbers == LITHOPS__JSON_REFUSE)
        return lithops__fail(w->err, LITHOPS_ETYPE, "JSON has no %s",
                             isnan(d) ? "not-a-number" : "infinity");
    const char *name = isnan(d) ? "NaN" : d < 0 ? "-Infinity" : "Infinity";
    lithops__buffer_append_string(&w->out, w->numbers == LITHOPS__JSON_NULLS ? "null" : name);
    return 0;
}

static int write_list(struct writer *w, const struct list *list)
{
    struct lithops__buffer *out = &w->out;
    int code = 0;
    lithops__buffer_append(out, "[", 1);
    for (size_t i = 0; i < list->count && code == 0 && !out->failed; i++) {
        union list_item scratch;
        if (i > 0)
            lithops__buffer_append(out, ", ", 2);
        code = write_value(w, lithops__list_item(list, i, &scratch));
        if (code != 0)
            lithops__error_prefix(w->err, "item %zu", i);
    }
    lithops__buffer_append(out, "]", 1);
    return code;
}

static int write_map(struct writer *w, const struct map *map)
{
    struct lithops__buffer *out = &w->out;
    if (map->count == 1 && strcmp(map->entries[0].key, LITHOPS__JSON_BYTES_KEY) == 0 &&
        map->entries[0].value->type == LITHOPS_STRING)
        return lithops__fail(w->err, LITHOPS_ETYPE,
                             "a map of one string named '%s' cannot be written as JSON: it would "
                             "be read back as bytes",
                             LITHOPS__JSON_BYTES_KEY);
    int code = 0;
    lithops__buffer_append(out, "{", 1);
    for (size_t i = 0; i < map->count && code == 0 && !out->failed; i++) {
        const struct map_entry *entry = &map->entries[i];
        if (i > 0)
            lithops__buffer_append(out, ", ", 2);
        write_string(out, entry->key, entry->key_len);
        lithops__buffer_append(out, ": ", 2);
        code = write_value(w, entry->value);
        if (code != 0)
            lithops__error_prefix(w->err, "key '%s'", entry->key);
    }
    lithops__buffer_append(out, "}", 1);
    return code;
}

static int write_value(struct writer *w, const lithops_value *value)
{
    struct lithops__buffer *out = &w->out;
    const struct scalar *scalar = (const struct scalar *)value;
    const struct text *text = (const struct text *)value;
    switch ((lithops_type)value->type) {
    case LITHOPS_NULL:
        lithops__buffer_append(out, "null", 4);
        return 0;
    case LITHOPS_BOOL:
        lithops__buffer_append_string(out, scalar->as.b ? "true" : "false");
        return 0;
    case LITHOPS_INT:
        lithops__buffer_printf(out, "%lld", (long long)scalar->as.i);
        return 0;
    case LITHOPS_DOUBLE:
        if (!isfinite(scalar->as.d))
            return write_no_number(w, scalar->as.d);
        write_double(out, scalar->as.d);
        return 0;
    case LITHOPS_STRING:
        write_string(out, text->ptr, text->len);
        return 0;
    case LITHOPS_BYTES:
        lithops__buffer_append_string(out, "{\"" LITHOPS__JSON_BYTES_KEY "\": \"");
        write_base64(out, (const unsigned char *)text->ptr, text->len);
        lithops__buffer_append(out, "\"}", 2);
        return 0;
    case LITHOPS_LIST:
        return write_list(w, (const struct list *)value);
    case LITHOPS_MAP:
        return write_map(w, (const struct map *)value);
    }
    return lithops__fail(w->err, LITHOPS_ETYPE, "a value of unknown type");
}

int lithops__json_write(const lithops_value *value, enum lithops__json_numbers numbers,
                        char **ret_text, lithops_error *err)
{
    if (!value || !ret_text)
        return lithops__fail(err, LITHOPS_EUSAGE, "%s is NULL", value ? "ret_text" : "the value");
    struct writer w = {.numbers = numbers, .err = err};
    int code = write_value(&w, value);
    if (code != 0) {
        lithops__buffer_deinit(&w.out);
        return code;
    }
    char *text = lithops__buffer_steal(&w.out);
    if (!text)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory while writing JSON");
    *ret_text = text;
    return LITHOPS_OK;
}

int lithops_value_to_json(const lithops_value *value, char **ret_text, lithops_error *err)
{
    return lithops__json_write(value, LITHOPS__JSON_REFUSE, ret_text, err);
}
