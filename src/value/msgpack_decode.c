/* SPDX-License-Identifier: Apache-2.0 */
/* MessagePack to values. Own code, for the reason that msgpack_encode.c gives.
 *
 * The bytes may come from anywhere, so everything is checked. Only what maps to our types is
 * accepted: no ext types, no integers past int64, map keys are strings without NULs, strings are
 * UTF-8, at most 512 levels; of equal keys the last one counts. Any form of a number is accepted,
 * not only the shortest.
 *
 * Memory is bounded by the input: `owed` counts the values that lists and maps already entered
 * still wait for. Each takes one byte at least, so a list that claims more items than the remaining
 * bytes less `owed` is invalid, and is rejected before anything is allocated for it. */
#include "base/error.h"
#include "value/tree.h"

#include <string.h>

struct decoder {
    const unsigned char *start, *at, *end;
    size_t owed;
    lithops_error *err;
};

/* All of these return NULL, for `return`. */
static void *fail(struct decoder *d, const char *what)
{
    lithops__fail(d->err, LITHOPS_EPARSE, "MessagePack, byte %zu: %s", (size_t)(d->at - d->start),
                  what);
    return NULL;
}

static void *truncated(struct decoder *d)
{
    return fail(d, "the data end too early");
}

static void *no_memory(struct decoder *d)
{
    lithops__fail(d->err, LITHOPS_ENOMEM, "out of memory while decoding a value");
    return NULL;
}

static lithops_value *checked(struct decoder *d, lithops_value *value)
{
    return value ? value : no_memory(d);
}

static size_t left(const struct decoder *d)
{
    return (size_t)(d->end - d->at);
}

/* A big-endian number of 1, 2, 4 or 8 bytes. */
static bool take_number(struct decoder *d, size_t bytes, uint64_t *ret)
{
    if (left(d) < bytes) {
        truncated(d);
        return false;
    }
    uint64_t number = 0;
    for (size_t i = 0; i < bytes; i++)
        number = number << 8 | d->at[i];
    d->at += bytes;
    *ret = number;
    return true;
}

static lithops_value *decode_unsigned(struct decoder *d, size_t bytes)
{
    uint64_t number;
    if (!take_number(d, bytes, &number))
        return NULL;
    if (number > INT64_MAX)
        return fail(d, "an integer is more than 2^63 - 1");
    return checked(d, lithops_value_int((int64_t)number));
}

static lithops_value *decode_signed(struct decoder *d, size_t bytes)
{
    uint64_t number;
    if (!take_number(d, bytes, &number))
        return NULL;
    unsigned unused_bits = 64 - 8 * (unsigned)bytes;
    return checked(d, lithops_value_int((int64_t)(number << unused_bits) >> unused_bits));
}

static lithops_value *decode_double(struct decoder *d, size_t bytes)
{
    uint64_t bits;
    double number;
    if (!take_number(d, bytes, &bits))
        return NULL;
    if (bytes == sizeof(float)) {
        uint32_t bits32 = (uint32_t)bits;
        float f;
        memcpy(&f, &bits32, sizeof f);
        number = f;
    } else {
        memcpy(&number, &bits, sizeof number);
    }
    return checked(d, lithops_value_double(number));
}

static bool take_text(struct decoder *d, size_t len, bool is_string, lithops_bytes *ret)
{
    if (len > left(d)) {
        truncated(d);
        return false;
    }
    if (is_string && !lithops__utf8_valid(d->at, len)) {
        fail(d, "a string is not UTF-8");
        return false;
    }
    *ret = (lithops_bytes){d->at, len};
    d->at += len;
    return true;
}

static lithops_value *decode_text(struct decoder *d, size_t len, lithops_type type)
{
    lithops_bytes content;
    if (!take_text(d, len, type == LITHOPS_STRING, &content))
        return NULL;
    return checked(d, lithops__text_new(type, content.ptr, content.len));
}

static lithops_value *decode_value(struct decoder *d, unsigned levels);

static bool enter(struct decoder *d, size_t values, unsigned levels)
{
    if (levels > LITHOPS__MAX_LEVELS) {
        fail(d, "more than 512 levels of lists and maps");
        return false;
    }
    if (left(d) < d->owed || values > left(d) - d->owed) {
        truncated(d);
        return false;
    }
    d->owed += values;
    return true;
}

static lithops_value *decode_list(struct decoder *d, size_t count, unsigned levels)
{
    if (!enter(d, count, levels))
        return NULL;
    lithops_value *list = lithops_value_list();
    if (!list || lithops__list_reserve((struct list *)list, count) != 0)
        goto out_of_memory;
    for (size_t i = 0; i < count; i++) {
        lithops_value *item = decode_value(d, levels);
        if (!item)
            goto out;
        if (lithops_value_append(list, item) != 0)
            goto out_of_memory;
    }
    return list;
out_of_memory:
    no_memory(d);
out:
    lithops_value_free(list);
    return NULL;
}

