/* SPDX-License-Identifier: Apache-2.0 */
/* Counting one byte in memory, at memory speed. */
#ifndef LITHOPS_PARTITION_COUNT_H
#define LITHOPS_PARTITION_COUNT_H

#include <stddef.h>

/* How often `byte` occurs in [data, data + len). */
size_t lithops__count_byte(const void *data, size_t len, unsigned char byte);

/* The variants it chooses from, for tests. NULL: this CPU or compiler has no such variant. */
typedef size_t lithops__count_function(const unsigned char *data, size_t len, unsigned char byte);
struct lithops__count_variant {
    const char *name;
    lithops__count_function *count;
};
/* From the fastest to the portable one; ends with a NULL name. */
const struct lithops__count_variant *lithops__count_variants(void);

#endif
