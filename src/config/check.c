/* SPDX-License-Identifier: Apache-2.0 */
/* Checking one value: its type, its range, its choices, and messages that say what to do.
 *
 * A message is one line "<where>: key '<key>' in section '<section>' must be <what>, but is <what
 * was given>; <hint>". The given value is shown unless the key is a secret, shortened and
 * without control characters. Unknown names are shown up to the first byte that a name cannot have:
 * `{amqp_url:amqp://user:password@host}`, where a blank is missing, is one long key.
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

static const char *expected(lithops_key_type type)
{
    static const char *const words[] = {
        [LITHOPS_KEY_BOOL] = "true or false",     [LITHOPS_KEY_INT] = "a whole number",
        [LITHOPS_KEY_DOUBLE] = "a number",        [LITHOPS_KEY_STRING] = "a string",
        [LITHOPS_KEY_LIST] = "a list of strings", [LITHOPS_KEY_ANY] = "anything",
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
    const char *section;
    const lithops_config_key *key;
    struct lithops__config_place place;
    const lithops_value *given;
    lithops_error *err;
};

static int fail_type(const struct check *c)
{
    lithops_key_type type = c->key->type;
    lithops_type given = lithops_value_type(c->given);
    char what[LONGEST_SHOWN + 32], words[64];
    const char *hint = "";
    describe(c->given, c->key->secret, what, sizeof what);
    or_choices(type == LITHOPS_KEY_STRING ? NULL : c->key->choices, words, sizeof words);
    if (given == LITHOPS_STRING && type != LITHOPS_KEY_LIST) {
        lithops_bytes text = lithops_value_get_bytes(c->given);
        lithops_value *plain = lithops__scalar_value(text.ptr, text.len);
        lithops_type meant = lithops_value_type(plain);
        if (meant != LITHOPS_STRING && meant != LITHOPS_NULL)
            hint = "; write it without quotes";
        lithops_value_free(plain);
    } else if (given == LITHOPS_STRING) {
        hint = "; write it in brackets, as in [a, b]";
    } else if (type == LITHOPS_KEY_STRING &&
               (given == LITHOPS_BOOL || given == LITHOPS_INT || given == LITHOPS_DOUBLE)) {
        hint = "; put it in quotes";
    }
    return lithops__config_fail(c->place, c->err,
                                "key '%s' in section '%s' must be %s%s, but is %s%s", c->key->name,
                                c->section, expected(type), words, what, hint);
}

static int fail_range(const struct check *c)
{
    char what[LONGEST_SHOWN + 32];
    describe(c->given, c->key->secret, what, sizeof what);
    if (c->key->max >= 1e15)
        return lithops__config_fail(c->place, c->err,
                                    "key '%s' in section '%s' must be %.15g or more, but is %s",
                                    c->key->name, c->section, c->key->min, what);
    return lithops__config_fail(c->place, c->err,
                                "key '%s' in section '%s' must be from %.15g to %.15g, but is %s",
                                c->key->name, c->section, c->key->min, c->key->max, what);
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
        c->section, words, what, lithops__near_text(&near, near_text, sizeof near_text));
}

/* The choice that was given, in any case; `true` and `false` match choices of these names. */
static size_t given_choice(const struct check *c, const char **ret)
{
    lithops_type type = lithops_value_type(c->given);
    const char *given = lithops_value_get_string(c->given);
    if (type == LITHOPS_BOOL)
        given = lithops_value_get_bool(c->given) ? "true" : "false";
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
        *ret = c->key->type == LITHOPS_KEY_INT ? lithops_value_int(0) : lithops_value_double(0);
        return 0;
    }
    double number = lithops_value_get_double(c->given);
    if (type == LITHOPS_DOUBLE && c->key->type == LITHOPS_KEY_INT &&
        fabs(number) >= 0x1p63) /* an int, but longer than 64 bits */
        return fail_range(c);
    if (type != LITHOPS_INT && (type != LITHOPS_DOUBLE || c->key->type == LITHOPS_KEY_INT))
        return fail_type(c);
    bool limited = c->key->min != 0 || c->key->max != 0;
    if (!isfinite(number) || (limited && (number < c->key->min || number > c->key->max)))
        return fail_range(c);
    *ret = c->key->type == LITHOPS_KEY_INT ? lithops_value_copy(c->given)
                                           : lithops_value_double(number);
    return 0;
}

static int check_string(const struct check *c, lithops_value **ret)
{
    const char *word;
    size_t len = lithops_value_type(c->given) == LITHOPS_BOOL ? given_choice(c, &word) : 0;
    if (len > 0) {
        *ret = lithops_value_string_n(word, len);
        return 0;
    }
    if (lithops_value_type(c->given) != LITHOPS_STRING)
        return fail_type(c);
    lithops_bytes text = lithops_value_get_bytes(c->given);
    if (text.len > 0 && memchr(text.ptr, '\0', text.len))
        return lithops__config_fail(c->place, c->err,
                                    "key '%s' in section '%s' cannot hold a NUL byte", c->key->name,
                                    c->section);
    if (!c->key->choices) {
        *ret = lithops_value_copy(c->given);
        return 0;
    }
    len = given_choice(c, &word);
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
                c->key->name, c->section, what);
        }
    }
    *ret = lithops_value_copy(c->given);
    return 0;
}

/* Python's word for null, which is a string in YAML. Upstream's documentation has it for
 * include_modules; people write it where no string is wanted. */
static bool is_none(const lithops_value *given)
{
    const char *text =
        lithops_value_type(given) == LITHOPS_STRING ? lithops_value_get_string(given) : NULL;
    return text && strcmp(text, "None") == 0;
}

