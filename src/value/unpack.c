/* SPDX-License-Identifier: Apache-2.0 */
/* lithops_unpack: a value taken apart by a format, into the caller's variables.
 *
 * One walk over format and value together; it ends at the first error. The error names what was
 * expected, and each enclosing list or map prepends the position as the walk returns: "key 'a':
 * item 3: int expected, string given". Where an optional key is missing, its part of the format is
 * walked with no value, which takes the arguments and stores nothing. Nothing is allocated, but for
 * `!` on maps of more than 64 pairs. */
#include "value/format.h"
#include "value/tree.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct unpacker {
    struct format format;
    va_list *args;
    lithops_error *err;
};

static int expect(struct unpacker *u, const lithops_value *value, lithops_type type)
{
    if (lithops_value_type(value) == type)
        return LITHOPS_OK;
    return lithops__fail(u->err, LITHOPS_ETYPE, "%s expected, %s given", lithops_type_name(type),
                         lithops_type_name(lithops_value_type(value)));
}

/* NOLINTBEGIN(clang-analyzer-valist.Uninitialized): it cannot follow a va_list behind a pointer */

/* ---- one value each; `value` is NULL for an optional one that is missing --------------------- */

static int unpack_bool(struct unpacker *u, const lithops_value *value)
{
    bool *ret = va_arg(*u->args, bool *);
    int code = value ? expect(u, value, LITHOPS_BOOL) : 0;
    if (value && code == 0)
        *ret = lithops_value_get_bool(value);
    return code;
}

static int unpack_int(struct unpacker *u, const lithops_value *value)
{
    int *ret = va_arg(*u->args, int *);
    int code = value ? expect(u, value, LITHOPS_INT) : 0;
    if (!value || code != 0)
        return code;
    int64_t i = lithops_value_get_int(value);
    if (i < INT_MIN || i > INT_MAX)
        return lithops__fail(u->err, LITHOPS_ETYPE, "%lld is too big for an int; use 'I'",
                             (long long)i);
    *ret = (int)i;
    return 0;
}

static int unpack_int64(struct unpacker *u, const lithops_value *value)
{
    int64_t *ret = va_arg(*u->args, int64_t *);
    int code = value ? expect(u, value, LITHOPS_INT) : 0;
    if (value && code == 0)
        *ret = lithops_value_get_int(value);
    return code;
}

static int unpack_double(struct unpacker *u, const lithops_value *value)
{
    double *ret = va_arg(*u->args, double *);
    bool is_int = lithops_value_type(value) == LITHOPS_INT;
    int code = value && !is_int ? expect(u, value, LITHOPS_DOUBLE) : 0;
    if (value && code == 0)
        *ret = lithops_value_get_double(value);
    return code;
}

static int unpack_string(struct unpacker *u, const lithops_value *value)
{
    bool has_length = *u->format.at == '%';
    if (has_length)
        u->format.at++;
    const char **ret = va_arg(*u->args, const char **);
    size_t *ret_len = has_length ? va_arg(*u->args, size_t *) : NULL;
    int code = value ? expect(u, value, LITHOPS_STRING) : 0;
    if (!value || code != 0)
        return code;
    const char *s = lithops_value_get_string(value);
    if (!s)
        return lithops__fail(u->err, LITHOPS_ENOMEM, "out of memory");
    *ret = s;
    if (has_length)
        *ret_len = ((const struct text *)value)->len;
    return 0;
}

static int unpack_bytes(struct unpacker *u, const lithops_value *value)
{
    lithops_bytes *ret = va_arg(*u->args, lithops_bytes *);
    bool is_string = lithops_value_type(value) == LITHOPS_STRING;
    int code = value && !is_string ? expect(u, value, LITHOPS_BYTES) : 0;
    if (value && code == 0)
        *ret = lithops_value_get_bytes(value);
    return code;
}

static int unpack_value(struct unpacker *u, const lithops_value *value, unsigned levels);

/* ---- lists ----------------------------------------------------------------------------------- */

