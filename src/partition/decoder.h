/* SPDX-License-Identifier: Apache-2.0 */
/* What a module that decompresses gives: the symbol `lithops__decoder` of gzip.so, zstd.so,
 * bzip2.so. Memory is what the library takes for its window, however large the content is. */
#ifndef LITHOPS_PARTITION_DECODER_H
#define LITHOPS_PARTITION_DECODER_H

#include <lithops/error.h>

struct lithops__decoder_api {
    void *(*open)(void); /* NULL: no memory */
    /* Be as after open(), for the next member of the file. False: no memory. */
    bool (*restart)(void *state);
    /* Take some of `in` and make some of `out`; *ret_end: the member is complete. 0, or
     * LITHOPS_EPARSE for what is not in the format, LITHOPS_ENOMEM. */
    int (*step)(void *state, lithops_bytes in, size_t *ret_used, void *out, size_t out_len,
                size_t *ret_made, bool *ret_end);
    void (*close)(void *state);
};

LITHOPS_PUBLIC extern const struct lithops__decoder_api lithops__decoder;

#endif
