/* SPDX-License-Identifier: Apache-2.0 */
#include "carrier/notice.h"

#include "carrier/end.h"

#include <string.h>

/* Digits alone, of which a sender writes ten. */
static bool read_number(const char *at, size_t len, uint32_t *ret)
{
    uint64_t number = 0;
    if (len == 0 || len > 10)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (at[i] < '0' || at[i] > '9')
            return false;
        number = number * 10 + (uint64_t)(at[i] - '0');
    }
    *ret = (uint32_t)number;
    return number < UINT32_MAX;
}

bool lithops__notice_read_name(lithops_bytes name, struct lithops__notice *ret)
{
    const char *start = name.ptr, *end = start + name.len;
    const char *slash = name.len ? memchr(start, '/', name.len) : NULL;
    if (!slash || slash == start || end - slash < LITHOPS__CARRIER_TOKEN + 3)
        return false;
    *ret = (struct lithops__notice){
        .link = start, .link_len = (size_t)(slash - start), .token = slash + 1};
    const char *second = memchr(ret->token, '/', (size_t)(end - ret->token));
    return second && second - ret->token == LITHOPS__CARRIER_TOKEN &&
           read_number(second + 1, (size_t)(end - second - 1), &ret->number);
}

bool lithops__notice_read(lithops_bytes bytes, struct lithops__notice *ret)
{
    const char *start = bytes.ptr;
    const char *line = bytes.len ? memchr(start, '\n', bytes.len) : NULL;
    if (!line || !lithops__notice_read_name((lithops_bytes){start, (size_t)(line - start)}, ret))
        return false;
    ret->object = (lithops_bytes){line + 1, bytes.len - (size_t)(line + 1 - start)};
    return true;
}

void lithops__notice_write(struct lithops__buffer *out, const char *link, const char *token,
                           uint32_t number, lithops_bytes object, size_t most)
{
    lithops__buffer_printf(out, "%s/%s/%010u\n", link, token, number);
    if (object.len <= LITHOPS__NOTICE_OBJECT && out->len + object.len <= most)
        lithops__buffer_append(out, object.ptr, object.len);
}
