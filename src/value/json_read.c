/* SPDX-License-Identifier: Apache-2.0 */
/* JSON to values.
 *
 * Strict RFC 8259: any value may stand at the top; UTF-8; no comments, no final commas, no NaN.
 * Integers are exact to 64 bits, and larger ones an error rather than rounded; a number with a '.'
 * or an exponent is a double, correctly rounded. "\u0000" is allowed in strings, not in keys. Of
 * equal keys the last one counts, at the place of the first. {"$bytes": "<base64>"} is bytes.
 *
 * Written here because jansson 2.14, the natural choice, does not check whether its token buffer
 * could grow: under a memory limit, as in worker processes, it silently drops digits of numbers and
 * reads past the end of long strings. The tests still use it as an oracle.
 *
 * One pass, recursive to 512 levels. Strings without escapes are copied straight from the text;
 * others are assembled in `scratch`, which is used as a stack: a key stays in it while its value is
 * read. Positions are not tracked: line and column are counted when there is an error. */
#include "base/error.h"
#include "value/tree.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    const char *start, *at, *end;
    struct lithops__buffer scratch;
    lithops_error *err;
    bool names;          /* NaN and Infinity are numbers */
    const char *too_big; /* the first number that does not fit, and what about it */
    const char *too_big_text;
};

/* A string's content: in the text, or, with `text` NULL, in scratch, which may move as it grows. */
struct piece {
    const char *text;
    size_t offset;
    size_t len;
};

/* ---- errors; all of these return NULL, for `return` ------------------------------------------ */

static void *fail_at(struct reader *r, const char *at, const char *what, const char *more)
{
    size_t line = 1, column = 1;
    for (const char *p = r->start; p < at; p++) {
        if (*p == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)*p & 0xC0) != 0x80) {
            column++; /* characters, not bytes */
        }
    }
    lithops__fail(r->err, LITHOPS_EPARSE, "JSON, line %zu, column %zu: %s%s", line, column, what,
                  more);
    return NULL;
}

static void *expected(struct reader *r, const char *what)
{
    char found[] = " expected, 'x' found";
    if (r->at == r->end)
        return fail_at(r, r->at, what, " expected, but the text ends");
    found[12] = *r->at;
    return fail_at(r, r->at, what, *r->at > ' ' && *r->at < 0x7f ? found : " expected");
}

static void *no_memory(struct reader *r)
{
    lithops__fail(r->err, LITHOPS_ENOMEM, "out of memory while reading JSON");
    return NULL;
}

static lithops_value *checked(struct reader *r, lithops_value *value)
{
    return value ? value : no_memory(r);
}

/* ---- what the text is made of ---------------------------------------------------------------- */

/* The next character other than blanks, not moved past; '\0' at the end (and for a NUL, which has
 * no place in JSON either). */
static char peek(struct reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\t' || *r->at == '\r'))
        r->at++;
    return r->at < r->end ? *r->at : '\0';
}

static bool take(struct reader *r, char c)
{
    if (peek(r) != c)
        return false;
    r->at++;
    return true;
}

static bool take_word(struct reader *r, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(r->end - r->at) < len || memcmp(r->at, word, len) != 0)
        return false;
    r->at += len;
    return true;
}

static size_t take_digits(struct reader *r)
{
    const char *first = r->at;
    while (r->at < r->end && *r->at >= '0' && *r->at <= '9')
        r->at++;
    return (size_t)(r->at - first);
}

/* ---- numbers --------------------------------------------------------------------------------- */

/* Reading goes on, to find out whether the text is JSON at all. */
static lithops_value *too_big(struct reader *r, const char *first, const char *text)
{
    if (!r->too_big) {
        r->too_big = first;
        r->too_big_text = text;
    }
    return lithops_value_null();
}

static lithops_value *make_int(struct reader *r, const char *first)
{
    bool is_negative = *first == '-';
    int64_t i = 0;
    for (const char *p = first + is_negative; p < r->at; p++) {
        int digit = is_negative ? -(*p - '0') : *p - '0'; /* so that INT64_MIN fits */
        if (__builtin_mul_overflow(i, 10, &i) || __builtin_add_overflow(i, digit, &i))
            return too_big(r, first,
                           "the integer has more than 64 bits; write it with a '.' or as a string");
    }
    return checked(r, lithops_value_int(i));
}

