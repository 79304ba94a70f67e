/* SPDX-License-Identifier: Apache-2.0 */
/* "did you mean": the known name that is closest to one that nobody knows. */
#ifndef LITHOPS_CONFIG_NEAREST_H
#define LITHOPS_CONFIG_NEAREST_H

#include <stddef.h>

struct lithops__nearest {
    const char *wanted;
    const char *best; /* NULL: none is near */
    size_t distance;  /* of best */
};

/* Keep `known` if it is nearer than what there is. Both names are borrowed. */
void lithops__nearest_offer(struct lithops__nearest *nearest, const char *known);

/* "; did you mean 'x'?" into buf, or nothing. Returns buf. */
const char *lithops__nearest_text(const struct lithops__nearest *nearest, char *buf, size_t size);

#endif
