/* SPDX-License-Identifier: Apache-2.0 */
/* Is this UTF-8?
 *
 * Strict, as RFC 3629 has it: no overlong forms, no surrogates, nothing past U+10FFFF. NUL is a
 * character like any other. Most text is ASCII and is checked eight bytes at a time. */
#include "value/value.h"

#include <string.h>

/* Length of the sequence of two to four bytes at p, of which `left` are there; 0 if it is none.
 * The second byte's range is what tells overlong forms, surrogates and too big numbers. */
static size_t sequence_length(const unsigned char *p, size_t left)
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

bool lithops__utf8_valid(const void *ptr, size_t len)
{
    const unsigned char *text = ptr;
    size_t at = 0;
    while (at < len) {
        uint64_t word;
        if (len - at >= sizeof word) {
            memcpy(&word, text + at, sizeof word);
            if (!(word & 0x8080808080808080u)) {
                at += sizeof word;
                continue;
            }
        }
        if (text[at] < 0x80) {
            at++;
            continue;
        }
        size_t sequence = sequence_length(text + at, len - at);
        if (!sequence)
            return false;
        at += sequence;
    }
    return true;
}