/* strtod() needs an end, and looks for the decimal point of the program's locale. */
static lithops_value *make_double(struct reader *r, const char *first)
{
    size_t mark = r->scratch.len;
    lithops__buffer_append(&r->scratch, first, (size_t)(r->at - first));
    lithops__buffer_append(&r->scratch, "", 1);
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (r->scratch.failed || !c_locale)
        return no_memory(r);
    double d = strtod_l((const char *)r->scratch.data + mark, NULL, c_locale);
    freelocale(c_locale);
    r->scratch.len = mark;
    if (isinf(d))
        return too_big(r, first, "the number is too big for a double");
    return checked(r, lithops_value_double(d));
}

static lithops_value *read_number(struct reader *r)
{
    const char *first = r->at;
    bool is_int = true;
    if (*r->at == '-')
        r->at++;
    if (r->names && take_word(r, "Infinity"))
        return checked(r, lithops_value_double(*first == '-' ? -HUGE_VAL : HUGE_VAL));
    const char *digits = r->at;
    size_t count = take_digits(r);
    if (count == 0)
        return expected(r, "a digit");
    if (*digits == '0' && count > 1)
        return fail_at(r, first, "a number starts with 0", "");
    if (r->at < r->end && *r->at == '.') {
        is_int = false;
        r->at++;
        if (take_digits(r) == 0)
            return expected(r, "a digit");
    }
    if (r->at < r->end && (*r->at == 'e' || *r->at == 'E')) {
        is_int = false;
        r->at++;
        if (r->at < r->end && (*r->at == '+' || *r->at == '-'))
            r->at++;
        if (take_digits(r) == 0)
            return expected(r, "a digit");
    }
    return is_int ? make_int(r, first) : make_double(r, first);
}

/* ---- strings --------------------------------------------------------------------------------- */

/* Four hex digits, or -1. */
static int32_t take_hex4(struct reader *r)
{
    int32_t number = 0;
    if (r->end - r->at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char c = r->at[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        number = number << 4 | digit;
    }
    r->at += 4;
    return number;
}

static void append_utf8(struct lithops__buffer *out, uint32_t c)
{
    unsigned char bytes[4];
    size_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char heads[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = len; i-- > 1; c >>= 6)
        bytes[i] = (unsigned char)(0x80 | (c & 0x3F));
    bytes[0] = (unsigned char)(heads[len] | c);
    lithops__buffer_append(out, bytes, len);
}

/* After "\u": a character, or the two halves of a surrogate pair. */
static bool unescape_unicode(struct reader *r)
{
    const char *escape = r->at - 2;
    int32_t c = take_hex4(r);
    if (c >= 0xD800 && c <= 0xDBFF && take_word(r, "\\u")) {
        int32_t low = take_hex4(r);
        c = low >= 0xDC00 && low <= 0xDFFF ? 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00) : -1;
    }
    if (c < 0 || (c >= 0xD800 && c <= 0xDFFF)) {
        fail_at(r, escape, "a \\u escape is not a character", "");
        return false;
    }
    append_utf8(&r->scratch, (uint32_t)c);
    return true;
}

static bool unescape(struct reader *r)
{
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    const char *escape = r->at++;
    char c = r->at < r->end ? *r->at : '\0';
    const char *letter = c ? strchr(letters, c) : NULL;
    if (c == 'u') {
        r->at++;
        return unescape_unicode(r);
    }
    if (!letter) {
        fail_at(r, escape, "unknown escape", "");
        return false;
    }
    r->at++;
    lithops__buffer_append(&r->scratch, &meanings[letter - letters], 1);
    return true;
}

/* Move to the next byte that is not plain text, and past the plain bytes before it. */
static void skip_plain(struct reader *r)
{
    while (r->at < r->end && *r->at != '"' && *r->at != '\\' && (unsigned char)*r->at >= 0x20)
        r->at++;
}

/* The rest of a string that has escapes; what came before the first is at `run`. */
static bool read_escaped(struct reader *r, const char *run)
{
    while (r->at < r->end && *r->at == '\\') {
        lithops__buffer_append(&r->scratch, run, (size_t)(r->at - run));
        if (!unescape(r))
            return false;
        run = r->at;
        skip_plain(r);
    }
    lithops__buffer_append(&r->scratch, run, (size_t)(r->at - run));
    if (r->scratch.failed)
        no_memory(r);
    return !r->scratch.failed;
}

