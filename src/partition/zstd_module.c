/* SPDX-License-Identifier: Apache-2.0 */
/* A frame is a member; the library passes over skippable frames. Windows of more than 128 MiB
 * (zstd --ultra --long=31) are refused, as the zstd command does. */
#include "partition/decoder.h"

#include <zstd.h>
#include <zstd_errors.h>

static void *zstd_open(void)
{
    return ZSTD_createDStream();
}

static bool zstd_restart(void *state)
{
    return !ZSTD_isError(ZSTD_DCtx_reset(state, ZSTD_reset_session_only));
}

static int zstd_step(void *state, lithops_bytes in, size_t *ret_used, void *out, size_t out_len,
                     size_t *ret_made, bool *ret_end)
{
    ZSTD_inBuffer from = {in.ptr, in.len, 0};
    ZSTD_outBuffer to = {out, out_len, 0};
    size_t left = ZSTD_decompressStream(state, &to, &from);
    *ret_used = from.pos;
    *ret_made = to.pos;
    *ret_end = left == 0;
    if (!ZSTD_isError(left))
        return 0;
    return ZSTD_getErrorCode(left) == ZSTD_error_memory_allocation ? LITHOPS_ENOMEM
                                                                   : LITHOPS_EPARSE;
}

static void zstd_close(void *state)
{
    ZSTD_freeDStream(state);
}

const struct lithops__decoder_api lithops__decoder = {zstd_open, zstd_restart, zstd_step,
                                                      zstd_close};
