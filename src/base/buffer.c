/* SPDX-License-Identifier: Apache-2.0 */
/* A growing byte buffer. */
#include "base/buffer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void lithops__buffer_deinit(struct lithops__buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct lithops__buffer)LITHOPS__BUFFER_INIT;
}

void *lithops__buffer_reserve(struct lithops__buffer *buffer, size_t len)
{
    if (buffer->failed)
        return NULL;
    if (!buffer->data || buffer->capacity - buffer->len < len) {
        size_t wanted = buffer->capacity ? buffer->capacity * 2 : 256;
        if (len > SIZE_MAX / 2 - buffer->len) {
            buffer->failed = true;
            return NULL;
        }
        while (wanted < buffer->len + len)
            wanted *= 2;
        unsigned char *data = realloc(buffer->data, wanted);
        if (!data) {
            buffer->failed = true;
            return NULL;
        }
        buffer->data = data;
        buffer->capacity = wanted;
    }
    return buffer->data + buffer->len;
}

void lithops__buffer_append(struct lithops__buffer *buffer, const void *ptr, size_t len)
{
    void *room = len ? lithops__buffer_reserve(buffer, len) : NULL;
    if (room) {
        memcpy(room, ptr, len);
        buffer->len += len;
    }
}

void lithops__buffer_append_string(struct lithops__buffer *buffer, const char *s)
{
    lithops__buffer_append(buffer, s, strlen(s));
}

void lithops__buffer_append_list(struct lithops__buffer *buffer, const char *const *strings)
{
    for (; *strings; strings++)
        lithops__buffer_append_string(buffer, *strings);
}

/* Most texts fit into the room that is there. */
void lithops__buffer_printf(struct lithops__buffer *buffer, const char *format, ...)
{
    size_t wanted = 1;
    int len = 0;
    for (bool fits = false; !fits; wanted = (size_t)len + 1) {
        char *to = lithops__buffer_reserve(buffer, wanted);
        size_t room = buffer->capacity - buffer->len;
        va_list args;
        if (!to)
            return;
        va_start(args, format);
        len = vsnprintf(to, room, format, args);
        va_end(args);
        if (len < 0) {
            buffer->failed = true;
            return;
        }
        fits = (size_t)len < room;
    }
    buffer->len += (size_t)len;
}

char *lithops__buffer_steal(struct lithops__buffer *buffer)
{
    char *end = lithops__buffer_reserve(buffer, 1);
    if (end)
        *end = '\0';
    char *text = end ? (char *)buffer->data : NULL;
    if (!text)
        free(buffer->data);
    *buffer = (struct lithops__buffer)LITHOPS__BUFFER_INIT;
    return text;
}