/* A string, at its opening quote. Takes room in scratch when it has escapes. */
static bool read_string(struct reader *r, struct piece *ret)
{
    const char *quote = r->at++, *first = r->at;
    *ret = (struct piece){.text = first, .offset = r->scratch.len};
    skip_plain(r);
    if (r->at < r->end && *r->at == '\\') {
        ret->text = NULL;
        if (!read_escaped(r, first))
            return false;
    }
    if (r->at == r->end || *r->at != '"') {
        fail_at(r, r->at == r->end ? quote : r->at,
                r->at == r->end ? "the string does not end" : "a control character in a string",
                r->at == r->end ? "" : "; write it as an escape");
        return false;
    }
    if (!lithops__utf8_valid(first, (size_t)(r->at - first))) {
        fail_at(r, quote, "the string is not UTF-8", "");
        return false;
    }
    ret->len = ret->text ? (size_t)(r->at - first) : r->scratch.len - ret->offset;
    r->at++;
    return true;
}

static const char *piece_ptr(const struct reader *r, const struct piece *piece)
{
    return piece->text ? piece->text : (const char *)r->scratch.data + piece->offset;
}

static lithops_value *read_string_value(struct reader *r)
{
    struct piece piece;
    size_t mark = r->scratch.len;
    if (!read_string(r, &piece))
        return NULL;
    r->scratch.len = mark;
    return checked(r, lithops__text_new(LITHOPS_STRING, piece_ptr(r, &piece), piece.len));
}

/* ---- bytes ----------------------------------------------------------------------------------- */

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Append the bytes to `out`. Strict: whole groups of four and no spare bits, so that each byte
 * string has exactly one text. */
static bool base64_decode(const char *text, size_t len, struct lithops__buffer *out)
{
    if (len % 4 != 0)
        return false;
    for (size_t i = 0; i < len; i += 4) {
        bool is_padded = i + 4 == len && text[i + 3] == '=';
        size_t padding = !is_padded ? 0 : text[i + 2] == '=' ? 2 : 1;
        uint32_t bits = 0;
        for (size_t k = 0; k < 4; k++) {
            int digit = k < 4 - padding ? base64_digit(text[i + k]) : 0;
            if (digit < 0)
                return false;
            bits = bits << 6 | (uint32_t)digit;
        }
        if (bits & (((uint32_t)1 << 8 * padding) - 1))
            return false;
        const unsigned char bytes[] = {(unsigned char)(bits >> 16), (unsigned char)(bits >> 8),
                                       (unsigned char)bits};
        lithops__buffer_append(out, bytes, 3 - padding);
    }
    return true;
}

/* Consumes `map`, which was read from the text at `brace`. */
static lithops_value *bytes_from_map(struct reader *r, lithops_value *map, const char *brace)
{
    size_t mark = r->scratch.len;
    lithops_bytes text = lithops_value_get_bytes(lithops_value_pair(map, 0, NULL));
    bool is_base64 = base64_decode(text.ptr, text.len, &r->scratch);
    lithops_value_free(map);
    if (!is_base64)
        return fail_at(r, brace, "what '" LITHOPS__JSON_BYTES_KEY "' holds is not base64 ",
                       "(in groups of four, padded with '=')");
    if (r->scratch.failed)
        return no_memory(r);
    size_t len = r->scratch.len - mark;
    r->scratch.len = mark;
    return checked(r, lithops__text_new(LITHOPS_BYTES, len ? r->scratch.data + mark : NULL, len));
}

/* ---- lists and maps -------------------------------------------------------------------------- */

static lithops_value *read_value(struct reader *r, unsigned levels);

static lithops_value *read_list(struct reader *r, unsigned levels)
{
    lithops_value *list = checked(r, lithops_value_list());
    r->at++;
    if (!list || take(r, ']'))
        return list;
    for (;;) {
        lithops_value *item = read_value(r, levels);
        if (!item)
            break;
        if (lithops_value_append(list, item) != 0) {
            no_memory(r);
            break;
        }
        if (take(r, ']'))
            return list;
        if (!take(r, ',')) {
            expected(r, "',' or ']'");
            break;
        }
    }
    lithops_value_free(list);
    return NULL;
}

