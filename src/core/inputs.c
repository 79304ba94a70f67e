/* SPDX-License-Identifier: Apache-2.0 */
/* Inputs of calls, as they are put into shared memory: one by one into slots, or an array of
 * numbers or items of one size as it is. */
#include "core/inputs.h"

#include "base/buffer.h"
#include "base/error.h"
#include "ipc/area.h"
#include "ipc/heap.h"
#include "ipc/layout.h"
#include "ipc/payload.h"
#include "ipc/table.h"
#include "value/value.h"

#include <string.h>

int lithops__fail_no_space(const struct lithops__table *table, lithops_error *err)
{
    return lithops__fail(err, LITHOPS_ENOSPACE,
                         "no shared memory left for the inputs: release or clean results, or raise "
                         "%s",
                         table->area.control->memory_key);
}

static lithops__offset store_pieces(struct lithops__table *table, const lithops_bytes *pieces,
                                    size_t count)
{
    size_t len = 0;
    for (size_t i = 0; i < count; i++)
        len += pieces[i].len;
    lithops__offset offset = lithops__table_alloc_input(table, len);
    char *to = offset ? lithops__at(&table->area, offset) : NULL;
    for (size_t i = 0; to && i < count; i++) {
        if (pieces[i].len)
            memcpy(to, pieces[i].ptr, pieces[i].len);
        to += pieces[i].len;
    }
    return offset;
}

static int fill_packed(struct lithops__table *table, struct lithops__slot *slot,
                       const lithops_value *value, lithops_error *err)
{
    struct lithops__buffer buffer = LITHOPS__BUFFER_INIT;
    int rc = lithops__value_encode(value, &buffer, err);
    if (rc == 0) {
        slot->content = LITHOPS__CONTENT_PACKED;
        slot->payload =
            store_pieces(table, &(lithops_bytes){(const char *)buffer.data, buffer.len}, 1);
        if (!slot->payload)
            rc = lithops__fail_no_space(table, err);
    }
    lithops__buffer_deinit(&buffer);
    return rc;
}

static int fill_bytes(struct lithops__table *table, struct lithops__slot *slot,
                      lithops_content content, lithops_bytes bytes, lithops_error *err)
{
    bool in_pieces = content == LITHOPS_CONTENT_PIECES;
    slot->payload =
        in_pieces ? store_pieces(table, bytes.ptr, bytes.len) : store_pieces(table, &bytes, 1);
    if (!slot->payload) {
        slot->content = LITHOPS__CONTENT_NULL;
        return lithops__fail_no_space(table, err);
    }
    slot->content = in_pieces ? LITHOPS__CONTENT_PICKLE : (uint64_t)content;
    return 0;
}

static int fill_payload(struct lithops__table *table, struct lithops__slot *slot,
                        const lithops_payload *payload, lithops_error *err)
{
    slot->content = (uint64_t)payload->content;
    slot->payload = 0;
    if (payload->content > LITHOPS_CONTENT_PICKLE && payload->content != LITHOPS_CONTENT_PIECES)
        return lithops__fail(err, LITHOPS_EUSAGE, "an input has the unknown content %d",
                             (int)payload->content);
    if (payload->content == LITHOPS_CONTENT_BOOL)
        slot->payload = payload->b;
    else if (payload->content == LITHOPS_CONTENT_INT || payload->content == LITHOPS_CONTENT_DOUBLE)
        memcpy(&slot->payload, &payload->i, sizeof slot->payload);
    else if (payload->content > LITHOPS_CONTENT_DOUBLE)
        return fill_bytes(table, slot, payload->content, payload->bytes, err);
    return 0;
}

int lithops__fail_null_input(lithops_error *err)
{
    return lithops__fail(err, LITHOPS_EUSAGE,
                         "an input is NULL: a wrong format, a string that is not UTF-8, or no "
                         "memory; for a null input use lithops_value_null()");
}

int lithops__slot_fill(struct lithops__table *table, struct lithops__slot *slot,
                       const lithops_value *value, lithops_error *err)
{
    lithops_payload payload;
    slot->content = LITHOPS__CONTENT_NULL;
    slot->payload = 0;
    if (!value)
        return lithops__fail_null_input(err);
    return lithops__value_payload(value, &payload) ? fill_payload(table, slot, &payload, err)
                                                   : fill_packed(table, slot, value, err);
}

