/* SPDX-License-Identifier: Apache-2.0 */
/* lithops_pack: a value from a format and arguments.
 *
 * One walk over the format, taking arguments as it goes. A bad argument (NULL, not UTF-8) or lack
 * of memory does not end the walk: values passed to `o` are always consumed, so all arguments must
 * be visited. Only a wrong format ends it, since the type of the next argument is unknown then. The
 * first error is the one that is reported. */
#include "value/format.h"
#include "value/tree.h"

#include <string.h>

struct packer {
    struct format format;
    va_list args;
    lithops_error *err;
    int code;             /* the first failure, or 0 */
    bool is_wrong_format; /* the walk is over */
};

/* The result is always NULL. */
static lithops_value *fail(struct packer *p, int code, const char *what)
{
    if (p->code == 0)
        p->code = lithops__fail(p->err, code, "%s", what);
    return NULL;
}

static lithops_value *wrong_format(struct packer *p, const char *what)
{
    if (p->code == 0)
        p->code = format_fail(&p->format, p->err, what);
    p->is_wrong_format = true;
    return NULL;
}

static lithops_value *checked(struct packer *p, lithops_value *value)
{
    return value ? value : fail(p, LITHOPS_ENOMEM, "out of memory");
}

/* A string argument: `s` with its modifiers, the letter itself already taken. */
static lithops_bytes string_argument(struct packer *p, bool *ret_optional)
{
    bool has_length = false;
    *ret_optional = false;
    for (;; p->format.at++) {
        if (*p->format.at == '%')
            has_length = true;
        else if (*p->format.at == '?')
            *ret_optional = true;
        else
            break;
    }
    const char *s = va_arg(p->args, const char *);
    size_t len = has_length ? va_arg(p->args, size_t) : s ? strlen(s) : 0;
    return (lithops_bytes){s, len};
}

static lithops_value *pack_string(struct packer *p)
{
    bool is_optional;
    lithops_bytes s = string_argument(p, &is_optional);
    if (!s.ptr)
        return is_optional
                   ? lithops_value_null()
                   : fail(p, LITHOPS_EUSAGE, "the string is NULL; use 's?' to pass it as null");
    if (!lithops__utf8_valid(s.ptr, s.len))
        return fail(p, LITHOPS_EUSAGE, "the string is not UTF-8; use 'y' for arbitrary bytes");
    return checked(p, lithops__text_new(LITHOPS_STRING, s.ptr, s.len));
}

static lithops_value *pack_bytes(struct packer *p)
{
    const void *ptr = va_arg(p->args, const void *);
    size_t len = va_arg(p->args, size_t);
    if (!ptr && len)
        return fail(p, LITHOPS_EUSAGE, "the bytes are NULL");
    return checked(p, lithops_value_bytes(ptr, len));
}

static lithops_value *pack_value_argument(struct packer *p, bool consume)
{
    lithops_value *value = va_arg(p->args, lithops_value *);
    if (!value)
        return fail(p, LITHOPS_EUSAGE, "the value is NULL");
    if (!consume)
        return checked(p, lithops_value_copy(value));
    if (value->parent)
        return fail(p, LITHOPS_EUSAGE, "the value belongs to another one; use 'O' to copy it");
    return value;
}

static lithops_value *pack_value(struct packer *p, unsigned levels);

/* Whether an item has just failed, so that its position must be prepended to the message. */
static bool needs_path(const struct packer *p, int code_before)
{
    return code_before == 0 && p->code != 0 && !p->is_wrong_format;
}

static void join_failed(struct packer *p, int code)
{
    fail(p, code, code == LITHOPS_ENOMEM ? "out of memory" : "more than 512 levels");
}

static lithops_value *pack_list(struct packer *p, unsigned levels)
{
    lithops_value *list = checked(p, lithops_value_list());
    for (size_t i = 0; !p->is_wrong_format && !format_take(&p->format, ']'); i++) {
        int code_before = p->code;
        lithops_value *item = pack_value(p, levels);
        if (!list || !item) {
            lithops_value_free(item);
        } else {
            int code = lithops_value_append(list, item);
            if (code != 0)
                join_failed(p, code);
        }
        if (needs_path(p, code_before))
            lithops__error_prefix(p->err, "item %zu", i);
    }
    return list;
}

static void pack_pair(struct packer *p, lithops_value *map, unsigned levels)
{
    bool is_optional;
    if (!format_take(&p->format, 's')) {
        wrong_format(p, "a key ('s') expected");
        return;
    }
    lithops_bytes key = string_argument(p, &is_optional);
    if (is_optional) {
        wrong_format(p, "a key cannot be optional");
        return;
    }
    bool is_valid = key.ptr && lithops__map_key_valid(key.ptr, key.len);
    if (!is_valid)
        fail(p, LITHOPS_EUSAGE, "a key is NULL, holds a NUL, or is not UTF-8");
    int code_before = p->code;
    lithops_value *item = pack_value(p, levels);
    if (!map || !item || !is_valid) {
        lithops_value_free(item);
    } else {
        int code = lithops__map_set((struct map *)map, key.ptr, key.len, item);
        if (code != 0)
            join_failed(p, code);
    }
    if (needs_path(p, code_before))
        lithops__error_prefix(p->err, "key '%.*s'", (int)key.len, (const char *)key.ptr);
}

static lithops_value *pack_map(struct packer *p, unsigned levels)
{
    lithops_value *map = checked(p, lithops_value_map());
    while (!p->is_wrong_format && !format_take(&p->format, '}'))
        pack_pair(p, map, levels);
    return map;
}

/* One value; NULL after a failure. `levels`: lists and maps around it. */
static lithops_value *pack_value(struct packer *p, unsigned levels)
{
    char letter = format_peek(&p->format);
    if ((letter == '[' || letter == '{') && levels >= LITHOPS__MAX_LEVELS)
        return wrong_format(p, "more than 512 levels");
    if (letter != '\0')
        p->format.at++;
    switch (letter) {
    case 'n':
        return lithops_value_null();
    case 'b':
        return lithops_value_bool(va_arg(p->args, int));
    case 'i':
        return checked(p, lithops_value_int(va_arg(p->args, int)));
    case 'I':
        return checked(p, lithops_value_int(va_arg(p->args, int64_t)));
    case 'f':
        return checked(p, lithops_value_double(va_arg(p->args, double)));
    case 's':
        return pack_string(p);
    case 'y':
        return pack_bytes(p);
    case 'o':
    case 'O':
        return pack_value_argument(p, letter == 'o');
    case '[':
        return pack_list(p, levels + 1);
    case '{':
        return pack_map(p, levels + 1);
    case '\0':
        return wrong_format(p, "the format ends too early");
    default:
        p->format.at--;
        return wrong_format(p, "unknown letter");
    }
}

lithops_value *lithops__vpack(lithops_error *err, const char *format, va_list args)
{
    if (!format) {
        lithops__fail(err, LITHOPS_EUSAGE, "the format is NULL");
        return NULL;
    }
    struct packer p = {.format = {format, format}, .err = err};
    va_copy(p.args, args);
    lithops_value *value = pack_value(&p, 0);
    if (!p.is_wrong_format && format_peek(&p.format) != '\0')
        wrong_format(&p, "more than one value");
    va_end(p.args);
    if (p.code == 0)
        return value;
    lithops_value_free(value);
    return NULL;
}

lithops_value *lithops_vpack(const char *format, va_list args)
{
    return lithops__vpack(NULL, format, args);
}

lithops_value *lithops_pack(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    lithops_value *value = lithops__vpack(NULL, format, args);
    va_end(args);
    return value;
}