/* `!` or `*`, which only the end may follow. */
static int take_end_mark(struct unpacker *u, char end, bool *ret_strict)
{
    *ret_strict = format_take(&u->format, '!');
    if (!*ret_strict && !format_take(&u->format, '*'))
        return LITHOPS_OK;
    if (format_peek(&u->format) == end)
        return LITHOPS_OK;
    return format_fail(&u->format, u->err, "only the closing bracket may follow '!' or '*'");
}

static int unpack_list(struct unpacker *u, const lithops_value *list, unsigned levels)
{
    int code = list ? expect(u, list, LITHOPS_LIST) : 0;
    bool is_strict = false;
    size_t size = lithops_value_size(list), i = 0;
    for (; code == 0; i++) {
        code = take_end_mark(u, ']', &is_strict);
        if (code != 0 || format_take(&u->format, ']'))
            break;
        const lithops_value *item = lithops_value_at(list, i);
        if (item || !list) {
            code = unpack_value(u, item, levels);
            if (code != 0 && code != LITHOPS_EUSAGE)
                lithops__error_prefix(u->err, "item %zu", i);
        } else if (format_peek(&u->format) == '\0') {
            code = format_fail(&u->format, u->err, "the format ends too early");
        } else if (i < size) {
            code = lithops__fail(u->err, LITHOPS_ENOMEM, "out of memory");
        } else {
            code = lithops__fail(u->err, LITHOPS_ENOTFOUND,
                                 "item %zu: missing, the list has %zu items", i, size);
        }
    }
    if (code == 0 && list && is_strict && size > i)
        code = lithops__fail(u->err, LITHOPS_ETYPE, "a list of %zu items expected, %zu given", i,
                             size);
    return code;
}

/* ---- maps ------------------------------------------------------------------------------------ */

/* Pairs of a map that the format has named, for `!`. */
struct seen {
    uint64_t few;    /* bits, for up to 64 pairs */
    uint64_t *words; /* &few, or allocated */
};

static int seen_init(struct seen *seen, size_t size)
{
    seen->few = 0;
    seen->words = size <= 64 ? &seen->few : calloc(size / 64 + 1, sizeof *seen->words);
    return seen->words ? LITHOPS_OK : LITHOPS_ENOMEM;
}

static void seen_deinit(struct seen *seen)
{
    if (seen->words != &seen->few)
        free(seen->words);
}

static void seen_add(struct seen *seen, size_t i)
{
    seen->words[i / 64] |= (uint64_t)1 << i % 64;
}

static bool seen_has(const struct seen *seen, size_t i)
{
    return seen->words[i / 64] >> i % 64 & 1;
}

/* `s`, `s?`, `s%` and the value format behind it. */
static int unpack_pair(struct unpacker *u, const lithops_value *map, unsigned levels,
                       struct seen *seen)
{
    bool is_optional = false, has_length = false;
    if (!format_take(&u->format, 's'))
        return format_fail(&u->format, u->err, "a key ('s') expected");
    for (; *u->format.at == '?' || *u->format.at == '%'; u->format.at++) {
        is_optional |= *u->format.at == '?';
        has_length |= *u->format.at == '%';
    }
    const char *key = va_arg(*u->args, const char *);
    size_t key_len = has_length ? va_arg(*u->args, size_t) : key ? strlen(key) : 0;
    if (!key)
        return lithops__fail(u->err, LITHOPS_EUSAGE, "a key is NULL");

    const lithops_value *item = NULL;
    size_t i = map ? lithops__map_find((const struct map *)map, key, key_len) : SIZE_MAX;
    if (i != SIZE_MAX) {
        item = ((const struct map *)map)->entries[i].value;
        seen_add(seen, i);
    } else if (map && !is_optional) {
        return lithops__fail(u->err, LITHOPS_ENOTFOUND, "key '%.*s': missing", (int)key_len, key);
    }
    int code = unpack_value(u, item, levels);
    if (code != 0 && code != LITHOPS_EUSAGE)
        lithops__error_prefix(u->err, "key '%.*s'", (int)key_len, key);
    return code;
}

