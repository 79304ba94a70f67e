/* SPDX-License-Identifier: Apache-2.0 */
/* Frames: what client and worker exchange over a link.
 *
 *     length 4 | type 2 | flags 2 | stream 4 | length of the map 4 || map | payload
 *
 * Numbers are little-endian. `length` counts what follows the header. The map is one MessagePack
 * map, or nothing where its length is 0; the payload is raw bytes that nobody encodes. What type,
 * stream and flags mean is in message.h. Nothing here reads or writes a descriptor. */
#ifndef LITHOPS_WIRE_FRAME_H
#define LITHOPS_WIRE_FRAME_H

#include "base/buffer.h"

#include <lithops/error.h>
#include <lithops/value.h>

enum {
    LITHOPS__FRAME_HEADER = 16,
    LITHOPS__FRAME_MOST = 1 << 20,   /* bytes after the header */
    LITHOPS__FRAME_PIECE = 64 << 10, /* longer bytes travel as a blob, in pieces of this size */
};

struct lithops__frame {
    uint16_t type, flags;
    uint32_t stream;
    lithops_bytes map, payload; /* borrowed from the bytes read */
};

/* The frame at the start of `bytes`. 1, and *ret_used is its length; 0: more bytes are needed;
 * LITHOPS_EPARSE: this is not a frame, and nothing after it can be understood. */
int lithops__frame_read(lithops_bytes bytes, struct lithops__frame *ret_frame, size_t *ret_used,
                        lithops_error *err);
/* The frame that begins `bytes` and is not complete: `payload` is what is there of it.
 * @return how many bytes are missing; 0: it is complete, or its header is not, or is none */
size_t lithops__frame_begun(lithops_bytes bytes, struct lithops__frame *ret_frame);
/* The map of a frame, for lithops_value_free(). NULL with LITHOPS_EPARSE. */
lithops_value *lithops__frame_map(const struct lithops__frame *frame, lithops_error *err);

/* Append a frame: begin, append the payload to `out`, end. A failed buffer stays failed.
 * @return where the frame begins, for end() */
size_t lithops__frame_begin(struct lithops__buffer *out, uint16_t type, uint16_t flags,
                            uint32_t stream);
/* The bytes appended since begin() are the map; the payload follows. */
void lithops__frame_end_map(struct lithops__buffer *out, size_t begin);
void lithops__frame_end(struct lithops__buffer *out, size_t begin);
/* The same, when `len` more bytes of its payload will follow from elsewhere. */
void lithops__frame_end_before(struct lithops__buffer *out, size_t begin, size_t len);
/* Append a frame that was read, without its flags and with another stream. */
void lithops__frame_pass_on(struct lithops__buffer *out, const struct lithops__frame *frame,
                            uint32_t stream);
/* A whole frame. `map` may be NULL. LITHOPS_ENOMEM; LITHOPS_EUSAGE: it is too long. */
int lithops__frame_write(struct lithops__buffer *out, uint16_t type, uint32_t stream,
                         const lithops_value *map, lithops_bytes payload, lithops_error *err);

#endif
