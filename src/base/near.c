/* SPDX-License-Identifier: Apache-2.0 */
/* Near names, by the optimal string alignment distance: how many letters must be inserted,
 * deleted, replaced or swapped with their neighbour; case is ignored. A name is near if the
 * distance is at most a third of the given letters, or one letter; or if one of the two names
 * begins with the other. Candidates stream through; only the best few are kept, so the symbol table
 * of a big library costs no memory. */
#include "base/near.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { LONGEST = 64 }; /* longer names are not compared: nobody mistypes those by hand */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static bool same(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

static size_t distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    unsigned char rows[3][LONGEST + 1]; /* row i of the matrix is rows[i % 3] */
    for (size_t j = 0; j <= b_len; j++)
        rows[0][j] = (unsigned char)j;
    for (size_t i = 1; i <= a_len; i++) {
        unsigned char *row = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = (unsigned char)i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t replaced = above[j - 1] + !same(a[i - 1], b[j - 1]);
            size_t best = least(replaced, least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
                best = least(best, above2[j - 2] + 1u);
            row[j] = (unsigned char)best;
        }
    }
    return rows[a_len % 3][b_len];
}

void lithops__near_init(struct lithops__near *near, const char *wanted, size_t keep)
{
    size_t len = strnlen(wanted, LONGEST);
    *near = (struct lithops__near){
        .wanted = wanted,
        .keep = least(keep, LITHOPS__NEAR_MAX),
        .limit = len < 6 ? 1 : len / 3,
    };
}

/* SIZE_MAX: not near. */
static size_t how_far(const struct lithops__near *near, const char *name)
{
    size_t wanted_len = strnlen(near->wanted, LONGEST + 1), len = strnlen(name, LONGEST + 1);
    if (wanted_len == 0 || len == 0 || wanted_len > LONGEST || len > LONGEST)
        return SIZE_MAX;
    size_t shorter = least(wanted_len, len);
    bool prefix = shorter >= 3 && strncasecmp(near->wanted, name, shorter) == 0;
    if ((wanted_len > len ? wanted_len - len : len - wanted_len) > near->limit)
        return prefix ? near->limit + 1 : SIZE_MAX; /* behind the slips */
    size_t far = distance(near->wanted, wanted_len, name, len);
    if (far >= len || far > near->limit) /* all letters replaced: not near, however short */
        return prefix ? near->limit + 1 : SIZE_MAX;
    return far;
}

void lithops__near_offer(struct lithops__near *near, const char *name)
{
    size_t far = how_far(near, name);
    size_t at = near->count;
    if (far == SIZE_MAX)
        return;
    for (size_t i = 0; i < near->count; i++)
        if (strcmp(near->best[i].name, name) == 0)
            return; /* a symbol has one entry per version */
    while (at > 0 && near->best[at - 1].distance > far)
        at--;
    if (at == near->keep)
        return;
    size_t kept = least(near->count, near->keep - 1);
    memmove(&near->best[at + 1], &near->best[at], (kept - at) * sizeof near->best[0]);
    near->best[at].name = name;
    near->best[at].distance = far;
    near->count = kept + 1;
}

const char *lithops__near_text(const struct lithops__near *near, char *buf, size_t size)
{
    size_t used = 0;
    buf[0] = '\0';
    for (size_t i = 0; i < near->count && used < size; i++) {
        const char *between = i == 0 ? "; did you mean " : i + 1 < near->count ? ", " : " or ";
        used += (size_t)snprintf(buf + used, size - used, "%s'%s'%s", between, near->best[i].name,
                                 i + 1 == near->count ? "?" : "");
    }
    return buf;
}
