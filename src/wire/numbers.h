/* SPDX-License-Identifier: Apache-2.0 */
/* Little-endian numbers at any address. */
#ifndef LITHOPS_WIRE_NUMBERS_H
#define LITHOPS_WIRE_NUMBERS_H

#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the frames of src/wire are little-endian, and are copied without conversion"
#endif

static inline uint16_t lithops__get_u16(const void *from)
{
    uint16_t n;
    memcpy(&n, from, sizeof n);
    return n;
}
static inline uint32_t lithops__get_u32(const void *from)
{
    uint32_t n;
    memcpy(&n, from, sizeof n);
    return n;
}
static inline uint64_t lithops__get_u64(const void *from)
{
    uint64_t n;
    memcpy(&n, from, sizeof n);
    return n;
}
static inline void lithops__put_u16(void *to, uint16_t n)
{
    memcpy(to, &n, sizeof n);
}
static inline void lithops__put_u32(void *to, uint32_t n)
{
    memcpy(to, &n, sizeof n);
}

#endif
