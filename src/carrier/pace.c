/* SPDX-License-Identifier: Apache-2.0 */
#include "carrier/pace.h"

#include "wire/message.h"
#include "wire/numbers.h"

#include <string.h>

static const uint64_t shortest_ns = 20000000;

uint64_t lithops__pace_look(const struct lithops__pace *pace, uint64_t quiet_ns)
{
    uint64_t wait = quiet_ns / 8;
    if (wait < shortest_ns)
        wait = shortest_ns;
    return wait < pace->longest_ns ? wait : pace->longest_ns;
}

/* Outcomes are progress, which may wait while the worker has more to do. */
static unsigned judge(uint16_t type, uint16_t flags)
{
    if (type == LITHOPS__MESSAGE_BEAT)
        return LITHOPS__SCAN_URGENT;
    bool may_wait = type == LITHOPS__MESSAGE_OUTCOMES && !(flags & LITHOPS__FRAME_SOON);
    return LITHOPS__SCAN_NEWS | (may_wait ? 0 : LITHOPS__SCAN_URGENT) |
           (type == LITHOPS__MESSAGE_BYE ? LITHOPS__SCAN_BYE : 0);
}

unsigned lithops__scan_feed(struct lithops__scan *scan, const void *bytes, size_t len)
{
    const unsigned char *at = bytes, *end = at + len;
    unsigned found = 0;
    while (at < end) {
        size_t left = (size_t)(end - at);
        if (scan->skip > 0) {
            size_t n = scan->skip < left ? (size_t)scan->skip : left;
            scan->skip -= n;
            at += n;
            continue;
        }
        size_t n = sizeof scan->header - scan->have;
        n = n < left ? n : left;
        memcpy(scan->header + scan->have, at, n);
        scan->have += n;
        at += n;
        if (scan->have < sizeof scan->header)
            break;
        scan->skip = lithops__get_u32(scan->header);
        scan->have = 0;
        found |= judge(lithops__get_u16(scan->header + 4), lithops__get_u16(scan->header + 6));
    }
    return found;
}
