/* SPDX-License-Identifier: Apache-2.0 */
/* Separators in memory.
 *
 * The definition: read an object from its first byte on; whenever the bytes since the last
 * separator end with the separator, that is the next one. So separators never overlap, and which
 * of the overlapping candidates in "aaa" is the "aa" depends on everything before them.
 *
 * From the start of a line this is a plain search for the first occurrence, which the C library
 * does fast. In the middle of an object, where the phase is not known, it is the automaton of
 * Knuth, Morris and Pratt that falls back to its first state after each match; it has one state
 * per byte of the separator, so all of them can be followed at once.
 *
 * A separator that no proper prefix of itself ends ("\n", "\r\n", "ab") cannot overlap itself;
 * there the last occurrence may be searched from the end. */
#include "partition/separator.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

int lithops__separator_init(struct lithops__separator *separator, lithops_bytes bytes,
                            lithops_error *err)
{
    if (bytes.len == 0 || bytes.len > LITHOPS__SEPARATOR_MAX)
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "obj_newline is %zu bytes long; it must have 1 to %d bytes (NULL: no "
                             "lines, plain byte ranges)",
                             bytes.len, LITHOPS__SEPARATOR_MAX);
    separator->len = bytes.len;
    separator->bytes = malloc(bytes.len);
    separator->border = calloc(bytes.len + 1, sizeof *separator->border);
    if (!separator->bytes || !separator->border) {
        lithops__separator_deinit(separator);
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for a separator");
    }
    memcpy(separator->bytes, bytes.ptr, bytes.len);
    size_t matched = 0;
    for (size_t i = 1; i < bytes.len; i++) {
        while (matched > 0 && separator->bytes[i] != separator->bytes[matched])
            matched = separator->border[matched];
        if (separator->bytes[i] == separator->bytes[matched])
            matched++;
        separator->border[i + 1] = (uint16_t)matched;
    }
    return 0;
}

void lithops__separator_deinit(struct lithops__separator *separator)
{
    free(separator->bytes);
    free(separator->border);
    *separator = (struct lithops__separator){NULL, 0, NULL};
}

/* The end of the last occurrence; only for separators that cannot overlap themselves. */
static size_t last_end(const struct lithops__separator *separator, const unsigned char *data,
                       size_t len)
{
    size_t head = separator->len - 1;
    while (len > head) {
        const unsigned char *last = memrchr(data + head, separator->bytes[head], len - head);
        if (!last)
            return 0;
        if (memcmp(last - head, separator->bytes, head) == 0)
            return (size_t)(last - data) + 1;
        len = (size_t)(last - data);
    }
    return 0;
}

size_t lithops__separator_whole(const struct lithops__separator *separator,
                                const unsigned char *data, size_t len, size_t want)
{
    const unsigned char *found;
    if (separator->border[separator->len] == 0) {
        size_t from = want > separator->len ? want - separator->len : 0;
        if (from < len) {
            found = lithops__separator_find(separator, data + from, len - from);
            if (found)
                return (size_t)(found - data) + separator->len;
        }
        return last_end(separator, data, len);
    }
    size_t end = 0;
    while (!(end && end >= want) &&
           (found = lithops__separator_find(separator, data + end, len - end)))
        end = (size_t)(found - data) + separator->len;
    return end;
}

static struct lithops__phase step(const struct lithops__separator *separator, size_t matched,
                                  unsigned char byte)
{
    while (matched > 0 && separator->bytes[matched] != byte)
        matched = separator->border[matched];
    if (separator->bytes[matched] == byte)
        matched++;
    if (matched == separator->len)
        return (struct lithops__phase){0, true};
    return (struct lithops__phase){(uint16_t)matched, false};
}

/* Keep one of each phase; index_of[q] says which of them q has become. `slot` finds an equal one
 * kept before; what it holds is checked, so it need not be cleared between bytes. */
static size_t merge(struct lithops__phase *phases, size_t count, uint16_t *index_of, size_t states,
                    uint16_t *slot)
{
    uint16_t moved_to[LITHOPS__SEPARATOR_MAX];
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        struct lithops__phase phase = phases[i];
        size_t key = 2u * phase.matched + phase.at_start, at = slot[key];
        if (at >= kept || phases[at].matched != phase.matched ||
            phases[at].at_start != phase.at_start) {
            at = kept++;
            slot[key] = (uint16_t)at;
            phases[at] = phase;
        }
        moved_to[i] = (uint16_t)at;
    }
    for (size_t q = 0; kept < count && q < states; q++)
        index_of[q] = moved_to[index_of[q]];
    return kept;
}

void lithops__separator_run(const struct lithops__separator *separator, const unsigned char *data,
                            size_t len, struct lithops__phase *ret_phases)
{
    struct lithops__phase phases[LITHOPS__SEPARATOR_MAX];
    uint16_t index_of[LITHOPS__SEPARATOR_MAX], slot[2 * LITHOPS__SEPARATOR_MAX];
    size_t count = separator->len, i = 0;
    memset(slot, 0, 2 * separator->len * sizeof *slot);
    for (size_t q = 0; q < separator->len; q++) {
        phases[q] = (struct lithops__phase){(uint16_t)q, false};
        index_of[q] = (uint16_t)q;
    }
    for (; i < len && count > 1; i++) {
        for (size_t k = 0; k < count; k++)
            phases[k] = step(separator, phases[k].matched, data[i]);
        count = merge(phases, count, index_of, separator->len, slot);
    }
    for (; i < len; i++)
        phases[0] = step(separator, phases[0].matched, data[i]);
    for (size_t q = 0; q < separator->len; q++)
        ret_phases[q] = phases[index_of[q]];
}
