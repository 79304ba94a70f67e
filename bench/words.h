/* SPDX-License-Identifier: Apache-2.0 */
/* Counting words fast, as a careful user would. The limit and the function that Lithops runs share
 * it, so that they differ only in Lithops.
 *
 * Words are separated by bytes of 32 and below. 64 bytes at a time are compared with the blank, and
 * the bits of the result mark the ends of words. A word of up to 16 bytes is one vector, which is
 * its key in the table, compared and hashed whole. Longer ones are in a second table, with their
 * bytes in an arena. A table is encoded as bytes: per word its length (4 bytes), count (8 bytes)
 * and bytes. */
#ifndef LITHOPS_BENCH_WORDS_H
#define LITHOPS_BENCH_WORDS_H

#include "bench.h"

enum { SHORT_WORD = 16, WORD_HEAD = 12 };

typedef uint64_t word_key __attribute__((vector_size(16))); /* the bytes, then zeros */

struct short_word {
    word_key key;
    uint64_t count; /* 0: a free slot */
};

struct long_word {
    size_t at; /* in the arena */
    uint32_t len;
    uint64_t count;
};

struct word_table {
    struct short_word *shorts;
    struct long_word *longs;
    size_t short_size, short_count, long_size, long_count; /* sizes are powers of two */
    char *arena;
    size_t arena_len, arena_size;
};

static inline void *words_zeroed(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (!memory)
        bench_die("no memory");
    return memory;
}

static inline struct short_word *words_slots(size_t count)
{
    struct short_word *slots = aligned_alloc(64, count * sizeof *slots); /* two per cache line */
    if (!slots)
        bench_die("no memory");
    return memset(slots, 0, count * sizeof *slots);
}

static inline void words_init(struct word_table *t)
{
    *t = (struct word_table){.short_size = 1 << 17, .long_size = 1 << 12};
    t->shorts = words_slots(t->short_size);
    t->longs = words_zeroed(t->long_size, sizeof *t->longs);
}

static inline void words_deinit(struct word_table *t)
{
    free(t->shorts);
    free(t->longs);
    free(t->arena);
}

static inline uint64_t words_mix(uint64_t a, uint64_t b)
{
    __extension__ unsigned __int128 product =
        (unsigned __int128)(a ^ 0x9e3779b97f4a7c15u) * (b ^ 0xc2b2ae3d27d4eb4fu);
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static void words_grow_shorts(struct word_table *t);

static inline uint64_t words_hash_short(word_key key)
{
#if defined(__AES__)
    __m128i k = (__m128i)key;
    k = _mm_aesenc_si128(k, _mm_set1_epi64x(0x5bd1e9955bd1e995));
    k = _mm_aesenc_si128(k, _mm_set1_epi64x(0x1b873593cc9e2d51));
    return (uint64_t)_mm_cvtsi128_si64(k);
#else
    return words_mix(key[0], key[1]);
#endif
}

static inline bool words_same(word_key a, word_key b)
{
    word_key difference = a ^ b;
    return (difference[0] | difference[1]) == 0;
}

static inline void words_add_short(struct word_table *t, word_key key, uint64_t count)
{
    size_t slot = words_hash_short(key) & (t->short_size - 1);
    while (t->shorts[slot].count && !words_same(t->shorts[slot].key, key))
        slot = (slot + 1) & (t->short_size - 1);
    struct short_word *word = &t->shorts[slot];
    if (word->count) {
        word->count += count;
        return;
    }
    *word = (struct short_word){key, count};
    if (++t->short_count * 2 > t->short_size)
        words_grow_shorts(t);
}

static void words_grow_shorts(struct word_table *t)
{
    struct short_word *old = t->shorts;
    size_t old_size = t->short_size;
    t->short_size *= 2;
    t->short_count = 0;
    t->shorts = words_slots(t->short_size);
    for (size_t i = 0; i < old_size; i++)
        if (old[i].count)
            words_add_short(t, old[i].key, old[i].count);
    free(old);
}

static inline uint64_t words_hash_long(const char *word, size_t len)
{
    uint64_t hash = len;
    for (; len >= 8; word += 8, len -= 8) {
        uint64_t part;
        memcpy(&part, word, 8);
        hash = words_mix(hash, part);
    }
    uint64_t rest = 0;
    memcpy(&rest, word, len);
    return words_mix(hash, rest);
}

static void words_grow_longs(struct word_table *t)
{
    struct long_word *old = t->longs;
    size_t old_size = t->long_size;
    t->long_size *= 2;
    t->longs = words_zeroed(t->long_size, sizeof *t->longs);
    for (size_t i = 0; i < old_size; i++) {
        if (!old[i].count)
            continue;
        size_t slot = words_hash_long(t->arena + old[i].at, old[i].len) & (t->long_size - 1);
        while (t->longs[slot].count)
            slot = (slot + 1) & (t->long_size - 1);
        t->longs[slot] = old[i];
    }
    free(old);
}

static inline size_t words_keep(struct word_table *t, const char *word, size_t len)
{
    if (t->arena_size - t->arena_len < len) {
        t->arena_size = (t->arena_size + len) * 2;
        t->arena = realloc(t->arena, t->arena_size);
        if (!t->arena)
            bench_die("no memory");
    }
    memcpy(t->arena + t->arena_len, word, len);
    t->arena_len += len;
    return t->arena_len - len;
}

static inline void words_add_long(struct word_table *t, const char *word, size_t len,
                                  uint64_t count)
{
    size_t slot = words_hash_long(word, len) & (t->long_size - 1);
    for (;; slot = (slot + 1) & (t->long_size - 1)) {
        struct long_word *known = &t->longs[slot];
        if (!known->count) {
            *known = (struct long_word){words_keep(t, word, len), (uint32_t)len, count};
            if (++t->long_count * 2 > t->long_size)
                words_grow_longs(t);
            return;
        }
        if (known->len == len && memcmp(t->arena + known->at, word, len) == 0) {
            known->count += count;
            return;
        }
    }
}

/* The bytes of a short word as a key. Reads 16 bytes from `word` unless they would reach into the
 * next page, so it may read past the end of the text but never unmapped memory. */
static inline word_key words_load(const char *word, size_t len)
{
    static const uint8_t masks[2 * SHORT_WORD] = {255, 255, 255, 255, 255, 255, 255, 255,
                                                  255, 255, 255, 255, 255, 255, 255, 255};
    word_key key = {0, 0}, mask;
    if (__builtin_expect(((uintptr_t)word & 4095) > 4096 - SHORT_WORD, 0)) {
        memcpy(&key, word, len);
        return key;
    }
    memcpy(&key, word, SHORT_WORD);
    memcpy(&mask, masks + SHORT_WORD - len, SHORT_WORD);
    return key & mask;
}

static inline void words_add(struct word_table *t, const char *word, size_t len)
{
    if (len > SHORT_WORD) {
        words_add_long(t, word, len, 1);
        return;
    }
    words_add_short(t, words_load(word, len), 1);
}

/* A bit for each of the 64 bytes at `p`: set for a blank or below. */
static inline uint64_t words_ends(const char *p)
{
#if defined(__AVX512BW__)
    return _mm512_cmple_epu8_mask(_mm512_loadu_si512((const void *)p), _mm512_set1_epi8(' '));
#elif defined(__AVX2__)
    __m256i blank = _mm256_set1_epi8(' ');
    __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)p);
    __m256i b = _mm256_loadu_si256((const __m256i *)(const void *)(p + 32));
    uint32_t low = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_min_epu8(a, blank), a));
    uint32_t high = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_min_epu8(b, blank), b));
    return (uint64_t)high << 32 | low;
