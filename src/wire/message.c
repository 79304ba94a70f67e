/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/message.h"

#include "base/error.h"
#include "wire/numbers.h"

#include <stdio.h>

/* As sent. */
struct run_head {
    uint32_t job, count;
    uint64_t first;
    uint32_t input_bytes;
    uint8_t input_kind, has_numbers;
    uint16_t reserved;
    int64_t input_start;
};
struct carried_head {
    uint8_t content, how;
    uint8_t reserved[6];
    uint64_t payload; /* of bytes: their length */
};
struct outcome_head {
    uint32_t activation, call;
    uint8_t state, flags;
    uint8_t reserved[6];
    uint64_t start_ns, end_ns;
};
enum { IS_COLD = 1, HAS_USAGE = 2, NEVER_RAN = 4, HAS_OUTPUT = 8 };
struct failure_head {
    int32_t code, signal, os_errno;
    uint32_t message_len, traceback_len, data_len;
};

static int fail_cut(const char *what, lithops_error *err)
{
    return lithops__fail(err, LITHOPS_EPARSE, "%s is truncated or invalid", what);
}

/* The bytes after the first `len`, which must exist. */
static lithops_bytes behind(lithops_bytes bytes, size_t len)
{
    return (lithops_bytes){(const char *)bytes.ptr + len, bytes.len - len};
}

/* Take `len` bytes off the front. */
static bool take(lithops_bytes *bytes, void *to, size_t len)
{
    if (bytes->len < len)
        return false;
    memcpy(to, bytes->ptr, len);
    *bytes = behind(*bytes, len);
    return true;
}

void lithops__run_write(struct lithops__buffer *out, const struct lithops__run *run)
{
    struct run_head head = {.job = run->job,
                            .count = run->count,
                            .first = run->first,
                            .input_bytes = run->input_bytes,
                            .input_kind = run->input_kind,
                            .has_numbers = run->has_numbers,
                            .input_start = run->input_start};
    lithops__buffer_append(out, &head, sizeof head);
    if (run->numbers.len)
        lithops__buffer_append(out, run->numbers.ptr, run->numbers.len);
    if (run->inputs.len)
        lithops__buffer_append(out, run->inputs.ptr, run->inputs.len);
}

int lithops__run_read(lithops_bytes payload, struct lithops__run *ret_run, lithops_error *err)
{
    struct run_head head;
    if (!take(&payload, &head, sizeof head) || head.count == 0 || head.count > LITHOPS__RUN_MOST ||
        head.has_numbers > 1)
        return fail_cut("an activation", err);
    size_t numbers = head.has_numbers ? (size_t)head.count * sizeof(uint32_t) : 0;
    if (payload.len < numbers)
        return fail_cut("an activation", err);
    *ret_run = (struct lithops__run){
        .job = head.job,
        .count = head.count,
        .first = head.first,
        .input_kind = head.input_kind,
        .has_numbers = head.has_numbers,
        .input_bytes = head.input_bytes,
        .input_start = head.input_start,
        .numbers = {payload.ptr, numbers},
        .inputs = behind(payload, numbers),
    };
    return 0;
}

void lithops__carried_write(struct lithops__buffer *out, const struct lithops__carried *carried)
{
    bool has_bytes = carried->how == LITHOPS__CARRIED_BYTES;
    struct carried_head head = {.content = carried->content,
                                .how = carried->how,
                                .payload = has_bytes ? carried->bytes.len : carried->payload};
    lithops__buffer_append(out, &head, sizeof head);
    if (has_bytes && carried->bytes.len)
        lithops__buffer_append(out, carried->bytes.ptr, carried->bytes.len);
}

int lithops__carried_read(lithops_bytes *bytes, struct lithops__carried *ret_carried,
                          lithops_error *err)
{
    struct carried_head head;
    if (!take(bytes, &head, sizeof head) || head.how > LITHOPS__CARRIED_BLOB ||
        (head.how == LITHOPS__CARRIED_BYTES && head.payload > bytes->len))
        return fail_cut("an input or a result", err);
    *ret_carried = (struct lithops__carried){
        .content = head.content, .how = head.how, .payload = head.payload};
    if (head.how == LITHOPS__CARRIED_BYTES) {
        ret_carried->bytes = (lithops_bytes){bytes->ptr, (size_t)head.payload};
        *bytes = behind(*bytes, (size_t)head.payload);
    }
    return 0;
}

