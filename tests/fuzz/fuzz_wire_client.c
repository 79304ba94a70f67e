/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzer of what a client reads: outcomes, with results, output and errors of calls. Any input is
 * read or refused, and what was read is written again unchanged. */
#include "wire/message.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_failure(lithops_bytes bytes)
{
    lithops_error error;
    lithops_bytes data;
    if (lithops__failure_read(bytes, &error, &data, NULL) != 0)
        return;
    if (error.code >= 0 || strlen(error.message) >= sizeof error.message ||
        strlen(error.traceback) >= sizeof error.traceback || data.len > bytes.len)
        abort();
}

static void write_again(const struct lithops__outcome *outcome)
{
    struct lithops__buffer out = LITHOPS__BUFFER_INIT;
    struct lithops__outcome again;
    lithops__outcome_write(&out, outcome);
    lithops_bytes rest = {out.data, out.len};
    if (lithops__outcome_read(&rest, &again, NULL) != 0 || rest.len ||
        again.activation != outcome->activation || again.call != outcome->call ||
        again.state != outcome->state || again.result.bytes.len != outcome->result.bytes.len)
        abort();
    lithops__buffer_deinit(&out);
}

static void read_outcomes(lithops_bytes rest)
{
    struct lithops__outcome outcome;
    while (rest.len > 0 && lithops__outcome_read(&rest, &outcome, NULL) == 0) {
        read_failure(outcome.result.bytes);
        write_again(&outcome);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lithops_bytes rest = {data, size};
    struct lithops__frame frame;
    size_t used;
    while (lithops__frame_read(rest, &frame, &used, NULL) == 1) {
        read_outcomes(frame.payload);
        if (frame.payload.len >= 8) /* behind the credit */
            read_outcomes(
                (lithops_bytes){(const char *)frame.payload.ptr + 8, frame.payload.len - 8});
        rest = (lithops_bytes){(const char *)rest.ptr + used, rest.len - used};
    }
    return 0;
}