#else
    uint64_t ends = 0;
    for (int i = 0; i < 64; i++)
        ends |= (uint64_t)((unsigned char)p[i] <= ' ') << i;
    return ends;
#endif
}

/* Count the words of `text`, which begins and ends between words. */
static inline void words_count(struct word_table *t, const char *text, size_t len)
{
    const char *word = text, *end = text + len, *p = text;
    for (; end - p >= 64; p += 64)
        for (uint64_t ends = words_ends(p); ends; ends &= ends - 1) {
            const char *stop = p + __builtin_ctzll(ends);
            if (stop > word)
                words_add(t, word, (size_t)(stop - word));
            word = stop + 1;
        }
    for (; p < end; p++)
        if ((unsigned char)*p <= ' ') {
            if (p > word)
                words_add(t, word, (size_t)(p - word));
            word = p + 1;
        }
    if (end > word)
        words_add(t, word, (size_t)(end - word));
}

static inline size_t words_short_len(word_key key)
{
    return key[1] ? 16 - (size_t)__builtin_clzll(key[1]) / 8
                  : 8 - (size_t)__builtin_clzll(key[0]) / 8;
}

static inline size_t words_encoded_size(const struct word_table *t)
{
    return t->short_count * (WORD_HEAD + SHORT_WORD) + t->long_count * WORD_HEAD + t->arena_len;
}

static inline char *words_encode_one(char *to, const void *word, size_t len, uint64_t count)
{
    uint32_t len32 = (uint32_t)len;
    memcpy(to, &len32, 4);
    memcpy(to + 4, &count, 8);
    memcpy(to + WORD_HEAD, word, len);
    return to + WORD_HEAD + len;
}

/* Write the table to `to`, which has words_encoded_size() bytes. @return how many were used */
static inline size_t words_encode(const struct word_table *t, void *to)
{
    char *at = to;
    for (size_t i = 0; i < t->short_size; i++)
        if (t->shorts[i].count)
            at = words_encode_one(at, &t->shorts[i].key, words_short_len(t->shorts[i].key),
                                  t->shorts[i].count);
    for (size_t i = 0; i < t->long_size; i++)
        if (t->longs[i].count)
            at =
                words_encode_one(at, t->arena + t->longs[i].at, t->longs[i].len, t->longs[i].count);
    return (size_t)(at - (char *)to);
}

/* Add what words_encode() wrote. */
static inline void words_merge(struct word_table *t, const void *encoded, size_t len)
{
    for (const char *p = encoded, *end = p + len; p < end;) {
        uint32_t word_len;
        uint64_t count;
        memcpy(&word_len, p, 4);
        memcpy(&count, p + 4, 8);
        if (word_len <= SHORT_WORD) {
            word_key key = {0, 0};
            memcpy(&key, p + WORD_HEAD, word_len);
            words_add_short(t, key, count);
        } else {
            words_add_long(t, p + WORD_HEAD, word_len, count);
        }
        p += WORD_HEAD + word_len;
    }
}

/* "word count" lines, in no particular order. */
static inline void words_print(const struct word_table *t, FILE *out)
{
    for (size_t i = 0; i < t->short_size; i++)
        if (t->shorts[i].count)
            fprintf(out, "%.*s %llu\n", (int)words_short_len(t->shorts[i].key),
                    (const char *)&t->shorts[i].key, (unsigned long long)t->shorts[i].count);
    for (size_t i = 0; i < t->long_size; i++)
        if (t->longs[i].count)
            fprintf(out, "%.*s %llu\n", (int)t->longs[i].len, t->arena + t->longs[i].at,
                    (unsigned long long)t->longs[i].count);
}

#endif
