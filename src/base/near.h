/* SPDX-License-Identifier: Apache-2.0 */
/* "did you mean": the few names that are closest to one that was not found. */
#ifndef LITHOPS_BASE_NEAR_H
#define LITHOPS_BASE_NEAR_H

#include <stddef.h>

enum { LITHOPS__NEAR_MAX = 3 };
struct lithops__near {
    const char *wanted;
    size_t keep;  /* how many are wanted */
    size_t limit; /* the largest distance that is still near */
    size_t count;
    struct {
        const char *name;
        size_t distance;
    } best[LITHOPS__NEAR_MAX]; /* the closest first */
};

/* Ask for the `keep` closest names, at most LITHOPS__NEAR_MAX. All names are borrowed. */
void lithops__near_init(struct lithops__near *near, const char *wanted, size_t keep);
void lithops__near_offer(struct lithops__near *near, const char *name);
/* Write "; did you mean 'a' or 'b'?" into buf, or nothing when no name was near. Returns buf. */
const char *lithops__near_text(const struct lithops__near *near, char *buf, size_t size);

#endif
