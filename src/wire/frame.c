/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/frame.h"

#include "base/error.h"
#include "value/value.h"
#include "wire/numbers.h"

#include <string.h>

int lithops__frame_read(lithops_bytes bytes, struct lithops__frame *ret_frame, size_t *ret_used,
                        lithops_error *err)
{
    if (bytes.len < LITHOPS__FRAME_HEADER)
        return 0;
    const char *at = bytes.ptr;
    uint32_t length = lithops__get_u32(at), map_length = lithops__get_u32(at + 12);
    if (length > LITHOPS__FRAME_MOST || map_length > length)
        return lithops__fail(err, LITHOPS_EPARSE,
                             "a frame of %u bytes with a map of %u: this is not the protocol of a "
                             "worker",
                             length, map_length);
    if (bytes.len - LITHOPS__FRAME_HEADER < length)
        return 0;
    *ret_frame = (struct lithops__frame){
        .type = lithops__get_u16(at + 4),
        .flags = lithops__get_u16(at + 6),
        .stream = lithops__get_u32(at + 8),
        .map = {at + LITHOPS__FRAME_HEADER, map_length},
        .payload = {at + LITHOPS__FRAME_HEADER + map_length, length - map_length},
    };
    *ret_used = LITHOPS__FRAME_HEADER + (size_t)length;
    return 1;
}

size_t lithops__frame_begun(lithops_bytes bytes, struct lithops__frame *ret_frame)
{
    if (bytes.len < LITHOPS__FRAME_HEADER)
        return 0;
    const char *at = bytes.ptr;
    uint32_t length = lithops__get_u32(at), map_length = lithops__get_u32(at + 12);
    size_t there = bytes.len - LITHOPS__FRAME_HEADER;
    if (length > LITHOPS__FRAME_MOST || map_length > there || there >= length)
        return 0;
    *ret_frame = (struct lithops__frame){
        .type = lithops__get_u16(at + 4),
        .flags = lithops__get_u16(at + 6),
        .stream = lithops__get_u32(at + 8),
        .map = {at + LITHOPS__FRAME_HEADER, map_length},
        .payload = {at + LITHOPS__FRAME_HEADER + map_length, there - map_length},
    };
    return length - there;
}

lithops_value *lithops__frame_map(const struct lithops__frame *frame, lithops_error *err)
{
    lithops_value *map = lithops__value_decode(frame->map.ptr, frame->map.len, err);
    if (map && lithops_value_type(map) != LITHOPS_MAP) {
        lithops_value_free(map);
        lithops__fail(err, LITHOPS_EPARSE, "a frame of type %u has no map", frame->type);
        return NULL;
    }
    return map;
}

size_t lithops__frame_begin(struct lithops__buffer *out, uint16_t type, uint16_t flags,
                            uint32_t stream)
{
    char header[LITHOPS__FRAME_HEADER] = {0};
    size_t begin = out->len;
    lithops__put_u16(header + 4, type);
    lithops__put_u16(header + 6, flags);
    lithops__put_u32(header + 8, stream);
    lithops__buffer_append(out, header, sizeof header);
    return begin;
}

void lithops__frame_end_map(struct lithops__buffer *out, size_t begin)
{
    if (!out->failed)
        lithops__put_u32((char *)out->data + begin + 12,
                         (uint32_t)(out->len - begin - LITHOPS__FRAME_HEADER));
}

void lithops__frame_pass_on(struct lithops__buffer *out, const struct lithops__frame *frame,
                            uint32_t stream)
{
    size_t begin = lithops__frame_begin(out, frame->type, 0, stream);
    if (frame->map.len)
        lithops__buffer_append(out, frame->map.ptr, frame->map.len);
    lithops__frame_end_map(out, begin);
    if (frame->payload.len)
        lithops__buffer_append(out, frame->payload.ptr, frame->payload.len);
    lithops__frame_end(out, begin);
}

void lithops__frame_end_before(struct lithops__buffer *out, size_t begin, size_t len)
{
    if (!out->failed)
        lithops__put_u32((char *)out->data + begin,
                         (uint32_t)(out->len - begin - LITHOPS__FRAME_HEADER + len));
}

void lithops__frame_end(struct lithops__buffer *out, size_t begin)
{
    lithops__frame_end_before(out, begin, 0);
}

int lithops__frame_write(struct lithops__buffer *out, uint16_t type, uint32_t stream,
                         const lithops_value *map, lithops_bytes payload, lithops_error *err)
{
    size_t begin = lithops__frame_begin(out, type, 0, stream);
    int rc = map ? lithops__value_encode(map, out, err) : 0;
    if (rc == 0)
        lithops__frame_end_map(out, begin);
    if (payload.len)
        lithops__buffer_append(out, payload.ptr, payload.len);
    if (rc == 0 && out->failed)
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    if (rc == 0 && out->len - begin - LITHOPS__FRAME_HEADER > LITHOPS__FRAME_MOST) {
        out->len = begin;
        rc = lithops__fail(err, LITHOPS_EUSAGE, "%zu bytes are too many for a message to a worker",
                           payload.len);
    }
    lithops__frame_end(out, begin);
    return rc;
}
