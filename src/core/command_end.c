/* SPDX-License-Identifier: Apache-2.0 */
/* How a command has ended: of a call that went well its result, else what came with the error. */
#include "function/command.h"

#include <lithops/plugin/runtime.h>

#include <string.h>

int lithops_futures_command_end(const lithops_futures *futures, size_t index,
                                lithops_command_end *ret_end, lithops_error *err)
{
    lithops_payload payload;
    int rc = lithops_futures_payload(futures, index, &payload, err);
    *ret_end = (lithops_command_end){.status = 0};
    if (rc == 0) {
        if (payload.content == LITHOPS_CONTENT_BYTES)
            ret_end->out = payload.bytes;
        return 0;
    }
    struct lithops__command_failure failure;
    lithops_bytes data = lithops_futures_error_data(futures, index);
    if (data.len < sizeof failure)
        return rc;
    memcpy(&failure, data.ptr, sizeof failure);
    const size_t rest = data.len - sizeof failure;
    if (memcmp(failure.magic, LITHOPS__COMMAND_FAILURE, sizeof failure.magic) != 0 ||
        failure.words_len > rest || failure.out_len > rest - failure.words_len ||
        failure.err_len != rest - failure.words_len - failure.out_len)
        return rc;
    const char *out = (const char *)data.ptr + sizeof failure + failure.words_len;
    *ret_end = (lithops_command_end){.status = failure.status,
                                     .signal = failure.signal,
                                     .out = {out, failure.out_len},
                                     .err = {out + failure.out_len, failure.err_len}};
    return 0;
}
