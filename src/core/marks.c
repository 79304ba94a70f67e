/* SPDX-License-Identifier: Apache-2.0 */
/* Marks of calls, 16 to a word: a million calls of a map are marked in 62,500 steps. */
#include "core/marks.h"

#include <stdlib.h>

enum { MARK_BITS = 4, MARK_MASK = 15, WORD_CALLS = 64 / MARK_BITS };

bool lithops__marks_init(struct lithops__marks *marks, uint64_t capacity)
{
    atomic_init(&marks->few, 0);
    marks->words = NULL;
    if (capacity > WORD_CALLS)
        marks->words = calloc(capacity / WORD_CALLS + 1, sizeof *marks->words);
    return capacity <= WORD_CALLS || marks->words;
}

void lithops__marks_deinit(struct lithops__marks *marks)
{
    free(marks->words);
    marks->words = NULL;
}

static uint64_t word_at(const struct lithops__marks *marks, uint64_t index)
{
    return atomic_load_explicit(marks->words ? &marks->words[index / WORD_CALLS] : &marks->few,
                                memory_order_relaxed);
}

/* The same marks for all calls of a word. */
static uint64_t for_all(unsigned marks)
{
    return marks * (UINT64_MAX / MARK_MASK);
}

void lithops__marks_change(struct lithops__marks *marks, uint64_t begin, uint64_t end, unsigned set,
                           bool on)
{
    for (uint64_t i = begin, next; i < end; i = next) {
        next = (i / WORD_CALLS + 1) * WORD_CALLS;
        uint64_t bits = for_all(set) << i % WORD_CALLS * MARK_BITS;
        if (end < next)
            bits &= ((uint64_t)1 << end % WORD_CALLS * MARK_BITS) - 1;
        _Atomic uint64_t *word = marks->words ? &marks->words[i / WORD_CALLS] : &marks->few;
        if (on && (word_at(marks, i) & bits) != bits)
            atomic_fetch_or_explicit(word, bits, memory_order_relaxed);
        else if (!on)
            atomic_fetch_and_explicit(word, ~bits, memory_order_relaxed);
    }
}

unsigned lithops__marks_of(const struct lithops__marks *marks, uint64_t index)
{
    return word_at(marks, index) >> index % WORD_CALLS * MARK_BITS & MARK_MASK;
}

uint64_t lithops__marks_find(const struct lithops__marks *marks, uint64_t begin, uint64_t end,
                             unsigned mark, bool on)
{
    for (uint64_t i = begin; i < end; i = (i / WORD_CALLS + 1) * WORD_CALLS) {
        uint64_t bits = word_at(marks, i) & for_all(mark);
        bits = (on ? bits : bits ^ for_all(mark)) >> i % WORD_CALLS * MARK_BITS;
        if (bits) {
            i += (uint64_t)__builtin_ctzll(bits) / MARK_BITS;
            return i < end ? i : end;
        }
    }
    return end;
}