static bool read_pair(struct reader *r, lithops_value *map, unsigned levels)
{
    struct piece key;
    size_t mark = r->scratch.len;
    if (peek(r) != '"')
        return expected(r, "a key in double quotes");
    const char *quote = r->at;
    if (!read_string(r, &key))
        return false;
    if (memchr(piece_ptr(r, &key), '\0', key.len))
        return fail_at(r, quote, "the key holds a NUL", "");
    if (!take(r, ':'))
        return expected(r, "':'");
    lithops_value *item = read_value(r, levels);
    if (!item)
        return false;
    r->scratch.len = mark;
    if (lithops__map_set((struct map *)map, piece_ptr(r, &key), key.len, item) != 0)
        return no_memory(r);
    return true;
}

static bool looks_like_bytes(const lithops_value *map)
{
    return lithops_value_size(map) == 1 &&
           lithops_value_type(lithops_value_get(map, LITHOPS__JSON_BYTES_KEY)) == LITHOPS_STRING;
}

/* A map of pairs, at its brace; whether it is bytes is seen at its end. */
static lithops_value *read_pairs(struct reader *r, unsigned levels)
{
    lithops_value *map = checked(r, lithops_value_map());
    r->at++;
    if (!map || take(r, '}'))
        return map;
    while (read_pair(r, map, levels)) {
        if (take(r, '}'))
            return map;
        if (!take(r, ',')) {
            expected(r, "',' or '}'");
            break;
        }
    }
    lithops_value_free(map);
    return NULL;
}

static void *too_deep(struct reader *r, const char *at)
{
    return fail_at(r, at, "more than 512 levels of lists and maps", "");
}

static lithops_value *read_map(struct reader *r, unsigned levels)
{
    const char *brace = r->at;
    lithops_value *map = read_pairs(r, levels);
    if (looks_like_bytes(map))
        return bytes_from_map(r, map, brace);
    if (map && levels > LITHOPS__MAX_LEVELS) {
        lithops_value_free(map);
        return too_deep(r, brace);
    }
    return map;
}

/* `levels`: lists and maps around it. Bytes are not a level, so one more brace is allowed. */
static lithops_value *read_value(struct reader *r, unsigned levels)
{
    char c = peek(r);
    if ((c == '[' && levels >= LITHOPS__MAX_LEVELS) || (c == '{' && levels > LITHOPS__MAX_LEVELS))
        return too_deep(r, r->at);
    if (c == '[')
        return read_list(r, levels + 1);
    if (c == '{')
        return read_map(r, levels + 1);
    if (c == '"')
        return read_string_value(r);
    if (c == '-' || (c >= '0' && c <= '9'))
        return read_number(r);
    if (r->names && take_word(r, "NaN"))
        return checked(r, lithops_value_double(NAN));
    if (r->names && c == 'I')
        return read_number(r);
    if (take_word(r, "null"))
        return lithops_value_null();
    if (take_word(r, "true"))
        return lithops_value_bool(true);
    if (take_word(r, "false"))
        return lithops_value_bool(false);
    return expected(r, "a value");
}

lithops_value *lithops__json_read(const char *text, size_t len, bool names, bool *ret_too_big,
                                  lithops_error *err)
{
    *ret_too_big = false;
    struct reader r = {.start = text, .at = text, .end = text + len, .err = err, .names = names};
    lithops_value *value = read_value(&r, 0);
    if (value && (peek(&r) != '\0' || r.at != r.end)) {
        expected(&r, "the end of the text");
        lithops_value_free(value);
        value = NULL;
    }
    if (value && r.too_big) {
        *ret_too_big = true;
        fail_at(&r, r.too_big, r.too_big_text, "");
        lithops_value_free(value);
        value = NULL;
    }
    lithops__buffer_deinit(&r.scratch);
    return value;
}

lithops_value *lithops_value_from_json(const char *text, size_t len, lithops_error *err)
{
    bool too_big;
    if (text)
        return lithops__json_read(text, len, false, &too_big, err);
    lithops__fail(err, LITHOPS_EUSAGE, "the JSON text is NULL");
    return NULL;
}
