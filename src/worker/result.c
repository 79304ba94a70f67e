/* SPDX-License-Identifier: Apache-2.0 */
/* The result side of a call. Null, bool, int and double go into the call's record; everything else
 * into the worker's region of shared memory, where the client reads it in place. */
#include "worker/result.h"

#include "base/buffer.h"
#include "base/error.h"
#include "ipc/area.h"
#include "ipc/layout.h"
#include "ipc/region.h"
#include "partition/partition.h"
#include "value/value.h"
#include "worker/call.h"
#include "worker/process.h"
#include "worker/room.h"

#include <lithops/plugin/runtime.h>

#include <stdlib.h>
#include <string.h>

void lithops__call_drop_result(lithops_call *call)
{
    if (call->pending)
        lithops__region_undo(&call->process->region, call->pending);
    call->pending = 0;
    call->result_content = LITHOPS__CONTENT_NULL;
    call->result_payload = 0;
}

void lithops__call_clear(lithops_call *call)
{
    lithops_value_free(call->input);
    lithops_value_free(call->item);
    lithops__stream_close(call->stream);
    call->input = call->item = NULL;
    call->stream = NULL;
    call->next_result = 0;
    call->input_failed = false;
    free(call->error_data);
    call->error_data = NULL;
    call->error_data_len = 0;
    call->error.code = 0;
    call->error.message[0] = call->error.traceback[0] = '\0';
    call->used = false;
}

static int fail(lithops_call *call, int code, const char *text)
{
    call->used = true;
    return lithops__fail(&call->error, code, "%s", text);
}

static int set_inline(lithops_call *call, enum lithops__content content, uint64_t payload)
{
    if (call->pending)
        lithops__call_drop_result(call);
    call->result_content = content;
    call->result_payload = payload;
    return 0;
}

int lithops_return_int(lithops_call *call, int64_t i)
{
    return set_inline(call, LITHOPS__CONTENT_INT, (uint64_t)i);
}

int lithops_return_double(lithops_call *call, double d)
{
    uint64_t payload;
    memcpy(&payload, &d, sizeof payload);
    return set_inline(call, LITHOPS__CONTENT_DOUBLE, payload);
}

void *lithops_call_alloc(lithops_call *call, size_t len)
{
    lithops__call_drop_result(call);
    call->pending = lithops__call_room(call, len);
    call->pending_len = len;
    if (call->pending)
        return lithops__at(&call->process->area, call->pending);
    call->used = true;
    lithops__fail(&call->error, LITHOPS_ENOSPACE,
                  "no shared memory left for a result of %zu bytes: release or clean results, or "
                  "raise %s",
                  len, call->process->area.control->memory_key);
    return NULL;
}

static int return_copy(lithops_call *call, enum lithops__content content, const void *ptr,
                       size_t len)
{
    void *room = lithops_call_alloc(call, len);
    if (!room)
        return LITHOPS_ENOSPACE;
    if (len)
        memmove(room, ptr, len); /* it may be part of the block that was just released */
    call->result_content = content;
    call->result_payload = call->pending;
    return 0;
}

static int return_text(lithops_call *call, enum lithops__content content, const void *ptr,
                       size_t len)
{
    if (call->pending && ptr == lithops__at(&call->process->area, call->pending)) {
        if (len > call->pending_len)
            return fail(call, LITHOPS_EUSAGE,
                        "the result is longer than lithops_call_alloc() gave");
        call->pending_len = len;
        call->result_content = content;
        call->result_payload = call->pending;
        return 0;
    }
    if (!ptr && len > 0)
        return fail(call, LITHOPS_EUSAGE, "the result's bytes are NULL");
    return return_copy(call, content, ptr, len);
}

int lithops_return_bytes(lithops_call *call, const void *ptr, size_t len)
{
    return return_text(call, LITHOPS__CONTENT_BYTES, ptr, len);
}

int lithops_return_payload(lithops_call *call, const lithops_payload *payload)
{
    if (!payload || payload->content > LITHOPS_CONTENT_PICKLE)
        return fail(call, LITHOPS_EUSAGE, "the result is not a payload");
    const enum lithops__content content = (enum lithops__content)payload->content;
    if (payload->content > LITHOPS_CONTENT_DOUBLE)
        return return_text(call, content, payload->bytes.ptr, payload->bytes.len);
    if (payload->content == LITHOPS_CONTENT_BOOL)
        return set_inline(call, content, payload->b);
    return set_inline(call, content,
                      payload->content == LITHOPS_CONTENT_NULL ? 0 : (uint64_t)payload->i);
}

static int return_packed(lithops_call *call, const lithops_value *value)
{
    struct lithops__buffer buffer = LITHOPS__BUFFER_INIT;
    lithops_error err = LITHOPS_ERROR_INIT;
    int rc = lithops__value_encode(value, &buffer, &err);
    if (rc != 0) {
        call->used = true;
        call->error = err;
    } else {
        rc = return_copy(call, LITHOPS__CONTENT_PACKED, buffer.data, buffer.len);
    }
    lithops__buffer_deinit(&buffer);
    return rc;
}

int lithops__return_borrowed(lithops_call *call, const lithops_value *value)
{
    if (!value)
        return fail(call, LITHOPS_EUSAGE,
                    "the result is NULL: lithops_pack() or another maker of values has failed; "
                    "lithops_return() with the same format says why");
    lithops_payload payload;
    return lithops__value_payload(value, &payload) ? lithops_return_payload(call, &payload)
                                                   : return_packed(call, value);
}

int lithops_return_value(lithops_call *call, lithops_value *value)
{
    int rc = lithops__return_borrowed(call, value);
    lithops_value_free(value);
    return rc;
}

static int return_formatted(lithops_call *call, const char *format, va_list args)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_value *value = lithops__vpack(&err, format, args);
    if (value)
        return lithops_return_value(call, value);
    lithops__error_prefix(&err, "lithops_return()");
    call->used = true;
    call->error = err;
    return err.code;
}

int lithops_return(lithops_call *call, const char *format, ...)
{
    if (!format)
        return fail(call, LITHOPS_EUSAGE, "the format of lithops_return() is NULL");
    va_list args;
    va_start(args, format);
    int rc;
    if (strcmp(format, "I") == 0)
        rc = lithops_return_int(call, va_arg(args, int64_t));
    else if (strcmp(format, "i") == 0)
        rc = lithops_return_int(call, va_arg(args, int));
    else
        rc = return_formatted(call, format, args);
    va_end(args);
    return rc;
}

int lithops_fail(lithops_call *call, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    lithops__vfail(&call->error, LITHOPS_ECALL, format, args);
    va_end(args);
    call->used = true;
    return LITHOPS_ECALL;
}

void lithops__call_keep_data(lithops_call *call, lithops_bytes data)
{
    free(call->error_data);
    call->error_data = data.len ? malloc(data.len) : NULL;
    call->error_data_len = call->error_data ? data.len : 0;
    if (call->error_data)
        memcpy(call->error_data, data.ptr, data.len);
}

int lithops_fail_data(lithops_call *call, const lithops_error *err, lithops_bytes data)
{
    lithops__call_keep_data(call, data);
    return lithops_fail_error(call, err);
}

void lithops_call_wrote(lithops_call *call)
{
    call->wrote = true;
}

const lithops_error *lithops_call_error(const lithops_call *call)
{
    return &call->error;
}

int lithops_fail_error(lithops_call *call, const lithops_error *err)
{
    if (!err)
        return lithops_fail(call, "the function failed, and gave no error");
    call->error = *err;
    call->used = true;
    return err->code ? err->code : LITHOPS_ECALL;
}
