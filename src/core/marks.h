/* SPDX-License-Identifier: Apache-2.0 */
/* Marks: what became of each call's outcome, see lithops_mark in plugin/runtime.h. This is the only
 * note of whether a result was taken; times, in seen.h, are for the statistics alone. Any thread,
 * no lock. */
#ifndef LITHOPS_CORE_MARKS_H
#define LITHOPS_CORE_MARKS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Four bits per call. */
struct lithops__marks {
    _Atomic uint64_t few;    /* of up to 16 calls */
    _Atomic uint64_t *words; /* of more; else NULL */
};

/* Room for the marks of `capacity` calls, none of them set. False: out of memory. */
bool lithops__marks_init(struct lithops__marks *marks, uint64_t capacity);
void lithops__marks_deinit(struct lithops__marks *marks);
/* Set these marks of calls [begin, end), or take them away. */
void lithops__marks_change(struct lithops__marks *marks, uint64_t begin, uint64_t end, unsigned set,
                           bool on);
unsigned lithops__marks_of(const struct lithops__marks *marks, uint64_t index);
/* The first of calls [begin, end) that has (or has not) this mark; `end`: none. */
uint64_t lithops__marks_find(const struct lithops__marks *marks, uint64_t begin, uint64_t end,
                             unsigned mark, bool on);

#endif