static bool decode_key(struct decoder *d, lithops_bytes *ret_key)
{
    uint64_t head, len;
    d->owed--;
    if (!take_number(d, 1, &head))
        return false;
    if (head >= 0xa0 && head <= 0xbf) {
        len = head & 0x1f;
    } else if (head >= 0xd9 && head <= 0xdb) {
        if (!take_number(d, (size_t)1 << (head - 0xd9), &len))
            return false;
    } else {
        fail(d, "a map key is not a string");
        return false;
    }
    if (!take_text(d, len, true, ret_key))
        return false;
    if (len && memchr(ret_key->ptr, '\0', len)) {
        fail(d, "a map key holds a NUL");
        return false;
    }
    return true;
}

static lithops_value *decode_map(struct decoder *d, size_t count, unsigned levels)
{
    if (!enter(d, 2 * count, levels))
        return NULL;
    lithops_value *map = lithops_value_map();
    if (!map)
        goto out_of_memory;
    for (size_t i = 0; i < count; i++) {
        lithops_bytes key;
        lithops_value *item = decode_key(d, &key) ? decode_value(d, levels) : NULL;
        if (!item)
            goto out;
        if (lithops__map_set((struct map *)map, key.ptr, key.len, item) != 0)
            goto out_of_memory;
    }
    return map;
out_of_memory:
    no_memory(d);
out:
    lithops_value_free(map);
    return NULL;
}

/* Heads that are followed by a length or count of 1, 2 or 4 bytes. */
static lithops_value *decode_sized(struct decoder *d, unsigned head, unsigned levels)
{
    static const unsigned char size_bytes[] = {
        [0xc4 - 0xc4] = 1, [0xc5 - 0xc4] = 2, [0xc6 - 0xc4] = 4, [0xd9 - 0xc4] = 1,
        [0xda - 0xc4] = 2, [0xdb - 0xc4] = 4, [0xdc - 0xc4] = 2, [0xdd - 0xc4] = 4,
        [0xde - 0xc4] = 2, [0xdf - 0xc4] = 4};
    uint64_t size;
    if (!take_number(d, size_bytes[head - 0xc4], &size))
        return NULL;
    if (head <= 0xc6)
        return decode_text(d, size, LITHOPS_BYTES);
    if (head <= 0xdb)
        return decode_text(d, size, LITHOPS_STRING);
    if (head <= 0xdd)
        return decode_list(d, size, levels + 1);
    return decode_map(d, size, levels + 1);
}

static lithops_value *decode_value(struct decoder *d, unsigned levels)
{
    uint64_t head;
    d->owed--;
    if (!take_number(d, 1, &head))
        return NULL;
    if (head <= 0x7f)
        return checked(d, lithops_value_int((int64_t)head));
    if (head <= 0x8f)
        return decode_map(d, head & 0x0f, levels + 1);
    if (head <= 0x9f)
        return decode_list(d, head & 0x0f, levels + 1);
    if (head <= 0xbf)
        return decode_text(d, head & 0x1f, LITHOPS_STRING);
    if (head >= 0xe0)
        return checked(d, lithops_value_int((int64_t)head - 256));
    switch (head) {
    case 0xc0:
        return lithops_value_null();
    case 0xc2:
    case 0xc3:
        return lithops_value_bool(head == 0xc3);
    case 0xca:
    case 0xcb:
        return decode_double(d, head == 0xca ? 4 : 8);
    case 0xcc:
    case 0xcd:
    case 0xce:
    case 0xcf:
        return decode_unsigned(d, (size_t)1 << (head - 0xcc));
    case 0xd0:
    case 0xd1:
    case 0xd2:
    case 0xd3:
        return decode_signed(d, (size_t)1 << (head - 0xd0));
    case 0xc4:
    case 0xc5:
    case 0xc6:
    case 0xd9:
    case 0xda:
    case 0xdb:
    case 0xdc:
    case 0xdd:
    case 0xde:
    case 0xdf:
        return decode_sized(d, (unsigned)head, levels);
    default: /* 0xc1 means nothing; 0xc7..0xc9 and 0xd4..0xd8 are ext types */
        d->at--;
        return fail(d, head == 0xc1 ? "0xc1 starts no value" : "ext types are not supported");
    }
}

lithops_value *lithops__value_decode(const void *data, size_t len, lithops_error *err)
{
    if (!data)
        len = 0;
    const unsigned char *start = len ? data : (const unsigned char *)"";
    struct decoder d = {.start = start, .at = start, .end = start + len, .owed = 1, .err = err};
    lithops_value *value = decode_value(&d, 0);
    if (value && d.at != d.end) {
        fail(&d, "there are more bytes after the value");
        lithops_value_free(value);
        return NULL;
    }
    return value;
}
