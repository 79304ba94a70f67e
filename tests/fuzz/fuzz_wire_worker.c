/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzer of what a worker reads: frames, activations and their inputs. Any input is read or
 * refused, and everything read lies within the input. */
#include "wire/message.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void lies_within(lithops_bytes part, lithops_bytes whole)
{
    const char *at = part.ptr, *begin = whole.ptr;
    if (part.len &&
        (at < begin || part.len > whole.len || (size_t)(at - begin) > whole.len - part.len))
        abort();
}

static void read_inputs(lithops_bytes rest, uint32_t count)
{
    struct lithops__carried carried;
    lithops_bytes whole = rest;
    for (uint32_t i = 0; i < count && lithops__carried_read(&rest, &carried, NULL) == 0; i++)
        lies_within(carried.bytes, whole);
}

static void read_message(const struct lithops__frame *frame)
{
    struct lithops__run run;
    uint64_t length = 0;
    lithops_bytes piece;
    if (lithops__run_read(frame->payload, &run, NULL) == 0) {
        lies_within(run.numbers, frame->payload);
        lies_within(run.inputs, frame->payload);
        read_inputs(run.inputs, run.count);
    }
    if (lithops__blob_read(frame, &length, &piece, NULL) == 0)
        lies_within(piece, frame->payload);
    lithops_value_free(lithops__frame_map(frame, NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lithops_bytes rest = {data, size};
    struct lithops__frame frame;
    size_t used;
    while (lithops__frame_read(rest, &frame, &used, NULL) == 1) {
        lies_within(frame.map, rest);
        lies_within(frame.payload, rest);
        read_message(&frame);
        rest = (lithops_bytes){(const char *)rest.ptr + used, rest.len - used};
    }
    return 0;
}
