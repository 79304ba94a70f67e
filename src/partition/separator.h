/* SPDX-License-Identifier: Apache-2.0 */
/* Separators: where lines begin, in memory. See docs/partitions.md for the definition of a line.
 *
 * Immutable after init; thread-safe. */
#ifndef LITHOPS_PARTITION_SEPARATOR_H
#define LITHOPS_PARTITION_SEPARATOR_H

#include <lithops/error.h>
#include <string.h>

#define LITHOPS__SEPARATOR_MAX 1024

struct lithops__separator {
    unsigned char *bytes; /* NULL: no separator, one "line" is all there is */
    size_t len;
    uint16_t *border; /* border[n]: longest proper prefix of bytes that ends bytes[0, n) */
};

/* Copies. LITHOPS_EUSAGE: empty or longer than LITHOPS__SEPARATOR_MAX; LITHOPS_ENOMEM. */
int lithops__separator_init(struct lithops__separator *separator, lithops_bytes bytes,
                            lithops_error *err);
void lithops__separator_deinit(struct lithops__separator *separator);

/* The first separator in [data, data + len), or NULL. When data is the start of a line, this is
 * the end of that line. Inline: it is called once per line. */
static inline const unsigned char *
lithops__separator_find(const struct lithops__separator *separator, const unsigned char *data,
                        size_t len)
{
    if (separator->len == 1)
        return (const unsigned char *)memchr(data, separator->bytes[0], len);
    if (len < separator->len || !separator->len)
        return NULL;
    return (const unsigned char *)memmem(data, len, separator->bytes, separator->len);
}

/* The end of the first separator that ends at or behind `want`, else the end of the last one; 0
 * when there is none. `data` is the start of a line. */
size_t lithops__separator_whole(const struct lithops__separator *separator,
                                const unsigned char *data, size_t len, size_t want);

/* Where the scan of an object stands behind a byte: `matched` bytes of a separator have been seen
 * since the last one was complete. */
struct lithops__phase {
    uint16_t matched;
    bool at_start; /* the byte completed a separator: a line starts here */
};

/* What each phase becomes over [data, data + len): ret_phases[q] is where a scan stands behind the
 * data that had q bytes matched in front of it, for each q in 0 .. separator->len - 1. `len` is at
 * least 1. Soon all agree, in most texts; then it does not matter what lies in front. */
void lithops__separator_run(const struct lithops__separator *separator, const unsigned char *data,
                            size_t len, struct lithops__phase *ret_phases);

#endif
