/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of streams share: a reference split, written as plainly as the definition in
 * docs/partitions.md, and ways to read all of a stream. */
#ifndef LITHOPS_PARTITION_STREAM_TEST_TOOLS_H
#define LITHOPS_PARTITION_STREAM_TEST_TOOLS_H

#include "partition/partition.h"
#include "partition/spec.h"

#include <stdlib.h>
#include <string.h>

/* gcc shows sanitizers by macros, clang by __has_feature(). */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1
#endif
#endif

/* The lines of `text`, by the definition: scan from the first byte; whenever the bytes since the
 * last separator end with the separator, the next line starts behind it. No line starts at the end
 * of the text. For each line, where it starts and where its separator does (`len` without one). */
struct reference_line {
    size_t start, end;
};
static inline size_t reference_lines(const char *text, size_t len, const char *separator,
                                     size_t separator_len, struct reference_line *ret_lines)
{
    size_t count = 0, since = 0;
    for (size_t i = 0; i < len; i++)
        if (i + 1 - since >= separator_len &&
            memcmp(text + i + 1 - separator_len, separator, separator_len) == 0) {
            ret_lines[count++] = (struct reference_line){since, i + 1 - separator_len};
            since = i + 1;
        }
    if (since < len)
        ret_lines[count++] = (struct reference_line){since, len};
    return count;
}

/* A stream over bytes [start, end) of the file at `path`. */
static inline lithops_stream *open_range(const char *path, uint64_t size, uint64_t start,
                                         uint64_t end, const char *newline, lithops_error *err)
{
    lithops_object object = {.path = path,
                             .total_parts = 1,
                             .chunk_size_bytes = end - start,
                             .range_start = start,
                             .range_end = end,
                             .object_size_bytes = size};
    lithops_value *spec = lithops__spec_encode(&object, newline, LITHOPS__PACKING_NONE);
    lithops_stream *stream = NULL;
    lithops__stream_open(spec, NULL, &stream, err);
    lithops_value_free(spec);
    return stream;
}

/* Bytes that a way of reading has given, and the number of lines where it is known. */
struct gathered {
    char *data;
    size_t len, capacity;
    int64_t lines; /* -1: the way does not tell */
};

static inline void gather(struct gathered *all, const void *data, size_t len)
{
    if (all->capacity - all->len <= len) {
        all->capacity = 2 * all->capacity + len + 64;
        all->data = realloc(all->data, all->capacity);
        if (!all->data)
            abort();
    }
    if (len)
        memcpy(all->data + all->len, data, len);
    all->len += len;
}

/* Lines come without separators; here each gets one back, but for the last line of the object. */
static inline void gather_lines(lithops_stream *stream, const char *newline, uint64_t expected_len,
                                struct gathered *all)
{
    lithops_bytes line;
    while (lithops_stream_next_line(stream, &line)) {
        gather(all, line.ptr, line.len);
        all->lines++;
        if (all->len < expected_len)
            gather(all, newline, strlen(newline));
    }
}

static inline void gather_blocks(lithops_stream *stream, struct gathered *all)
{
    lithops_bytes block;
    all->lines = -1;
    while (lithops_stream_next_block(stream, &block))
        gather(all, block.ptr, block.len);
}

static inline void gather_reads(lithops_stream *stream, size_t piece, struct gathered *all)
{
    char *buf = malloc(piece);
    int64_t got;
    all->lines = -1;
    while ((got = lithops_stream_read(stream, buf, piece)) > 0)
        gather(all, buf, (size_t)got);
    free(buf);
}

#endif