int lithops__slot_copy(struct lithops__table *table, struct lithops__slot *slot,
                       const struct lithops__area *from, const struct lithops__record *record,
                       lithops_error *err)
{
    lithops_payload payload;
    enum lithops__content content = lithops__record_content(record);
    bool packed = content == LITHOPS__CONTENT_PACKED;
    int rc = lithops__payload_read(from, packed ? LITHOPS__CONTENT_BYTES : content, record->payload,
                                   &payload, err);
    if (rc == 0)
        rc = fill_payload(table, slot, &payload, err);
    if (rc == 0 && packed)
        slot->content = LITHOPS__CONTENT_PACKED;
    return rc;
}

/* An array that is taken over as it is. */
static int copy_array(struct lithops__table *table, struct lithops__range *range,
                      enum lithops__input_kind kind, const void *data, uint64_t item_bytes,
                      uint64_t count, lithops_error *err)
{
    if (item_bytes > UINT32_MAX || (item_bytes && count > UINT64_MAX / 2 / item_bytes))
        return lithops__fail(err, LITHOPS_EUSAGE, "items of %llu bytes are too large",
                             (unsigned long long)item_bytes);
    range->input_kind = kind;
    range->input_bytes = (uint32_t)item_bytes;
    range->inputs = store_pieces(table, &(lithops_bytes){data, (size_t)(count * item_bytes)}, 1);
    return range->inputs ? 0 : lithops__fail_no_space(table, err);
}

int lithops__make_slots(struct lithops__table *table, struct lithops__range *range,
                        uint64_t capacity, lithops_error *err)
{
    range->input_kind = LITHOPS__INPUT_SLOTS;
    range->inputs = lithops__table_alloc(table, capacity * sizeof(struct lithops__slot));
    if (!range->inputs)
        return lithops__fail_no_space(table, err);
    memset(lithops__at(&table->area, range->inputs), 0, capacity * sizeof(struct lithops__slot));
    return 0;
}

int lithops__store_inputs(struct lithops__table *table, struct lithops__range *range,
                          const lithops_value *inputs, lithops_error *err)
{
    struct lithops__list_view view;
    (void)lithops__value_list_view(inputs, &view);
    switch (view.kind) {
    case LITHOPS__LIST_RANGE:
        range->input_kind = LITHOPS__INPUT_RANGE;
        range->input_start = view.start;
        return 0;
    case LITHOPS__LIST_INTS:
        return copy_array(table, range, LITHOPS__INPUT_INTS, view.data, 8, view.count, err);
    case LITHOPS__LIST_DOUBLES:
        return copy_array(table, range, LITHOPS__INPUT_DOUBLES, view.data, 8, view.count, err);
    case LITHOPS__LIST_ITEMS:
        return copy_array(table, range, LITHOPS__INPUT_ITEMS, view.data, view.item_bytes,
                          view.count, err);
    case LITHOPS__LIST_VALUES:
    case LITHOPS__LIST_PAYLOADS:
        break;
    }
    int rc = lithops__make_slots(table, range, view.count, err);
    struct lithops__slot *slots = rc == 0 ? lithops__at(&table->area, range->inputs) : NULL;
    if (view.kind == LITHOPS__LIST_PAYLOADS) {
        for (size_t i = 0; rc == 0 && i < view.count; i++)
            rc = fill_payload(table, &slots[i], (const lithops_payload *)view.data + i, err);
        return rc;
    }
    for (size_t i = 0; rc == 0 && i < view.count; i++)
        rc = lithops__slot_fill(table, &slots[i], lithops_value_at(inputs, i), err);
    return rc;
}

uint64_t lithops__slot_bytes(const struct lithops__table *table, const struct lithops__slot *slot)
{
    bool is_inline = slot->content <= LITHOPS__CONTENT_INLINE;
    return sizeof *slot + (is_inline ? 0 : lithops__payload_bytes(&table->area, slot->payload).len);
}

/* Size of the inputs as they travel. */
uint64_t lithops__input_bytes(const struct lithops__table *table,
                              const struct lithops__range *range)
{
    uint64_t count = atomic_load(&range->count);
    if (range->input_kind == LITHOPS__INPUT_RANGE)
        return 0;
    if (range->input_kind != LITHOPS__INPUT_SLOTS)
        return count * range->input_bytes;
    const struct lithops__slot *slots = lithops__at(&table->area, range->inputs);
    uint64_t bytes = 0;
    for (uint64_t i = 0; i < count; i++)
        bytes += lithops__slot_bytes(table, &slots[i]);
    return bytes;
}
