/* SPDX-License-Identifier: Apache-2.0 */
#include "partition/decoder.h"

#include <bzlib.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void *bzip2_open(void)
{
    bz_stream *bz = calloc(1, sizeof *bz);
    if (bz && BZ2_bzDecompressInit(bz, 0, 0) != BZ_OK) {
        free(bz);
        return NULL;
    }
    return bz;
}

static bool bzip2_restart(void *state)
{
    bz_stream *bz = state;
    BZ2_bzDecompressEnd(bz);
    memset(bz, 0, sizeof *bz);
    return BZ2_bzDecompressInit(bz, 0, 0) == BZ_OK;
}

static int bzip2_step(void *state, lithops_bytes in, size_t *ret_used, void *out, size_t out_len,
                      size_t *ret_made, bool *ret_end)
{
    bz_stream *bz = state;
    unsigned in_len = in.len < UINT_MAX ? (unsigned)in.len : UINT_MAX;
    unsigned room = out_len < UINT_MAX ? (unsigned)out_len : UINT_MAX;
    bz->next_in = (char *)(uintptr_t)in.ptr;
    bz->avail_in = in_len;
    bz->next_out = out;
    bz->avail_out = room;
    int rc = BZ2_bzDecompress(bz);
    *ret_used = in_len - bz->avail_in;
    *ret_made = room - bz->avail_out;
    *ret_end = rc == BZ_STREAM_END;
    return rc == BZ_OK || rc == BZ_STREAM_END ? 0
           : rc == BZ_MEM_ERROR               ? LITHOPS_ENOMEM
                                              : LITHOPS_EPARSE;
}

static void bzip2_close(void *state)
{
    BZ2_bzDecompressEnd(state);
    free(state);
}

const struct lithops__decoder_api lithops__decoder = {bzip2_open, bzip2_restart, bzip2_step,
                                                      bzip2_close};
