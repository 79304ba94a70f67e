/* SPDX-License-Identifier: Apache-2.0 */
/* Checking one value: its type, its range, its choices, and messages that say what to do.
 *
 * A message is one line "<where>: key '<key>' in section '<section>' must be <what>, but is <what
 * was given>; <hint>". What was given is shown only for keys that are no secrets, shortened and
 * without control characters. Names that nobody knows are shown up to the first byte that a name
 * cannot have: `{amqp_url:amqp://user:password@host}`, where a blank is missing, is one long key.
 *
 * The value module is asked for types only, so a value from a YAML file and one that a program
 * made are checked alike. */
#include "config/check.h"

#include "base/error.h"
#include "base/near.h"
#include "config/keys.h"
#include "config/scalar.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { LONGEST_SHOWN = 60 };

const char *lithops__config_place_text(struct lithops__config_place place, char *buf, size_t size)
{
    if (place.line > 0)
        snprintf(buf, size, "%s:%u", place.label, place.line);
    else
        snprintf(buf, size, "%s", place.label);
    return buf;
}

int lithops__config_fail(struct lithops__config_place place, lithops_error *err, const char *format,
                         ...)
{
    va_list args;
    va_start(args, format);
    lithops__vfail(err, LITHOPS_ECONFIG, format, args);
    va_end(args);
    char where[256];
    lithops__error_prefix(err, "%s", lithops__config_place_text(place, where, sizeof where));
    return LITHOPS_ECONFIG;
}

/* ---- words ----------------------------------------------------------------------------------- */

static void show_text(const char *text, char *buf, size_t size)
{
    size_t len = strnlen(text, LONGEST_SHOWN + 1), n = 0;
    bool cut = len > LONGEST_SHOWN;
    if (cut) /* not inside a character of UTF-8 */
        for (len = LONGEST_SHOWN; len > 0 && ((unsigned char)text[len] & 0xC0) == 0x80; len--)
            ;
    for (; n < len && n + 4 < size; n++)
        buf[n] = iscntrl((unsigned char)text[n]) ? '?' : text[n];
    snprintf(buf + n, size - n, "%s", cut ? "..." : "");
}

static void show_name(const char *name, char *buf, size_t size)
{
    size_t n = 0;
    while (n < LONGEST_SHOWN && n + 4 < size &&
           (isalnum((unsigned char)name[n]) || strchr("_-.<", name[n])) && name[n])
        n++;
    memcpy(buf, name, n);
    snprintf(buf + n, size - n, "%s", name[n] ? "..." : "");
}

/* "the string 'x'", "a list". */
static void describe(const lithops_value *value, bool secret, char *buf, size_t size)
{
    char text[LONGEST_SHOWN + 5];
    lithops_type type = lithops_value_type(value);
    if (type == LITHOPS_NULL || secret || type == LITHOPS_BYTES || type == LITHOPS_LIST ||
        type == LITHOPS_MAP) {
        snprintf(buf, size, "of type %s", lithops_type_name(type));
    } else if (type == LITHOPS_BOOL) {
        snprintf(buf, size, "%s", lithops_value_get_bool(value) ? "true" : "false");
    } else if (type == LITHOPS_INT) {
        snprintf(buf, size, "%lld", (long long)lithops_value_get_int(value));
    } else if (type == LITHOPS_DOUBLE) {
        snprintf(buf, size, "%g", lithops_value_get_double(value));
    } else {
        show_text(lithops_value_get_string(value), text, sizeof text);
        snprintf(buf, size, "the string '%s'", text);
    }
}

static const char *expected(enum lithops__key_type type)
{
    static const char *const words[] = {
        [LITHOPS__KEY_BOOL] = "true or false",     [LITHOPS__KEY_INT] = "a whole number",
        [LITHOPS__KEY_DOUBLE] = "a number",        [LITHOPS__KEY_STRING] = "a string",
        [LITHOPS__KEY_LIST] = "a list of strings", [LITHOPS__KEY_ANY] = "anything",
    };
    return words[type];
}

/* The i-th word of "a|b|c"; its length, 0 past the end. */
static size_t choice(const char *choices, size_t i, const char **ret)
{
    for (; i > 0 && choices; i--)
        choices = (choices = strchr(choices, '|')) ? choices + 1 : NULL;
    *ret = choices;
    return choices ? strcspn(choices, "|") : 0;
}

/* " or AUTO" */
static void or_choices(const char *choices, char *buf, size_t size)
{
    const char *word;
    size_t used = 0, len;
    buf[0] = '\0';
    for (size_t i = 0; (len = choice(choices, i, &word)) > 0 && used < size; i++)
        used += (size_t)snprintf(buf + used, size - used, " or %.*s", (int)len, word);
}

