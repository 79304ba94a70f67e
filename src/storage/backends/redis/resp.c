/* SPDX-License-Identifier: Apache-2.0 */
/* RESP2. A reply is read again from its front when more of it has come: it is either short, or one
 * long text whose length its first line tells. */
#include "storage/backends/redis/resp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_DEPTH = 4, MOST_ITEMS = 1 << 16, MOST_BYTES = 512 << 20, MOST_LINE = 64 << 10 };

void lithops__resp_write(struct lithops__buffer *out, const lithops_bytes *words, size_t count,
                         bool but_last)
{
    lithops__buffer_printf(out, "*%zu\r\n", count);
    for (size_t i = 0; i < count; i++) {
        lithops__buffer_printf(out, "$%zu\r\n", words[i].len);
        if (but_last && i + 1 == count)
            break;
        lithops__buffer_append(out, words[i].ptr, words[i].len);
        lithops__buffer_append(out, "\r\n", 2);
    }
}

struct reading {
    const char *bytes;
    size_t len, at, missing;
};

static enum lithops__resp_outcome lacks(struct reading *reading, size_t bytes)
{
    reading->missing = bytes;
    return LITHOPS__RESP_PARTIAL;
}

static enum lithops__resp_outcome read_line(struct reading *reading, lithops_bytes *ret_line)
{
    const char *start = reading->bytes + reading->at;
    size_t left = reading->len - reading->at, look = left < MOST_LINE ? left : MOST_LINE;
    const char *end = look ? memchr(start, '\r', look) : NULL;
    if (!end)
        return left < MOST_LINE ? lacks(reading, 2) : LITHOPS__RESP_BROKEN;
    size_t len = (size_t)(end - start);
    if (left < len + 2)
        return lacks(reading, 1);
    if (end[1] != '\n')
        return LITHOPS__RESP_BROKEN;
    *ret_line = (lithops_bytes){start, len};
    reading->at += len + 2;
    return LITHOPS__RESP_WHOLE;
}

static bool read_number(lithops_bytes line, long long *ret_number)
{
    char text[24], *end;
    if (line.len == 0 || line.len >= sizeof text)
        return false;
    memcpy(text, line.ptr, line.len);
    text[line.len] = '\0';
    if (text[0] != '-' && (text[0] < '0' || text[0] > '9'))
        return false;
    *ret_number = strtoll(text, &end, 10);
    return *end == '\0';
}

static enum lithops__resp_outcome read_bulk(struct reading *reading, size_t len,
                                            lithops_bytes *ret_text)
{
    size_t left = reading->len - reading->at;
    if (left < len + 2)
        return lacks(reading, len + 2 - left);
    const char *start = reading->bytes + reading->at;
    if (memcmp(start + len, "\r\n", 2) != 0)
        return LITHOPS__RESP_BROKEN;
    *ret_text = (lithops_bytes){start, len};
    reading->at += len + 2;
    return LITHOPS__RESP_WHOLE;
}

static enum lithops__resp_outcome read_any(struct reading *reading, unsigned depth,
                                           struct lithops__resp *reply);

static enum lithops__resp_outcome read_items(struct reading *reading, size_t count, unsigned depth,
                                             struct lithops__resp *reply)
{
    /* An item takes 4 bytes at least: a count alone makes nobody allocate. */
    size_t possible = (reading->len - reading->at) / 4;
    if (count > possible)
        return lacks(reading, 1);
    reply->items = calloc(count + 1, sizeof *reply->items);
    if (!reply->items)
        return LITHOPS__RESP_BROKEN;
    enum lithops__resp_outcome outcome = LITHOPS__RESP_WHOLE;
    while (outcome == LITHOPS__RESP_WHOLE && reply->count < count)
        outcome = read_any(reading, depth + 1, &reply->items[reply->count++]);
    return outcome;
}

static enum lithops__resp_outcome read_any(struct reading *reading, unsigned depth,
                                           struct lithops__resp *reply)
{
    lithops_bytes line;
    enum lithops__resp_outcome outcome = read_line(reading, &line);
    if (outcome != LITHOPS__RESP_WHOLE)
        return outcome;
    if (line.len == 0 || depth > MOST_DEPTH)
        return LITHOPS__RESP_BROKEN;
    char mark = *(const char *)line.ptr;
    reply->text = (lithops_bytes){(const char *)line.ptr + 1, line.len - 1};
    if (mark == '+' || mark == '-') {
        reply->type = mark == '+' ? LITHOPS__RESP_STATUS : LITHOPS__RESP_ERROR;
        return LITHOPS__RESP_WHOLE;
    }
    if (!strchr(":$*", mark) || !read_number(reply->text, &reply->number))
        return LITHOPS__RESP_BROKEN;
    if (mark == ':') {
        reply->type = LITHOPS__RESP_INTEGER;
        return LITHOPS__RESP_WHOLE;
    }
    if (reply->number == -1) {
        reply->type = LITHOPS__RESP_NIL;
        return LITHOPS__RESP_WHOLE;
    }
    if (reply->number < 0 || reply->number > (mark == '$' ? MOST_BYTES : MOST_ITEMS))
        return LITHOPS__RESP_BROKEN;
    reply->type = mark == '$' ? LITHOPS__RESP_BULK : LITHOPS__RESP_ARRAY;
    return mark == '$' ? read_bulk(reading, (size_t)reply->number, &reply->text)
                       : read_items(reading, (size_t)reply->number, depth, reply);
}

enum lithops__resp_outcome lithops__resp_read_front(lithops_bytes bytes,
                                                    struct lithops__resp *ret_reply,
                                                    size_t *ret_len, size_t *ret_missing)
{
    struct reading reading = {.bytes = bytes.ptr, .len = bytes.len};
    struct lithops__resp reply = {.type = LITHOPS__RESP_NIL};
    enum lithops__resp_outcome outcome = read_any(&reading, 0, &reply);
    if (outcome == LITHOPS__RESP_WHOLE)
        *ret_reply = reply;
    else
        lithops__resp_free(&reply);
    *ret_len = reading.at;
    *ret_missing = reading.missing;
    return outcome;
}

enum lithops__resp_outcome lithops__resp_read(lithops_bytes bytes, struct lithops__resp *ret_reply,
                                              size_t *ret_missing)
{
    size_t len;
    struct lithops__resp reply;
    enum lithops__resp_outcome outcome = lithops__resp_read_front(bytes, &reply, &len, ret_missing);
    if (outcome == LITHOPS__RESP_WHOLE && len != bytes.len) {
        lithops__resp_free(&reply);
        return LITHOPS__RESP_BROKEN; /* nothing was asked for that would come behind it */
    }
    if (outcome == LITHOPS__RESP_WHOLE)
        *ret_reply = reply;
    return outcome;
}

void lithops__resp_free(struct lithops__resp *reply)
{
    for (size_t i = 0; i < reply->count; i++)
        lithops__resp_free(&reply->items[i]);
    free(reply->items);
    *reply = (struct lithops__resp){.type = LITHOPS__RESP_NIL};
}
