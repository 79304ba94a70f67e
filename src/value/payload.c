/* SPDX-License-Identifier: Apache-2.0 */
/* Conversions between payloads and values, and encoding of values for transport. */
#include "base/error.h"
#include "value/tree.h"

bool lithops__value_payload(const lithops_value *value, lithops_payload *ret_payload)
{
    static const lithops_content contents[] = {
        [LITHOPS_NULL] = LITHOPS_CONTENT_NULL,     [LITHOPS_BOOL] = LITHOPS_CONTENT_BOOL,
        [LITHOPS_INT] = LITHOPS_CONTENT_INT,       [LITHOPS_DOUBLE] = LITHOPS_CONTENT_DOUBLE,
        [LITHOPS_STRING] = LITHOPS_CONTENT_STRING, [LITHOPS_BYTES] = LITHOPS_CONTENT_BYTES,
    };
    const lithops_type type = lithops_value_type(value);
    if (type > LITHOPS_BYTES)
        return false;
    *ret_payload = (lithops_payload){.content = contents[type]};
    if (type == LITHOPS_BOOL)
        ret_payload->b = lithops_value_get_bool(value);
    else if (type == LITHOPS_INT)
        ret_payload->i = lithops_value_get_int(value);
    else if (type == LITHOPS_DOUBLE)
        ret_payload->d = lithops_value_get_double(value);
    else if (type >= LITHOPS_STRING)
        ret_payload->bytes = lithops_value_get_bytes(value);
    if (type == LITHOPS_BYTES && value->opaque)
        ret_payload->content = (lithops_content)value->opaque;
    return true;
}

lithops_value *lithops_payload_value(const lithops_payload *payload)
{
    if (!payload)
        return NULL;
    switch (payload->content) {
    case LITHOPS_CONTENT_NULL:
        return lithops_value_null();
    case LITHOPS_CONTENT_BOOL:
        return lithops_value_bool(payload->b);
    case LITHOPS_CONTENT_INT:
        return lithops_value_int(payload->i);
    case LITHOPS_CONTENT_DOUBLE:
        return lithops_value_double(payload->d);
    case LITHOPS_CONTENT_STRING:
        return lithops__value_view(LITHOPS_STRING, payload->bytes);
    case LITHOPS_CONTENT_BYTES:
        return lithops__value_view(LITHOPS_BYTES, payload->bytes);
    case LITHOPS_CONTENT_PACKED:
    case LITHOPS_CONTENT_PICKLE:
    case LITHOPS_CONTENT_PIECES:
        return lithops__value_opaque(payload->content, payload->bytes);
    }
    return NULL;
}

lithops_value *lithops_value_from_packed(lithops_bytes packed, lithops_error *err)
{
    return lithops__value_decode(packed.ptr, packed.len, err);
}

int lithops_value_to_packed(const lithops_value *value, void **ret_bytes, size_t *ret_len,
                            lithops_error *err)
{
    struct lithops__buffer buffer = LITHOPS__BUFFER_INIT;
    int rc = lithops__value_encode(value, &buffer, err);
    if (rc == 0) {
        *ret_len = buffer.len;
        *ret_bytes = lithops__buffer_steal(&buffer);
        if (!*ret_bytes)
            rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    }
    lithops__buffer_deinit(&buffer);
    return rc;
}
