/* SPDX-License-Identifier: Apache-2.0 */
/* Inputs and results as values. */
#include "ipc/payload.h"

#include "base/error.h"

#include <assert.h>

int lithops__payload_read(const struct lithops__area *area, enum lithops__content content,
                          uint64_t payload, lithops_payload *ret_payload, lithops_error *err)
{
    static_assert((int)LITHOPS_CONTENT_PICKLE == (int)LITHOPS__CONTENT_PICKLE &&
                      (int)LITHOPS_CONTENT_STRING == (int)LITHOPS__CONTENT_STRING,
                  "the public enum is the first part of this one");
    /* without a payload: released while the worker still wrote its times */
    if (content == LITHOPS__CONTENT_GONE || (content > LITHOPS__CONTENT_INLINE && payload == 0))
        return lithops__fail(err, LITHOPS_ECLOSED, "the result was released before");
    if (content > LITHOPS__CONTENT_PICKLE)
        return lithops__fail(err, LITHOPS_ETYPE, "this is a value of unknown kind");
    *ret_payload = (lithops_payload){.content = (lithops_content)content};
    if (content == LITHOPS__CONTENT_BOOL)
        ret_payload->b = payload != 0;
    else if (content <= LITHOPS__CONTENT_INLINE)
        ret_payload->i = (int64_t)payload; /* a double has the same bits */
    else
        ret_payload->bytes = lithops__payload_bytes(area, payload);
    return 0;
}

lithops_value *lithops__payload_value(const struct lithops__area *area,
                                      enum lithops__content content, uint64_t payload,
                                      lithops_error *err)
{
    lithops_payload read;
    if (lithops__payload_read(area, content, payload, &read, err) != 0)
        return NULL;
    return content == LITHOPS__CONTENT_PACKED ? lithops_value_from_packed(read.bytes, err)
                                              : lithops_payload_value(&read);
}