/* ---- one value ------------------------------------------------------------------------------- */

struct check {
    const struct lithops__config_section *section;
    const struct lithops__config_key *key;
    struct lithops__config_place place;
    const lithops_value *given;
    lithops_error *err;
};

static int fail_type(const struct check *c)
{
    enum lithops__key_type type = c->key->type;
    lithops_type given = lithops_value_type(c->given);
    char what[LONGEST_SHOWN + 32], words[64];
    const char *hint = "";
    describe(c->given, c->key->secret, what, sizeof what);
    or_choices(type == LITHOPS__KEY_STRING ? NULL : c->key->choices, words, sizeof words);
    if (given == LITHOPS_STRING && type != LITHOPS__KEY_LIST) {
        lithops_bytes text = lithops_value_get_bytes(c->given);
        lithops_value *plain = lithops__scalar_value(text.ptr, text.len);
        lithops_type meant = lithops_value_type(plain);
        if (meant != LITHOPS_STRING && meant != LITHOPS_NULL)
            hint = "; write it without quotes";
        lithops_value_free(plain);
    } else if (given == LITHOPS_STRING) {
        hint = "; write it in brackets, as in [a, b]";
    } else if (type == LITHOPS__KEY_STRING &&
               (given == LITHOPS_BOOL || given == LITHOPS_INT || given == LITHOPS_DOUBLE)) {
        hint = "; put it in quotes";
    }
    return lithops__config_fail(c->place, c->err,
                                "key '%s' in section '%s' must be %s%s, but is %s%s", c->key->name,
                                c->section->name, expected(type), words, what, hint);
}

static int fail_range(const struct check *c)
{
    char what[LONGEST_SHOWN + 32];
    describe(c->given, c->key->secret, what, sizeof what);
    if (c->key->max >= 1e15)
        return lithops__config_fail(c->place, c->err,
                                    "key '%s' in section '%s' must be %.15g or more, but is %s",
                                    c->key->name, c->section->name, c->key->min, what);
    return lithops__config_fail(c->place, c->err,
                                "key '%s' in section '%s' must be from %.15g to %.15g, but is %s",
                                c->key->name, c->section->name, c->key->min, c->key->max, what);
}

static int fail_choice(const struct check *c)
{
    char what[LONGEST_SHOWN + 32], words[256] = "", near_text[160], copies[8][32];
    const char *word;
    size_t len, used = 0;
    describe(c->given, c->key->secret, what, sizeof what);
    const char *given = lithops_value_get_string(c->given);
    struct lithops__near near;
    lithops__near_init(&near, given ? given : "", 1);
    for (size_t i = 0; i < 8 && (len = choice(c->key->choices, i, &word)) > 0; i++) {
        snprintf(copies[i], sizeof copies[i], "%.*s", (int)len, word);
        used +=
            (size_t)snprintf(words + used, sizeof words - used, "%s%s", i ? ", " : "", copies[i]);
        lithops__near_offer(&near, copies[i]);
    }
    return lithops__config_fail(
        c->place, c->err, "key '%s' in section '%s' must be one of %s, but is %s%s", c->key->name,
        c->section->name, words, what, lithops__near_text(&near, near_text, sizeof near_text));
}

/* The choice that was given, in any case; `false` matches a choice of that name. */
static size_t given_choice(const struct check *c, const char **ret)
{
    lithops_type type = lithops_value_type(c->given);
    const char *given = lithops_value_get_string(c->given);
    if (type == LITHOPS_BOOL && !lithops_value_get_bool(c->given))
        given = "false";
    size_t len;
    for (size_t i = 0; given && (len = choice(c->key->choices, i, ret)) > 0; i++)
        if (strncasecmp(given, *ret, len) == 0 && given[len] == '\0')
            return len;
    return 0;
}

static int check_number(const struct check *c, lithops_value **ret)
{
    const char *word;
    lithops_type type = lithops_value_type(c->given);
    if (given_choice(c, &word) > 0) {
        *ret = c->key->type == LITHOPS__KEY_INT ? lithops_value_int(0) : lithops_value_double(0);
        return 0;
    }
    double number = lithops_value_get_double(c->given);
    if (type == LITHOPS_DOUBLE && c->key->type == LITHOPS__KEY_INT &&
        fabs(number) >= 0x1p63) /* an int, but longer than 64 bits */
        return fail_range(c);
    if (type != LITHOPS_INT && (type != LITHOPS_DOUBLE || c->key->type == LITHOPS__KEY_INT))
        return fail_type(c);
    bool limited = c->key->min != 0 || c->key->max != 0;
    if (!isfinite(number) || (limited && (number < c->key->min || number > c->key->max)))
        return fail_range(c);
    *ret = c->key->type == LITHOPS__KEY_INT ? lithops_value_copy(c->given)
                                            : lithops_value_double(number);
    return 0;
}

