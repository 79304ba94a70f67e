/* SPDX-License-Identifier: Apache-2.0 */
#include "partition/decoder.h"

#include <limits.h>
#include <stdlib.h>
#include <zlib.h>

enum { GZIP_ONLY = 15 + 16 }; /* the largest window; with a header, as gzip writes it */

static void *gzip_open(void)
{
    z_stream *z = calloc(1, sizeof *z);
    if (z && inflateInit2(z, GZIP_ONLY) != Z_OK) {
        free(z);
        return NULL;
    }
    return z;
}

static bool gzip_restart(void *state)
{
    return inflateReset(state) == Z_OK;
}

static int gzip_step(void *state, lithops_bytes in, size_t *ret_used, void *out, size_t out_len,
                     size_t *ret_made, bool *ret_end)
{
    z_stream *z = state;
    uInt in_len = in.len < UINT_MAX ? (uInt)in.len : UINT_MAX;
    uInt room = out_len < UINT_MAX ? (uInt)out_len : UINT_MAX;
    z->next_in = (Bytef *)(uintptr_t)in.ptr;
    z->avail_in = in_len;
    z->next_out = out;
    z->avail_out = room;
    int rc = inflate(z, Z_NO_FLUSH);
    *ret_used = in_len - z->avail_in;
    *ret_made = room - z->avail_out;
    *ret_end = rc == Z_STREAM_END;
    return rc == Z_OK || rc == Z_STREAM_END || rc == Z_BUF_ERROR ? 0
           : rc == Z_MEM_ERROR                                   ? LITHOPS_ENOMEM
                                                                 : LITHOPS_EPARSE;
}

static void gzip_close(void *state)
{
    inflateEnd(state);
    free(state);
}

const struct lithops__decoder_api lithops__decoder = {gzip_open, gzip_restart, gzip_step,
                                                      gzip_close};