static int check_all_seen(struct unpacker *u, const struct map *map, const struct seen *seen)
{
    for (size_t i = 0; i < map->count; i++)
        if (!seen_has(seen, i))
            return lithops__fail(u->err, LITHOPS_ETYPE, "key '%s': not expected",
                                 map->entries[i].key);
    return LITHOPS_OK;
}

static int unpack_map(struct unpacker *u, const lithops_value *map, unsigned levels)
{
    int code = map ? expect(u, map, LITHOPS_MAP) : 0;
    if (code != 0)
        return code;
    struct seen seen;
    if (seen_init(&seen, lithops_value_size(map)) != 0)
        return lithops__fail(u->err, LITHOPS_ENOMEM, "out of memory");
    bool is_strict = false;
    for (;;) {
        code = take_end_mark(u, '}', &is_strict);
        if (code != 0 || format_take(&u->format, '}'))
            break;
        code = unpack_pair(u, map, levels, &seen);
        if (code != 0)
            break;
    }
    if (code == 0 && map && is_strict)
        code = check_all_seen(u, (const struct map *)map, &seen);
    seen_deinit(&seen);
    return code;
}

/* ---- any value ------------------------------------------------------------------------------- */

static int unpack_value(struct unpacker *u, const lithops_value *value, unsigned levels)
{
    const lithops_value **ret;
    char letter = format_peek(&u->format);
    if ((letter == '[' || letter == '{') && levels >= LITHOPS__MAX_LEVELS)
        return format_fail(&u->format, u->err, "more than 512 levels");
    if (letter != '\0')
        u->format.at++;
    switch (letter) {
    case 'n':
        return value ? expect(u, value, LITHOPS_NULL) : 0;
    case 'b':
        return unpack_bool(u, value);
    case 'i':
        return unpack_int(u, value);
    case 'I':
        return unpack_int64(u, value);
    case 'f':
        return unpack_double(u, value);
    case 's':
        return unpack_string(u, value);
    case 'y':
        return unpack_bytes(u, value);
    case 'o':
        ret = va_arg(*u->args, const lithops_value **);
        if (value)
            *ret = value;
        return 0;
    case '[':
        return unpack_list(u, value, levels + 1);
    case '{':
        return unpack_map(u, value, levels + 1);
    case '\0':
        return format_fail(&u->format, u->err, "the format ends too early");
    default:
        u->format.at--;
        return format_fail(&u->format, u->err, "unknown letter");
    }
}

/* NOLINTEND(clang-analyzer-valist.Uninitialized) */

int lithops__unpack_one(const lithops_value *value, lithops_error *err, const char **format,
                        va_list *args)
{
    if (!value)
        return lithops__fail(err, LITHOPS_EUSAGE, "there is no value to unpack (NULL)");
    struct unpacker u = {.format = {*format, *format}, .args = args, .err = err};
    int code = unpack_value(&u, value, 0);
    *format = u.format.at;
    return code;
}

int lithops_vunpack(const lithops_value *value, lithops_error *err, const char *format,
                    va_list args)
{
    if (!value)
        return lithops__fail(err, LITHOPS_EUSAGE, "there is no value to unpack (NULL)");
    if (!format)
        return lithops__fail(err, LITHOPS_EUSAGE, "the format is NULL");
    va_list own_args; /* a parameter that is a va_list cannot be pointed to portably */
    va_copy(own_args, args);
    struct unpacker u = {.format = {format, format}, .args = &own_args, .err = err};
    int code = unpack_value(&u, value, 0);
    if (code == 0 && format_peek(&u.format) != '\0')
        code = format_fail(&u.format, err, "more than one value");
    va_end(own_args);
    return code;
}

int lithops_unpack(const lithops_value *value, lithops_error *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int code = lithops_vunpack(value, err, format, args);
    va_end(args);
    return code;
}
