/* SPDX-License-Identifier: Apache-2.0 */
/* Errors of calls, on their way through shared memory. */
#include "ipc/call_error.h"

#include "ipc/layout.h"

#include <string.h>

size_t lithops__call_error_size(const lithops_error *error, lithops_bytes data)
{
    return sizeof(struct lithops__call_error) + strlen(error->message) + 1 +
           strlen(error->traceback) + 1 + data.len;
}

void lithops__call_error_write(void *block, const lithops_error *error, lithops_bytes data)
{
    struct lithops__call_error *head = block;
    char *text = (char *)(head + 1);
    *head = (struct lithops__call_error){.code = error->code,
                                         .signal = error->signal,
                                         .os_errno = error->os_errno,
                                         .message_len = (uint32_t)strlen(error->message),
                                         .traceback_len = (uint32_t)strlen(error->traceback),
                                         .data_len = data.len};
    memcpy(text, error->message, head->message_len + 1);
    memcpy(text + head->message_len + 1, error->traceback, head->traceback_len + 1);
    if (data.len)
        memcpy(text + head->message_len + 1 + head->traceback_len + 1, data.ptr, data.len);
}

lithops_bytes lithops__call_error_data(const void *block)
{
    const struct lithops__call_error *head = block;
    const char *text = (const char *)(head + 1);
    return (lithops_bytes){text + head->message_len + 1 + head->traceback_len + 1, head->data_len};
}

void lithops__call_error_read(const void *block, lithops_error *ret_error)
{
    const struct lithops__call_error *head = block;
    const char *text = (const char *)(head + 1);
    *ret_error = (lithops_error)LITHOPS_ERROR_INIT;
    ret_error->code = head->code;
    ret_error->signal = head->signal;
    ret_error->os_errno = head->os_errno;
    snprintf(ret_error->message, sizeof ret_error->message, "%s", text);
    snprintf(ret_error->traceback, sizeof ret_error->traceback, "%s", text + head->message_len + 1);
}
