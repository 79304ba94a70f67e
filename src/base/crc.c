/* SPDX-License-Identifier: Apache-2.0 */
/* One algorithm for all kinds: in the bit-reversed form that all of them have, a CRC of 32 bits is
 * one of 64 bits whose polynomial is multiplied by x^32; it stays in the lower half.
 *
 * With carry-less multiplication, four blocks of 16 bytes are moved 64 bytes on at a time. To move
 * a block by D bits is to multiply its halves by x^(D+63) and x^(D-1); a product of reversed
 * factors has an x too many, hence the odd exponents. In the end one block is left that has the
 * remainder of all before it, and goes through the tables like any other 16 bytes. */
#include "base/crc.h"

#include <endian.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#define CAN_FOLD 1
#endif

enum { SLICES = 8, BLOCK = 16, LANES = 4 };

struct tables {
    uint64_t slices[SLICES][256];
    uint64_t by_lanes[2], by_block[2]; /* to move a block on: factors of its first and last half */
};

static const uint64_t polynomials[LITHOPS__CRC_COUNT] = {
    [LITHOPS__CRC32] = 0xedb88320u,
    [LITHOPS__CRC32C] = 0x82f63b78u,
    [LITHOPS__CRC64NVME] = 0x9a6c9329ac4bc9b5u,
};
static struct tables all[LITHOPS__CRC_COUNT];
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool folds;

/* Multiply by x^n. */
static uint64_t times_x(uint64_t polynomial, uint64_t value, unsigned n)
{
    while (n--)
        value = value & 1 ? value >> 1 ^ polynomial : value >> 1;
    return value;
}

static void make_tables(void)
{
    const uint64_t one = (uint64_t)1 << 63;
    for (int kind = 0; kind < LITHOPS__CRC_COUNT; kind++) {
        struct tables *tables = &all[kind];
        uint64_t polynomial = polynomials[kind];
        for (unsigned i = 0; i < 256; i++) {
            uint64_t value = i;
            for (int slice = 0; slice < SLICES; slice++) {
                value = times_x(polynomial, value, 8);
                tables->slices[slice][i] = value;
            }
        }
        for (unsigned half = 0; half < 2; half++) {
            unsigned more = half ? 0 : 64;
            tables->by_block[half] = times_x(polynomial, one, 8 * BLOCK - 1 + more);
            tables->by_lanes[half] = times_x(polynomial, one, 8 * BLOCK * LANES - 1 + more);
        }
    }
#if CAN_FOLD
    folds = __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
#endif
}

/* `state` is the remainder itself, without the inversions at both ends. */
static uint64_t by_tables(const struct tables *tables, uint64_t state, const unsigned char *data,
                          size_t len)
{
    for (; len >= SLICES; data += SLICES, len -= SLICES) {
        uint64_t word, next = 0;
        memcpy(&word, data, sizeof word);
        state ^= le64toh(word);
        for (int i = 0; i < SLICES; i++)
            next ^= tables->slices[SLICES - 1 - i][state >> 8 * i & 0xff];
        state = next;
    }
    while (len--)
        state = tables->slices[0][(state ^ *data++) & 0xff] ^ state >> 8;
    return state;
}

#if CAN_FOLD
__attribute__((target("pclmul,sse4.1"))) static inline __m128i moved(__m128i block, __m128i factors)
{
    return _mm_xor_si128(_mm_clmulepi64_si128(block, factors, 0x00),
                         _mm_clmulepi64_si128(block, factors, 0x11));
}

/* `len` is a multiple of a block, and at least LANES of them. */
__attribute__((target("pclmul,sse4.1"))) static uint64_t
by_folding(const struct tables *tables, uint64_t state, const unsigned char *data, size_t len)
{
    const __m128i lanes_on = _mm_loadu_si128((const __m128i *)(const void *)tables->by_lanes),
                  block_on = _mm_loadu_si128((const __m128i *)(const void *)tables->by_block);
    const __m128i *in = (const __m128i *)(const void *)data;
    __m128i lanes[LANES];
    for (int i = 0; i < LANES; i++)
        lanes[i] = _mm_loadu_si128(in++);
    lanes[0] = _mm_xor_si128(lanes[0], _mm_cvtsi64_si128((long long)state));
    for (len -= LANES * BLOCK; len >= LANES * BLOCK; len -= LANES * BLOCK)
        for (int i = 0; i < LANES; i++)
            lanes[i] = _mm_xor_si128(moved(lanes[i], lanes_on), _mm_loadu_si128(in++));
    __m128i rest = lanes[0];
    for (int i = 1; i < LANES; i++)
        rest = _mm_xor_si128(moved(rest, block_on), lanes[i]);
    for (; len; len -= BLOCK)
        rest = _mm_xor_si128(moved(rest, block_on), _mm_loadu_si128(in++));
    unsigned char bytes[BLOCK];
    _mm_storeu_si128((__m128i *)(void *)bytes, rest);
    return by_tables(tables, 0, bytes, sizeof bytes);
}
#endif

uint64_t lithops__crc_add(enum lithops__crc kind, uint64_t crc, const void *data, size_t len)
{
    const uint64_t ones = kind == LITHOPS__CRC64NVME ? UINT64_MAX : UINT32_MAX;
    const unsigned char *bytes = data;
    pthread_once(&once, make_tables);
    uint64_t state = crc ^ ones;
#if CAN_FOLD
    if (folds && len >= LANES * BLOCK) {
        size_t folded = len - len % BLOCK;
        state = by_folding(&all[kind], state, bytes, folded);
        bytes += folded;
        len -= folded;
    }
#endif
    return by_tables(&all[kind], state, bytes, len) ^ ones;
}
