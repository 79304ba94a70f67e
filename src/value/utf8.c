/* SPDX-License-Identifier: Apache-2.0 */
/* Is this UTF-8?
 *
 * Strict, as RFC 3629 has it: no overlong forms, no surrogates, nothing past U+10FFFF. NUL is a
 * character like any other. Most text is ASCII and is checked eight bytes at a time. */
#include "value/value.h"

#include "base/utf8.h"

#include <string.h>

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
        size_t sequence = lithops__utf8_length(text + at, len - at);
        if (!sequence)
            return false;
        at += sequence;
    }
    return true;
}
