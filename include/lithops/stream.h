/* SPDX-License-Identifier: Apache-2.0 */
/* Streams: the bytes of one partition, in whole lines.
 *
 * A partition is one chunk of one object. Each line (the bytes between two separators) is in
 * exactly one chunk of its object: in the one where its first byte lies. Without a separator
 * (obj_newline NULL) a chunk is exactly its byte range. For one thread at a time. */
#ifndef LITHOPS_STREAM_H
#define LITHOPS_STREAM_H

#include <lithops/value.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lithops_stream lithops_stream;

/** What upstream's `obj` carries. Strings are borrowed from the stream; the ones that do not
 * apply are NULL. */
typedef struct lithops_object {
    const char *backend; /* "localhost", ...; NULL for a path or URL */
    const char *bucket;
    const char *key;
    const char *path; /* a file of this machine */
    const char *url;  /* http or https */
    int64_t part;     /* 0 .. total_parts - 1 */
    int64_t total_parts;
    uint64_t chunk_size_bytes; /* planned size of each chunk */
    uint64_t range_start;      /* the planned byte range [start, end) of this chunk, before it */
    uint64_t range_end;        /* is moved to line boundaries */
    uint64_t object_size_bytes;
} lithops_object;

LITHOPS_PUBLIC const lithops_object *lithops_stream_object(const lithops_stream *stream);

/** The next line, without its separator. Borrowed until the next call on the stream.
 * @return true; false at the end or on an error, see lithops_stream_error() */
LITHOPS_PUBLIC bool lithops_stream_next_line(lithops_stream *stream, lithops_bytes *ret_line);

/** The next block: as many whole lines as are at hand (a longer line comes whole), each with its
 * separator. The way to go fast: scan the block yourself. Borrowed until the next call. */
LITHOPS_PUBLIC bool lithops_stream_next_block(lithops_stream *stream, lithops_bytes *ret_block);

/** Skip up to `max` lines and tell how many there were; with INT64_MAX it counts the rest, at
 * memory speed. */
LITHOPS_PUBLIC int64_t lithops_stream_skip_lines(lithops_stream *stream, int64_t max);

/** Read up to `len` bytes, separators included.
 * @return the number of bytes, 0 at the end, -1 on an error */
LITHOPS_PUBLIC int64_t lithops_stream_read(lithops_stream *stream, void *buf, size_t len);

/** Go back to the beginning of the chunk, whose bytes are read anew.
 * @return 0, or what ended the stream early */
LITHOPS_PUBLIC int lithops_stream_rewind(lithops_stream *stream);

/** 0, or what ended the stream early (LITHOPS_EIO, LITHOPS_ENOTFOUND, ...); fills err then. The
 * call then fails with it, also when its function does not ask and returns 0. */
LITHOPS_PUBLIC int lithops_stream_error(const lithops_stream *stream, lithops_error *err);

#ifdef __cplusplus
}
#endif
#endif
