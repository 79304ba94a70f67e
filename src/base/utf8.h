/* SPDX-License-Identifier: Apache-2.0 */
/* Characters of UTF-8. In a header, for modules that carry their own copy of error.c. */
#ifndef LITHOPS_BASE_UTF8_H
#define LITHOPS_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Length of the character of two to four bytes at p, of which `left` are there; 0 if it is none.
 * Strict, as RFC 3629 has it: the second byte's range rules out overlong forms, surrogates and
 * numbers past U+10FFFF. */
static inline size_t lithops__utf8_length(const unsigned char *p, size_t left)
{
    unsigned char low = 0x80, high = 0xBF;
    size_t len;
    if (p[0] >= 0xC2 && p[0] <= 0xDF) {
        len = 2;
    } else if (p[0] >= 0xE0 && p[0] <= 0xEF) {
        len = 3;
        low = p[0] == 0xE0 ? 0xA0 : 0x80;
        high = p[0] == 0xED ? 0x9F : 0xBF;
    } else if (p[0] >= 0xF0 && p[0] <= 0xF4) {
        len = 4;
        low = p[0] == 0xF0 ? 0x90 : 0x80;
        high = p[0] == 0xF4 ? 0x8F : 0xBF;
    } else {
        return 0;
    }
    if (left < len || p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    return len;
}

static inline bool lithops__utf8_is_valid(const char *text)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t left = strlen(text);
    while (left > 0) {
        size_t len = *p < 0x80 ? 1 : lithops__utf8_length(p, left);
        if (len == 0)
            return false;
        p += len;
        left -= len;
    }
    return true;
}

#endif
