/* SPDX-License-Identifier: Apache-2.0 */
/* The call that a worker process runs. */
#ifndef LITHOPS_WORKER_CALL_H
#define LITHOPS_WORKER_CALL_H

#include "ipc/layout.h"

#include <lithops/call.h>
#include <lithops/stream.h>

struct lithops__job_context;
struct lithops__worker_process;

struct lithops_call {
    struct lithops__worker_process *process;
    struct lithops__job_context *job;
    struct lithops__range *range;
    uint64_t index;

    enum lithops__content input_content;
    bool input_known; /* input_content and input_payload are set */
    uint64_t input_payload;

    enum lithops__content result_content;
    uint64_t result_payload;
    lithops__offset pending; /* block of the result, not published */
    uint64_t pending_len;

    /* What most calls never use: set to zero again by finish() when `used` says so. */
    bool used;
    lithops_value *input;
    lithops_value *item; /* of lithops_call_next_value() */
    lithops_stream *stream;
    uint64_t next_result; /* of a reducer */
    bool input_failed;    /* a map call, or opening an object: the call fails too */
    bool wrote;           /* lithops_call_wrote() */
    lithops_error error;
    void *error_data; /* what the runtime says of it; from malloc() */
    size_t error_data_len;
};

#endif
