/* SPDX-License-Identifier: Apache-2.0 */
/* Inputs and results as values. */
#include "ipc/payload.h"

#include "base/error.h"
#include "value/value.h"

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
    case LITHOPS__CONTENT_GONE:
        lithops__fail(err, LITHOPS_ECLOSED, "the result was released before");
        return NULL;
    default:
        lithops__fail(err, LITHOPS_ETYPE, "this is a %s, which only Python can read",
                      content == LITHOPS__CONTENT_PICKLE ? "pickle" : "value of unknown kind");
        return NULL;
    }
}
