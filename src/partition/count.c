/* SPDX-License-Identifier: Apache-2.0 */
/* Counting one byte in memory.
 *
 * Counting lines in cached files is bound by the copy out of the page cache as long as counting
 * costs little beside it, so it is done 64 or 32 bytes at a time where the CPU can. The variant is
 * chosen at run time: a distribution's library is built for the oldest CPU of its architecture.
 *
 * The portable variant counts eight bytes at a time in one register: it is what other
 * architectures use, and what the tests hold the others against. */
#include "partition/count.h"

#include <stdint.h>
#include <string.h>

/* The C library queried the CPU at program start. The compiler's own way queries again, in a
 * constructor, and on a virtual machine each query takes 4 us. */
#if defined(__x86_64__)
#include <immintrin.h>
#define HAVE_X86 1
#if __has_include(<sys/platform/x86.h>)
#include <sys/platform/x86.h>
#define HAS_AVX2 CPU_FEATURE_ACTIVE(AVX2)
#define HAS_AVX512 (CPU_FEATURE_ACTIVE(AVX512F) && CPU_FEATURE_ACTIVE(AVX512BW))
#else
#define HAS_AVX2 __builtin_cpu_supports("avx2")
#define HAS_AVX512 (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw"))
#endif
#else
#define HAVE_X86 0
#endif

static size_t count_tail(const unsigned char *data, size_t len, unsigned char byte)
{
    size_t count = 0;
    for (size_t i = 0; i < len; i++)
        count += data[i] == byte;
    return count;
}

static size_t count_portable(const unsigned char *data, size_t len, unsigned char byte)
{
    const uint64_t ones = 0x0101010101010101u, low_bits = 0x7f7f7f7f7f7f7f7fu;
    const uint64_t pattern = ones * byte;
    size_t count = 0, i = 0;
    for (; i + 8 <= len; i += 8) {
        uint64_t word;
        memcpy(&word, data + i, 8);
        word ^= pattern; /* equal bytes are zero now */
        uint64_t nonzero = ((word & low_bits) + low_bits) | word;
        count += (((~nonzero >> 7) & ones) * ones) >> 56; /* adds up the eight bits */
    }
    return count + count_tail(data + i, len - i, byte);
}

#if HAVE_X86
__attribute__((target("avx2"))) static size_t count_avx2(const unsigned char *data, size_t len,
                                                         unsigned char byte)
{
    const __m256i pattern = _mm256_set1_epi8((char)byte), zero = _mm256_setzero_si256();
    __m256i total = zero;
    size_t i = 0;
    while (i + 32 <= len) {
        /* Byte-wide counters overflow after 255 rounds; then they are added up. */
        size_t rounds = (len - i) / 32;
        if (rounds > 255)
            rounds = 255;
        __m256i counters = zero;
        for (size_t k = 0; k < rounds; k++, i += 32) {
            __m256i block = _mm256_loadu_si256((const __m256i *)(const void *)(data + i));
            counters = _mm256_sub_epi8(counters, _mm256_cmpeq_epi8(block, pattern));
        }
        total = _mm256_add_epi64(total, _mm256_sad_epu8(counters, zero));
    }
    uint64_t lanes[4];
    memcpy(lanes, &total, sizeof lanes);
    return (size_t)(lanes[0] + lanes[1] + lanes[2] + lanes[3]) +
           count_tail(data + i, len - i, byte);
}

__attribute__((target("avx512f,avx512bw,popcnt"))) static size_t
count_avx512(const unsigned char *data, size_t len, unsigned char byte)
{
    const __m512i pattern = _mm512_set1_epi8((char)byte);
    uint64_t count = 0;
    size_t i = 0;
    for (; i + 256 <= len; i += 256)
        for (size_t k = 0; k < 256; k += 64) /* unrolled by the compiler: four loads in flight */
            count += (uint64_t)_mm_popcnt_u64(
                _mm512_cmpeq_epi8_mask(_mm512_loadu_si512(data + i + k), pattern));
    for (; i < len; i += 64) {
        __mmask64 valid = len - i >= 64 ? ~0ull : ~0ull >> (64 - (len - i));
        count += (uint64_t)_mm_popcnt_u64(
            _mm512_mask_cmpeq_epi8_mask(valid, _mm512_maskz_loadu_epi8(valid, data + i), pattern));
    }
    return (size_t)count;
}
#endif

const struct lithops__count_variant *lithops__count_variants(void)
{
    static const struct lithops__count_variant variants[] = {
#if HAVE_X86
        {"avx512", count_avx512},
        {"avx2", count_avx2},
#endif
        {"portable", count_portable},
        {NULL, NULL},
    };
    const struct lithops__count_variant *best = variants;
#if HAVE_X86
    if (!HAS_AVX512)
        best++;
    if (best != variants && !HAS_AVX2)
        best++;
#endif
    return best;
}

size_t lithops__count_byte(const void *data, size_t len, unsigned char byte)
{
    /* A few loads of what the C library found at start: cheap compared with a block. */
    return lithops__count_variants()->count(data, len, byte);
}
