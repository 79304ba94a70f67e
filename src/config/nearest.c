/* SPDX-License-Identifier: Apache-2.0 */
/* The nearest name: how many letters must be added, dropped, changed or swapped with their
 * neighbour (optimal string alignment). A name is near when that is at most a third of its
 * letters, and one letter in any case. */
#include "config/nearest.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { LONGEST = 40 }; /* no known name is longer */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Case counts for nothing. `a` and `b` have at most LONGEST letters. */
static size_t distance(const char *a, const char *b)
{
    size_t cost[LONGEST + 1][LONGEST + 1], a_len = strlen(a), b_len = strlen(b);
    for (size_t i = 0; i <= a_len; i++)
        for (size_t j = 0; j <= b_len; j++) {
            if (i == 0 || j == 0) {
                cost[i][j] = i + j;
                continue;
            }
            int x = tolower((unsigned char)a[i - 1]), y = tolower((unsigned char)b[j - 1]);
            cost[i][j] =
                least(least(cost[i - 1][j], cost[i][j - 1]) + 1, cost[i - 1][j - 1] + (x != y));
            if (i > 1 && j > 1 && x == tolower((unsigned char)b[j - 2]) &&
                y == tolower((unsigned char)a[i - 2]))
                cost[i][j] = least(cost[i][j], cost[i - 2][j - 2] + 1);
        }
    return cost[a_len][b_len];
}

void lithops__nearest_offer(struct lithops__nearest *nearest, const char *known)
{
    size_t wanted_len = strnlen(nearest->wanted, LONGEST + 1), known_len = strlen(known);
    if (wanted_len == 0 || wanted_len > LONGEST || known_len > LONGEST)
        return;
    size_t far = distance(nearest->wanted, known), limit = known_len < 6 ? 1 : known_len / 3;
    if (far <= limit && (!nearest->best || far < nearest->distance)) {
        nearest->best = known;
        nearest->distance = far;
    }
}

const char *lithops__nearest_text(const struct lithops__nearest *nearest, char *buf, size_t size)
{
    buf[0] = '\0';
    if (nearest->best)
        snprintf(buf, size, "; did you mean '%s'?", nearest->best);
    return buf;
}
