/* SPDX-License-Identifier: Apache-2.0 */
/* Results, errors and notes of calls, given back to the allocator that they came from: a worker's
 * region or the client's heap. */
#include "ipc/release.h"

#include "base/clock.h"
#include "ipc/region.h"

#include <string.h>

/* `extra` counts 16 bytes, in the region of the call's worker, or in the heap where the client
 * wrote it. */
static const uint32_t extra_in_heap = 1u << 31;

static lithops__offset extra_offset(const struct lithops__area *area, uint16_t state,
                                    uint32_t extra)
{
    const struct lithops__control *control = area->control;
    if (extra & extra_in_heap)
        return control->heap + (uint64_t)(extra & ~extra_in_heap) * 16;
    return control->regions + lithops__state_worker(state) * control->region_bytes +
           (uint64_t)extra * 16;
}

static bool has_record(uint16_t state)
{
    return lithops__state_is_done(state) && state != LITHOPS__NEVER_RAN;
}

const struct lithops__call_extra *lithops__table_extra(const struct lithops__area *area,
                                                       const struct lithops__range *range,
                                                       uint64_t index)
{
    uint16_t state = atomic_load(&lithops__range_states(area, range)[index]);
    uint32_t extra = lithops__range_extras(area, range)[index];
    if (!has_record(state) || extra == 0)
        return NULL;
    return lithops__at(area, extra_offset(area, state, extra));
}

uint32_t lithops__table_store_extra(struct lithops__table *table,
                                    const struct lithops__call_extra *extra)
{
    lithops__offset at = extra ? lithops__heap_alloc(&table->heap, sizeof *extra) : 0;
    uint64_t index = at ? (at - table->area.control->heap) / 16 : 0;
    if (index && index < extra_in_heap) {
        memcpy(lithops__at(&table->area, at), extra, sizeof *extra);
        return (uint32_t)index | extra_in_heap;
    }
    lithops__heap_free(&table->heap, at);
    return 0;
}

static void release_payload(struct lithops__table *table, lithops__offset payload)
{
    if (payload == 0)
        return;
    lithops__release_note(table, lithops__payload_bytes(&table->area, payload).len);
    if (payload >= table->area.control->regions)
        lithops__region_release(&table->area, payload);
    else
        lithops__heap_free(&table->heap, payload);
}

void lithops__release_result(struct lithops__table *table, struct lithops__record *record)
{
    enum lithops__content content = lithops__record_content(record);
    if (content <= LITHOPS__CONTENT_INLINE || content == LITHOPS__CONTENT_GONE)
        return;
    release_payload(table, record->payload);
    record->payload = 0;
    /* Read without the lock where a handle is dropped. */
    __atomic_store_n(&record->start_and_content,
                     (record->start_and_content & ~0xffull) | LITHOPS__CONTENT_GONE,
                     __ATOMIC_RELAXED);
}

/* Move the notes about a call to the heap, or drop them. */
static void move_extra(struct lithops__table *table, struct lithops__range *range, uint64_t index,
                       bool keep)
{
    uint32_t *extra = &lithops__range_extras(&table->area, range)[index];
    const struct lithops__call_extra *noted = lithops__table_extra(&table->area, range, index);
    if (!noted || (keep && (*extra & extra_in_heap)))
        return;
    uint16_t state = atomic_load(&lithops__range_states(&table->area, range)[index]);
    lithops__offset old = extra_offset(&table->area, state, *extra);
    *extra = keep ? lithops__table_store_extra(table, noted) : 0;
    release_payload(table, old);
}

void lithops__release_call(struct lithops__table *table, struct lithops__range *range,
                           uint64_t index)
{
    lithops__release_result(table, &lithops__range_records(&table->area, range)[index]);
    move_extra(table, range, index, true);
}

static void release_inputs(struct lithops__table *table, struct lithops__range *range)
{
    if (range->input_kind == LITHOPS__INPUT_SLOTS && range->inputs) {
        const struct lithops__slot *slots = lithops__at(&table->area, range->inputs);
        uint64_t count = atomic_load(&range->count);
        for (uint64_t i = 0; i < count; i++)
            if (slots[i].content > LITHOPS__CONTENT_INLINE)
                lithops__heap_free(&table->heap, slots[i].payload); /* of a GONE one: 0 */
    }
    lithops__heap_free(&table->heap, range->inputs);
    range->inputs = 0;
}

/* Most calls have a number as result and no notes: they are skipped. */
static bool holds_blocks(const struct lithops__range *range)
{
    return atomic_load_explicit(&range->has_blocks, memory_order_acquire);
}

void lithops__release_outcomes(struct lithops__table *table, struct lithops__range *range)
{
    struct lithops__area *area = &table->area;
    const lithops__state *states = lithops__range_states(area, range);
    uint64_t count = holds_blocks(range) ? atomic_load(&range->count) : 0;
    for (uint64_t i = 0; i < count; i++) {
        if (!has_record(atomic_load_explicit(&states[i], memory_order_acquire)))
            continue;
        lithops__release_result(table, &lithops__range_records(area, range)[i]);
        const struct lithops__call_extra *noted = lithops__table_extra(area, range, i);
        if (noted)
            move_extra(table, range, i, noted->log_end > noted->log_begin);
    }
    if (range->job_kind != 'R') /* the gates of reducers are looked at as long as it is there */
        release_inputs(table, range);
}

void lithops__release_range(struct lithops__table *table, struct lithops__range *range)
{
    struct lithops__area *area = &table->area;
    const lithops__state *states = lithops__range_states(area, range);
    uint64_t count = holds_blocks(range) ? atomic_load(&range->count) : 0;
    for (uint64_t i = 0; i < count; i++) {
        if (!has_record(atomic_load_explicit(&states[i], memory_order_acquire)))
            continue;
        lithops__release_result(table, &lithops__range_records(area, range)[i]);
        move_extra(table, range, i, false);
    }
    release_inputs(table, range);
    lithops__heap_free(&table->heap, range->records);
    lithops__heap_free(&table->heap, range->spec);
    lithops__heap_free(&table->heap, range->numbers);
}

/* ---- back to the system ---------------------------------------------------------------------- */

enum { WORTH_A_LOOK = 8 << 20, HEAP_IS_LARGE = 16 << 20 };

void lithops__release_note(struct lithops__table *table, uint64_t bytes)
{
    table->freed_bytes += bytes;
    if (table->freed_bytes >= WORTH_A_LOOK ||
        (table->trim_ns == 0 && table->heap.cached >= HEAP_IS_LARGE))
        lithops__release_later(table);
}

void lithops__release_later(struct lithops__table *table)
{
    bool was_due = table->trim_ns != 0;
    table->freed_bytes = 0;
    table->trim_ns = lithops__now_ns() + LITHOPS__QUIET_NS;
    if (!was_due && table->wake)
        table->wake(table->wake_user);
}
