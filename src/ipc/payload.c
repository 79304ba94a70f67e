/* SPDX-License-Identifier: Apache-2.0 */
/* Inputs and results as values. */
#include "ipc/payload.h"

#include "base/error.h"
#include "value/value.h"

#include <assert.h>
#include <string.h>

lithops_value *lithops__payload_value(const struct lithops__area *area,
                                      enum lithops__content content, uint64_t payload,
                                      lithops_error *err)
{
    double d;
    lithops_bytes bytes = {NULL, 0};
    if (content > LITHOPS__CONTENT_INLINE && payload == 0)
        content = LITHOPS__CONTENT_GONE; /* released while the worker still wrote its times */
    if (content > LITHOPS__CONTENT_INLINE && content != LITHOPS__CONTENT_GONE)
        bytes = lithops__payload_bytes(area, payload);
    switch (content) {
    case LITHOPS__CONTENT_NULL:
        return lithops_value_null();
    case LITHOPS__CONTENT_BOOL:
        return lithops_value_bool(payload != 0);
    case LITHOPS__CONTENT_INT:
        return lithops_value_int((int64_t)payload);
    case LITHOPS__CONTENT_DOUBLE:
        memcpy(&d, &payload, sizeof d);
        return lithops_value_double(d);
    case LITHOPS__CONTENT_STRING:
        return lithops__value_view(LITHOPS_STRING, bytes);
    case LITHOPS__CONTENT_BYTES:
        return lithops__value_view(LITHOPS_BYTES, bytes);
    case LITHOPS__CONTENT_PACKED:
        return lithops__value_decode(bytes.ptr, bytes.len, err);
    case LITHOPS__CONTENT_PICKLE:
        return lithops__value_opaque(LITHOPS_CONTENT_PICKLE, bytes);
    case LITHOPS__CONTENT_GONE:
        lithops__fail(err, LITHOPS_ECLOSED, "the result was released before");
        return NULL;
    default:
        lithops__fail(err, LITHOPS_ETYPE, "this is a value of unknown kind");
        return NULL;
    }
}

int lithops__payload_read(const struct lithops__area *area, enum lithops__content content,
                          uint64_t payload, lithops_payload *ret_payload, lithops_error *err)
{
    static_assert((int)LITHOPS_CONTENT_PICKLE == (int)LITHOPS__CONTENT_PICKLE &&
                      (int)LITHOPS_CONTENT_STRING == (int)LITHOPS__CONTENT_STRING,
                  "the public enum is the first part of this one");
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
