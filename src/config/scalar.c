/* SPDX-License-Identifier: Apache-2.0 */
/* From the text of a YAML scalar to a value: null, bool, int, double, else string.
 *
 * The rules are those of YAML 1.1 as PyYAML reads it, since upstream's files were written for
 * PyYAML: yes/no/on/off, 010 is 8, 1_000, 1:30 is 90. Where YAML 1.2 and JSON read a number and
 * PyYAML a string (1e-05, 0o17, +.5) it is a number here: json.dumps() writes small numbers so,
 * and no key wants the string. Dates stay strings, and so does 1:30.5.
 * An int of more than 64 bits becomes a double, so that the range check sees it. Numbers are read
 * in the C locale, regardless of the program's. */
#include "config/scalar.h"

#include <ctype.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_NUMBER = 100 }; /* bytes; a longer scalar is a string */

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(text, *words) == 0)
            return true;
    return false;
}

struct number {
    uint64_t value;
    bool overflow;
};

static void push_digit(struct number *n, unsigned base, unsigned digit)
{
    n->overflow |= n->value > (UINT64_MAX - digit) / base;
    n->value = n->value * base + digit;
}

static unsigned digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    if (isxdigit((unsigned char)c))
        return (unsigned)(tolower((unsigned char)c) - 'a' + 10);
    return 99;
}

/* Digits and underscores; returns where they end. */
static const char *push_digits(struct number *n, unsigned base, const char *s)
{
    for (; *s == '_' || digit_of(*s) < base; s++)
        if (*s != '_')
            push_digit(n, base, digit_of(*s));
    return s;
}

/* ":SS" or ":S" after a number in base 60. NULL when it is none. */
static const char *push_sexagesimal(struct number *n, const char *s)
{
    unsigned part = digit_of(*++s);
    if (part > 9)
        return NULL;
    if (digit_of(s[1]) <= 9)
        part = part * 10 + digit_of(*++s);
    push_digit(n, 60, part);
    return part < 60 ? s + 1 : NULL;
}

/* Decimal or hexadecimal digits as a double, '_' left out. */
static lithops_value *double_of(const char *text)
{
    char digits[LONGEST_NUMBER + 1], *out = digits;
    for (; *text; text++)
        if (*text != '_')
            *out++ = *text;
    *out = '\0';
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    lithops_value *value = NULL;
    if (c_locale)
        value = lithops_value_double(strtod_l(digits, NULL, c_locale));
    if (c_locale)
        freelocale(c_locale);
    return value;
}

static bool read_int(const char *text, lithops_value **ret)
{
    struct number n = {0, false};
    bool negative = *text == '-';
    const char *s = text + (negative || *text == '+');
    unsigned base = 10;
    if (digit_of(*s) > 9)
        return false;
    if (s[0] == '0' && s[1] != '\0') {
        bool prefix = strchr("bxo", s[1]) != NULL;
        base = s[1] == 'b' ? 2 : s[1] == 'x' ? 16 : 8;
        const char *digits = s + (prefix ? 2 : 1);
        s = push_digits(&n, base, digits);
        if (prefix && strspn(digits, "_") == (size_t)(s - digits))
            return false; /* no digit at all */
    } else {
        for (s = push_digits(&n, base, s); s && *s == ':'; base = 60)
            s = push_sexagesimal(&n, s);
    }
    if (!s || *s)
        return false;
    if (n.overflow || n.value > (uint64_t)INT64_MAX + negative) {
        if (base != 10 && base != 16)
            return false;
        *ret = double_of(text);
    } else { /* negated as unsigned: -2^63 has no positive counterpart */
        *ret = lithops_value_int((int64_t)(negative ? 0 - n.value : n.value));
    }
    return true;
}

/* [-+]? digits [. digits] [e [-+]? digits], with a digit in front of or after the point, and a
 * point or an exponent. */
static bool looks_like_float(const char *s)
{
    s += *s == '-' || *s == '+';
    const char *start = s;
    while (digit_of(*s) <= 9 || (*s == '_' && s > start))
        s++;
    bool whole = s > start, point = *s == '.';
    if (point) {
        if (!whole && digit_of(s[1]) > 9)
            return false;
        for (s++; digit_of(*s) <= 9 || *s == '_'; s++)
            ;
    } else if (!whole) {
        return false;
    }
    if (*s != 'e' && *s != 'E')
        return point && *s == '\0';
    s++;
    s += *s == '-' || *s == '+';
    size_t exponent = strspn(s, "0123456789");
    return exponent > 0 && s[exponent] == '\0';
}

static bool read_float(const char *text, lithops_value **ret)
{
    static const char *const infinities[] = {".inf", ".Inf", ".INF", NULL};
    static const char *const no_numbers[] = {".nan", ".NaN", ".NAN", NULL};
    if (is_one_of(text + (*text == '-' || *text == '+'), infinities)) {
        *ret = lithops_value_double(*text == '-' ? -HUGE_VAL : HUGE_VAL);
        return true;
    }
    if (is_one_of(text, no_numbers)) {
        *ret = lithops_value_double(NAN);
        return true;
    }
    if (!looks_like_float(text))
        return false;
    *ret = double_of(text);
    return true;
}

lithops_value *lithops__scalar_value(const char *text, size_t len)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const trues[] = {"yes",  "Yes", "YES", "true", "True",
                                        "TRUE", "on",  "On",  "ON",   NULL};
    static const char *const falses[] = {"no",    "No",  "NO",  "false", "False",
                                         "FALSE", "off", "Off", "OFF",   NULL};
    char word[LONGEST_NUMBER + 1];
    if (len > LONGEST_NUMBER || memchr(text, '\0', len))
        return lithops_value_string_n(text, len);
    memcpy(word, text, len);
    word[len] = '\0';

    lithops_value *value;
    if (is_one_of(word, nulls))
        return lithops_value_null();
    if (is_one_of(word, trues))
        return lithops_value_bool(true);
    if (is_one_of(word, falses))
        return lithops_value_bool(false);
    if (read_int(word, &value) || read_float(word, &value))
        return value;
    return lithops_value_string_n(text, len);
}
