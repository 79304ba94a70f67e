/* SPDX-License-Identifier: Apache-2.0 */
/* Random values from a fixed seed, for property tests: all types, sizes around the edges of the
 * encodings, deep and shallow. */
#ifndef LITHOPS_VALUE_RANDOM_VALUE_H
#define LITHOPS_VALUE_RANDOM_VALUE_H

#include <lithops/value.h>

#include <stdio.h>
#include <string.h>

static uint64_t random_state = 0x9e3779b97f4a7c15u;

/* xorshift64*, of which the high bits are used. */
static inline uint64_t random_bits(void)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * 2685821657736338717u;
}

static inline size_t random_below(size_t limit)
{
    return (size_t)(random_bits() >> 33) % limit;
}

/* A number near a power of two, either sign: where encodings change. */
static inline int64_t random_int(void)
{
    uint64_t near = ((uint64_t)1 << random_below(64)) + random_below(5) - 2;
    return random_below(2) ? (int64_t)near : (int64_t)(0 - near);
}

static inline double random_double(void)
{
    double d = (double)random_int();
    uint64_t bits = random_bits();
    switch (random_below(4)) {
    case 0:
        return d / 1000;
    case 1:
        return d / 1048576;
    case 2:
        bits &= ~((uint64_t)1 << 62); /* any finite one under 2 */
        memcpy(&d, &bits, sizeof d);
        return d;
    default:
        return d;
    }
}

static inline lithops_value *random_string(void)
{
    static const char *const pieces[] = {"a",    "\"", "\\", "\n", "\x01",
                                         "\x7f", "é",  "€",  "𝄞",  "plain text of some length",
                                         "/",    "\t", "{}", "0"};
    static const size_t sizes[] = {0, 1, 7, 31, 32, 33, 255, 256, 300};
    char text[1024];
    size_t wanted = sizes[random_below(sizeof sizes / sizeof *sizes)], len = 0;
    if (wanted > 40 && random_below(20))
        wanted = random_below(12);
    while (len < wanted) {
        const char *piece = pieces[random_below(sizeof pieces / sizeof *pieces)];
        size_t piece_len = strlen(piece);
        memcpy(text + len, piece, piece_len);
        len += piece_len;
    }
    if (len && random_below(8) == 0) {
        text[len++] = '\0';
        text[len++] = 'x';
    }
    return lithops_value_string_n(text, len);
}

static inline lithops_value *random_bytes_value(void)
{
    unsigned char bytes[300];
    size_t len = random_below(random_below(10) ? 20 : sizeof bytes);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (unsigned char)random_bits();
    return lithops_value_bytes(bytes, len);
}

static inline lithops_value *random_array(void)
{
    static const int64_t ints[] = {0, -1, INT64_MIN, INT64_MAX, 127, 128, 65536};
    static const double doubles[] = {0.5, -1e300, 0.1, 4.9e-324};
    switch (random_below(4)) {
    case 0:
        return lithops_ints(ints, random_below(8));
    case 1:
        return lithops_doubles(doubles, random_below(5));
    case 2:
        return lithops_items(ints, random_below(8), random_below(9));
    default:
        return lithops_range(random_int() / 2, random_int() / 2 % 100);
    }
}

/* At most `levels` lists and maps inside each other. */
static inline lithops_value *random_value(int levels)
{
    static const size_t counts[] = {0, 1, 2, 3, 5, 8, 9, 15, 16, 17};
    size_t count = counts[random_below(sizeof counts / sizeof *counts)];
    lithops_value *value;
    char key[40];
    switch (random_below(levels > 0 ? 11 : 7)) {
    case 0:
        return lithops_value_null();
    case 1:
        return lithops_value_bool(random_below(2));
    case 2:
    case 3:
        return lithops_value_int(random_int());
    case 4:
        return lithops_value_double(random_double());
    case 5:
        return random_string();
    case 6:
        return random_bytes_value();
    case 7:
        value = random_array();
        if (lithops_value_size(value) < 1000)
            return value;
        lithops_value_free(value);
        return lithops_range(-3, 3);
    case 8:
    case 9:
        value = lithops_value_list();
        for (size_t i = 0; i < count; i++)
            lithops_value_append(value, random_value(levels - 1));
        return value;
    default:
        value = lithops_value_map();
        for (size_t i = 0; i < count; i++) {
            snprintf(key, sizeof key, "k\"é%zu", random_below(1000));
            lithops_value_set(value, i ? key : "", random_value(levels - 1));
        }
        return value;
    }
}

#endif