static int check_string(const struct check *c, lithops_value **ret)
{
    const char *word;
    if (lithops_value_type(c->given) != LITHOPS_STRING)
        return fail_type(c);
    lithops_bytes text = lithops_value_get_bytes(c->given);
    if (text.len > 0 && memchr(text.ptr, '\0', text.len))
        return lithops__config_fail(c->place, c->err,
                                    "key '%s' in section '%s' cannot hold a NUL byte", c->key->name,
                                    c->section->name);
    if (!c->key->choices) {
        *ret = lithops_value_copy(c->given);
        return 0;
    }
    size_t len = given_choice(c, &word);
    if (len == 0)
        return fail_choice(c);
    *ret = lithops_value_string_n(word, len);
    return 0;
}

static int check_list(const struct check *c, lithops_value **ret)
{
    if (lithops_value_type(c->given) != LITHOPS_LIST)
        return fail_type(c);
    for (size_t i = 0; i < lithops_value_size(c->given); i++) {
        struct check item = *c;
        item.given = lithops_value_at(c->given, i);
        lithops_bytes text = lithops_value_get_bytes(item.given);
        if (lithops_value_type(item.given) != LITHOPS_STRING ||
            (text.len > 0 && memchr(text.ptr, '\0', text.len))) {
            char what[LONGEST_SHOWN + 32];
            describe(item.given, c->key->secret, what, sizeof what);
            return lithops__config_fail(
                c->place, c->err,
                "item %zu of key '%s' in section '%s' must be a string, but is %s", i + 1,
                c->key->name, c->section->name, what);
        }
    }
    *ret = lithops_value_copy(c->given);
    return 0;
}

int lithops__config_check(const struct lithops__config_section *section,
                          const struct lithops__config_key *key, struct lithops__config_place place,
                          const lithops_value *given, lithops_value **ret, lithops_error *err)
{
    struct check c = {section, key, place, given, err};
    lithops_type type = lithops_value_type(given);
    lithops_value *value = NULL;
    int rc = 0;
    if (type == LITHOPS_NULL && key->type != LITHOPS__KEY_LIST) {
        *ret = NULL;
        return 0;
    }
    switch (key->type) {
    case LITHOPS__KEY_BOOL:
        if (type != LITHOPS_BOOL)
            return fail_type(&c);
        value = lithops_value_copy(given);
        break;
    case LITHOPS__KEY_INT:
    case LITHOPS__KEY_DOUBLE:
        rc = check_number(&c, &value);
        break;
    case LITHOPS__KEY_STRING:
        rc = check_string(&c, &value);
        break;
    case LITHOPS__KEY_LIST:
        if (type == LITHOPS_NULL)
            value = lithops_value_null();
        else
            rc = check_list(&c, &value);
        break;
    case LITHOPS__KEY_ANY:
        value = lithops_value_copy(given);
        break;
    }
    if (rc != 0)
        return rc;
    if (!value)
        return lithops__fail(err, LITHOPS_ENOMEM, "%s: out of memory", place.label);
    *ret = value;
    return 0;
}

/* ---- unknown names --------------------------------------------------------------------------- */

int lithops__config_fail_unknown(const char *name, const struct lithops__config_section *section,
                                 struct lithops__config_place place, lithops_error *err)
{
    char shown[LONGEST_SHOWN + 5], near_text[256];
    show_name(name, shown, sizeof shown);
    struct lithops__near near;
    lithops__near_init(&near, name, 1);
    if (section) {
        for (const struct lithops__config_key *k = section->keys; k->name; k++)
            lithops__near_offer(&near, k->name);
    } else {
        for (const struct lithops__config_section *s = lithops__config_sections; s->name; s++)
            lithops__near_offer(&near, s->name);
        for (const struct lithops__config_backend *b = lithops__config_backends; b->name; b++)
            lithops__near_offer(&near, b->name);
        for (const char *const *s = lithops__config_other_sections; *s; s++)
            lithops__near_offer(&near, *s);
    }
    lithops__near_text(&near, near_text, sizeof near_text);
    const char *hint = strchr(name, ':') ? "; put a blank after the ':'"
                       : near_text[0]    ? near_text
                                         : "; see lithops-config(5)";
    if (section)
        return lithops__config_fail(place, err, "unknown key '%s' in section '%s'%s", shown,
                                    section->name, hint);
    return lithops__config_fail(place, err, "unknown section '%s'%s", shown, hint);
}
