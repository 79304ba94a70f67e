/* SPDX-License-Identifier: Apache-2.0 */
/* Values to MessagePack.
 *
 * Written here although libraries exist: every call of every job comes through here, in the client
 * and in the worker process, and loading a shared library would cost each process 50 us, the time
 * of a thousand calls. The format is small (see msgpack_decode.c for what we accept of it).
 *
 * Always the shortest form: an int takes 1 to 9 bytes, a double 5 where a float holds exactly the
 * same number, else 9. Lists over arrays are written from the array. On failure the buffer is as
 * long as it was. */
#include "base/error.h"
#include "value/tree.h"

#include <string.h>

/* Big-endian stores; return the end. */
static inline unsigned char *put8(unsigned char *p, unsigned v)
{
    *p = (unsigned char)v;
    return p + 1;
}
static inline unsigned char *put16(unsigned char *p, uint16_t v)
{
    v = __builtin_bswap16(v);
    memcpy(p, &v, sizeof v);
    return p + sizeof v;
}
static inline unsigned char *put32(unsigned char *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, sizeof v);
    return p + sizeof v;
}
static inline unsigned char *put64(unsigned char *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, sizeof v);
    return p + sizeof v;
}
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "put16, put32 and put64 are for little-endian machines"
#endif

static int out_of_memory(lithops_error *err)
{
    return lithops__fail(err, LITHOPS_ENOMEM, "out of memory while encoding a value");
}

static unsigned char *put_int(unsigned char *p, int64_t i)
{
    if (i >= 0) {
        if (i < 0x80)
            return put8(p, (unsigned)i);
        if (i <= UINT8_MAX)
            return put8(put8(p, 0xcc), (unsigned)i);
        if (i <= UINT16_MAX)
            return put16(put8(p, 0xcd), (uint16_t)i);
        if (i <= UINT32_MAX)
            return put32(put8(p, 0xce), (uint32_t)i);
        return put64(put8(p, 0xcf), (uint64_t)i);
    }
    if (i >= -32)
        return put8(p, (unsigned char)i);
    if (i >= INT8_MIN)
        return put8(put8(p, 0xd0), (unsigned char)i);
    if (i >= INT16_MIN)
        return put16(put8(p, 0xd1), (uint16_t)i);
    if (i >= INT32_MIN)
        return put32(put8(p, 0xd2), (uint32_t)i);
    return put64(put8(p, 0xd3), (uint64_t)i);
}

static unsigned char *put_double(unsigned char *p, double d)
{
    float f = (float)d;
    double widened = (double)f;
    uint32_t bits32;
    uint64_t bits, widened_bits;
    memcpy(&bits32, &f, sizeof bits32);
    memcpy(&bits, &d, sizeof bits);
    memcpy(&widened_bits, &widened, sizeof widened_bits);
    /* bits, not numbers: not-a-number equals nothing, and may carry bits that a float cannot */
    return widened_bits == bits ? put32(put8(p, 0xca), bits32) : put64(put8(p, 0xcb), bits);
}

static unsigned char *put_text_head(unsigned char *p, bool is_string, size_t len)
{
    if (is_string && len < 32)
        return put8(p, 0xa0 | (unsigned)len);
    if (len <= UINT8_MAX)
        return put8(put8(p, is_string ? 0xd9 : 0xc4), (unsigned)len);
    if (len <= UINT16_MAX)
        return put16(put8(p, is_string ? 0xda : 0xc5), (uint16_t)len);
    return put32(put8(p, is_string ? 0xdb : 0xc6), (uint32_t)len);
}

static int encode_text(bool is_string, const char *ptr, size_t len, struct lithops__buffer *out,
                       lithops_error *err)
{
    if (len > UINT32_MAX)
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "%zu bytes in one value are more than 4 GiB; use raw bytes or a "
                             "cloudobject",
                             len);
    unsigned char *p = lithops__buffer_reserve(out, len + 5);
    if (!p)
        return out_of_memory(err);
    p = put_text_head(p, is_string, len);
    memcpy(p, ptr, len);
    out->len = (size_t)(p + len - out->data);
    return 0;
}

/* `head` is that of up to 15 items or pairs (0x90: list, 0x80: map), `head16` that of more. */
static int encode_count(size_t count, unsigned head, unsigned head16, struct lithops__buffer *out,
                        lithops_error *err)
{
    if (count > UINT32_MAX)
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "%zu items in one list are more than a message can hold", count);
    unsigned char *p = lithops__buffer_reserve(out, 5);
    if (!p)
        return out_of_memory(err);
    if (count < 16)
        p = put8(p, head | (unsigned)count);
    else if (count <= UINT16_MAX)
        p = put16(put8(p, head16), (uint16_t)count);
    else
        p = put32(put8(p, head16 + 1), (uint32_t)count);
    out->len = (size_t)(p - out->data);
    return 0;
}

static int encode(const lithops_value *value, struct lithops__buffer *out, lithops_error *err);

static int encode_list(const struct list *list, struct lithops__buffer *out, lithops_error *err)
{
    int code = encode_count(list->count, 0x90, 0xdc, out, err);
    for (size_t i = 0; i < list->count && code == 0; i++) {
        union list_item scratch;
        code = encode(lithops__list_item(list, i, &scratch), out, err);
    }
    return code;
}

static int encode_map(const struct map *map, struct lithops__buffer *out, lithops_error *err)
{
    int code = encode_count(map->count, 0x80, 0xde, out, err);
    for (size_t i = 0; i < map->count && code == 0; i++) {
        const struct map_entry *entry = &map->entries[i];
        code = encode_text(true, entry->key, entry->key_len, out, err);
        if (code == 0)
            code = encode(entry->value, out, err);
    }
    return code;
}

static int encode(const lithops_value *value, struct lithops__buffer *out, lithops_error *err)
{
    const struct text *text = (const struct text *)value;
    const struct scalar *scalar = (const struct scalar *)value;
    switch ((lithops_type)value->type) {
    case LITHOPS_STRING:
    case LITHOPS_BYTES:
        return encode_text(value->type == LITHOPS_STRING, text->ptr, text->len, out, err);
    case LITHOPS_LIST:
        return encode_list((const struct list *)value, out, err);
    case LITHOPS_MAP:
        return encode_map((const struct map *)value, out, err);
    default:
        break;
    }
    unsigned char *p = lithops__buffer_reserve(out, 9);
    if (!p)
        return out_of_memory(err);
    if (value->type == LITHOPS_INT)
        p = put_int(p, scalar->as.i);
    else if (value->type == LITHOPS_DOUBLE)
        p = put_double(p, scalar->as.d);
    else if (value->type == LITHOPS_BOOL)
        p = put8(p, scalar->as.b ? 0xc3 : 0xc2);
    else
        p = put8(p, 0xc0);
    out->len = (size_t)(p - out->data);
    return 0;
}

int lithops__value_encode(const lithops_value *value, struct lithops__buffer *out,
                          lithops_error *err)
{
    if (!value)
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "there is no value (NULL): a constructor or lithops_pack() failed on "
                             "a wrong format, on text that is not UTF-8, or for want of memory");
    size_t len_before = out->len;
    int code = encode(value, out, err);
    if (code != 0)
        out->len = len_before;
    return code;
}