int lithops__config_check(const char *section, const lithops_config_key *key,
                          struct lithops__config_place place, const lithops_value *given,
                          lithops_value **ret, lithops_error *err)
{
    struct check c = {section, key, place, given, err};
    lithops_type type = lithops_value_type(given);
    lithops_value *value = NULL;
    int rc = 0;
    if (key->type != LITHOPS_KEY_STRING && key->type != LITHOPS_KEY_ANY && is_none(given))
        type = LITHOPS_NULL;
    if (type == LITHOPS_NULL && key->type != LITHOPS_KEY_LIST) {
        *ret = NULL;
        return 0;
    }
    switch (key->type) {
    case LITHOPS_KEY_BOOL:
        if (type != LITHOPS_BOOL)
            return fail_type(&c);
        value = lithops_value_copy(given);
        break;
    case LITHOPS_KEY_INT:
    case LITHOPS_KEY_DOUBLE:
        rc = check_number(&c, &value);
        break;
    case LITHOPS_KEY_STRING:
        rc = check_string(&c, &value);
        break;
    case LITHOPS_KEY_LIST:
        if (type == LITHOPS_NULL)
            value = lithops_value_null();
        else
            rc = check_list(&c, &value);
        break;
    case LITHOPS_KEY_ANY:
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

/* Offer the keys of a section, or those of all others. */
static void offer_keys(struct lithops__near *near, const char *section, bool others)
{
    struct lithops__config_section s;
    for (size_t i = 0; lithops__config_table(i, &s); i++) {
        bool here = section && strcmp(section, s.name) == 0;
        for (const lithops_config_key *k = s.keys; here != others && k->name; k++)
            lithops__near_offer(near, k->name);
    }
}

static void offer_sections(struct lithops__near *near)
{
    struct lithops__config_section s;
    for (size_t i = 0; lithops__config_table(i, &s); i++)
        lithops__near_offer(near, s.name);
    for (const struct lithops__config_backend *b = lithops__config_backends; b->name; b++)
        lithops__near_offer(near, b->name);
    for (const char *const *other = lithops__config_other_sections; *other; other++)
        lithops__near_offer(near, *other);
}

static bool has_key(const struct lithops__config_section *s, const char *key)
{
    const lithops_config_key *k = s->keys;
    while (k->name && strcmp(k->name, key) != 0)
        k++;
    return k->name;
}

/* "'localhost' or 'process'": the sections that have a key; of many the first ones. */
static const char *sections_of(const char *key, char *buf, size_t size)
{
    const char *names[LITHOPS__NEAR_MAX];
    size_t count = 0, used = 0, shown;
    struct lithops__config_section s;
    for (size_t i = 0; lithops__config_table(i, &s); i++) {
        if (!has_key(&s, key))
            continue;
        if (count < LITHOPS__NEAR_MAX)
            names[count] = s.name;
        count++;
    }
    shown = count < LITHOPS__NEAR_MAX ? count : LITHOPS__NEAR_MAX;
    for (size_t i = 0; i < shown && used < size; i++)
        used += (size_t)snprintf(buf + used, size - used, "%s'%s'",
                                 i == 0           ? ""
                                 : i + 1 == count ? " or "
                                                  : ", ",
                                 names[i]);
    if (shown < count && used < size)
        snprintf(buf + used, size - used, " or another");
    return buf;
}

/* How a key that no section has as `name` (NULL: the name of a section) is called elsewhere. */
static bool elsewhere(const char *name, const char *section, bool exactly, char *buf, size_t size)
{
    struct lithops__near near;
    char sections[192] = "";
    lithops__near_init(&near, name, 1);
    offer_keys(&near, section, true);
    if (near.count == 0 || near.best[0].distance > (exactly ? 0 : near.limit))
        return false;
    const char *key = near.best[0].name;
    snprintf(buf, size, "; did you mean '%s' of section %s?", key,
             sections_of(key, sections, sizeof sections));
    return true;
}

/* A correction. *ret_here: it stays in the section. */
static bool find_correction(const char *name, const char *section, char *buf, size_t size,
                            bool *ret_here)
{
    struct lithops__near near;
    lithops__near_init(&near, name, 1);
    *ret_here = false;
    if (section && lithops__config_has_section(name)) {
        snprintf(buf, size, "; '%s' is a section: it stands beside '%s', not in it", name, section);
        return true;
    }
    if (section && elsewhere(name, section, true, buf, size))
        return true;
    if (section)
        offer_keys(&near, section, false);
    else
        offer_sections(&near);
    *ret_here = *lithops__near_text(&near, buf, size) != '\0';
    return *ret_here || elsewhere(name, section, false, buf, size);
}

int lithops__config_fail_unknown(const char *name, const char *section,
                                 struct lithops__config_place place,
                                 struct lithops__config_unknown *ret, lithops_error *err)
{
    char hint[320];
    show_name(name, ret->name, sizeof ret->name);
    if (strchr(name, ':')) {
        snprintf(hint, sizeof hint, "; put a blank after the ':'");
        ret->is_typo = true;
    } else if (!find_correction(name, section, hint, sizeof hint, &ret->is_typo)) {
        snprintf(hint, sizeof hint, "; see lithops-config(5)");
    }
    if (section)
        return lithops__config_fail(place, err, "unknown key '%s' in section '%s'%s", ret->name,
                                    section, hint);
    return lithops__config_fail(place, err, "unknown section '%s'%s", ret->name, hint);
}