void lithops__outcome_write(struct lithops__buffer *out, const struct lithops__outcome *outcome)
{
    bool has_output = outcome->output.how != LITHOPS__CARRIED_VALUE;
    struct outcome_head head = {
        .activation = outcome->activation,
        .call = outcome->call,
        .state = outcome->state,
        .flags = (uint8_t)((outcome->is_cold ? IS_COLD : 0) | (outcome->has_usage ? HAS_USAGE : 0) |
                           (outcome->never_ran ? NEVER_RAN : 0) | (has_output ? HAS_OUTPUT : 0)),
        .start_ns = outcome->start_ns,
        .end_ns = outcome->end_ns};
    lithops__buffer_append(out, &head, sizeof head);
    if (outcome->has_usage)
        lithops__buffer_append(out, &outcome->usage, sizeof outcome->usage);
    lithops__carried_write(out, &outcome->result);
    if (has_output)
        lithops__carried_write(out, &outcome->output);
}

int lithops__outcome_read(lithops_bytes *bytes, struct lithops__outcome *ret_outcome,
                          lithops_error *err)
{
    struct outcome_head head;
    if (!take(bytes, &head, sizeof head))
        return fail_cut("an outcome", err);
    *ret_outcome = (struct lithops__outcome){
        .activation = head.activation,
        .call = head.call,
        .state = head.state,
        .is_cold = head.flags & IS_COLD,
        .has_usage = head.flags & HAS_USAGE,
        .never_ran = head.flags & NEVER_RAN,
        .start_ns = head.start_ns,
        .end_ns = head.end_ns,
    };
    if (ret_outcome->has_usage && !take(bytes, &ret_outcome->usage, sizeof ret_outcome->usage))
        return fail_cut("an outcome", err);
    int rc = lithops__carried_read(bytes, &ret_outcome->result, err);
    if (rc == 0 && (head.flags & HAS_OUTPUT))
        rc = lithops__carried_read(bytes, &ret_outcome->output, err);
    return rc;
}

void lithops__failure_write(struct lithops__buffer *out, const lithops_error *error,
                            lithops_bytes data)
{
    struct failure_head head = {.code = error->code,
                                .signal = error->signal,
                                .os_errno = error->os_errno,
                                .message_len = (uint32_t)strlen(error->message),
                                .traceback_len = (uint32_t)strlen(error->traceback),
                                .data_len = (uint32_t)data.len};
    lithops__buffer_append(out, &head, sizeof head);
    lithops__buffer_append(out, error->message, head.message_len);
    lithops__buffer_append(out, error->traceback, head.traceback_len);
    if (data.len)
        lithops__buffer_append(out, data.ptr, data.len);
}

static int cut(uint32_t len, size_t size)
{
    return (int)(len < size ? len : size);
}

int lithops__failure_read(lithops_bytes bytes, lithops_error *ret_error, lithops_bytes *ret_data,
                          lithops_error *err)
{
    struct failure_head head;
    if (!take(&bytes, &head, sizeof head) || head.code >= 0 ||
        (uint64_t)head.message_len + head.traceback_len + head.data_len != bytes.len)
        return fail_cut("the error of a call", err);
    const char *message = bytes.ptr, *traceback = message + head.message_len;
    *ret_error = (lithops_error)LITHOPS_ERROR_INIT;
    ret_error->code = head.code;
    ret_error->signal = head.signal;
    ret_error->os_errno = head.os_errno;
    snprintf(ret_error->message, sizeof ret_error->message, "%.*s",
             cut(head.message_len, sizeof ret_error->message), message);
    snprintf(ret_error->traceback, sizeof ret_error->traceback, "%.*s",
             cut(head.traceback_len, sizeof ret_error->traceback), traceback);
    *ret_data = (lithops_bytes){traceback + head.traceback_len, head.data_len};
    return 0;
}

int lithops__blob_read(const struct lithops__frame *frame, uint64_t *ret_length,
                       lithops_bytes *ret_piece, lithops_error *err)
{
    lithops_bytes piece = frame->payload;
    if (frame->stream == 0 ||
        ((frame->flags & LITHOPS__FRAME_FIRST) && !take(&piece, ret_length, sizeof *ret_length)))
        return fail_cut("a piece of a blob", err);
    *ret_piece = piece;
    return 0;
}
