/* SPDX-License-Identifier: Apache-2.0 */
/* A growing byte buffer. After a failed allocation, or a text that printf() cannot make, `failed`
 * is set and appends do nothing, so a writer checks once, at the end. */
#ifndef LITHOPS_BASE_BUFFER_H
#define LITHOPS_BASE_BUFFER_H

#include <lithops/base.h>

struct lithops__buffer {
    unsigned char *data;
    size_t len, capacity;
    bool failed;
};
#define LITHOPS__BUFFER_INIT                                                                       \
    {                                                                                              \
        NULL, 0, 0, false                                                                          \
    }

void lithops__buffer_deinit(struct lithops__buffer *buffer);
/* Room for `len` more bytes (0 too) at data + len; NULL when the buffer has failed. Does not change
 * `len`. */
void *lithops__buffer_reserve(struct lithops__buffer *buffer, size_t len);
void lithops__buffer_append(struct lithops__buffer *buffer, const void *ptr, size_t len);
void lithops__buffer_append_string(struct lithops__buffer *buffer, const char *s);
/* Strings, one after the other; the last one is followed by NULL. Faster than printf(). */
void lithops__buffer_append_list(struct lithops__buffer *buffer, const char *const *strings);
#define LITHOPS__BUFFER_APPEND(buffer, ...)                                                        \
    lithops__buffer_append_list((buffer), (const char *const[]){__VA_ARGS__, NULL})
void lithops__buffer_printf(struct lithops__buffer *buffer, const char *format, ...)
    LITHOPS_PRINTF(2, 3);
/* The bytes as a NUL-terminated string that the caller frees; NULL when the buffer has failed.
 * Leaves the buffer empty. */
char *lithops__buffer_steal(struct lithops__buffer *buffer);

#endif
