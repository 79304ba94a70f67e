/* SPDX-License-Identifier: Apache-2.0 */
/* From the table to a link: calls are claimed, owned, and packed into activations.
 *
 * A link gets as many calls as it has credit for, but no more than its share of a long span, so
 * that the last calls of a job are not all with one worker. A call is owned before it is packed;
 * from then on its state says what happens to it. */
#include "base/clock.h"
#include "base/error.h"
#include "ipc/queue.h"
#include "ipc/take.h"
#include "relay/link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    FRAME_BYTES = 384 << 10, /* of inputs in one activation */
    ACTIVATION_CALLS = 4096,
};

/* ---- activations ----------------------------------------------------------------------------- */

/* An activation that could not be put together. */
static void drop_activation(struct lithops__link *link, uint32_t number)
{
    struct lithops__activation *activation = &link->activations[number];
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops__fail(&err, LITHOPS_ENOMEM, "out of memory");
    pthread_mutex_lock(&link->relay->table->lock);
    lithops__link_fail_calls(link, activation->range, activation->begin, activation->count, &err);
    lithops__link_free_activation(link, activation);
    pthread_mutex_unlock(&link->relay->table->lock);
}

/* ---- packing --------------------------------------------------------------------------------- */

/* An activation being packed. */
struct packing {
    struct lithops__link *link;
    uint32_t range_id;
    const struct lithops__range *range;
    uint64_t begin;
    uint32_t count;
    struct lithops__buffer inputs;
    struct lithops__parcel *parcel;
};

static bool pack_carried(struct packing *packing, uint8_t content, lithops_bytes bytes)
{
    struct lithops__carried carried = {content, LITHOPS__CARRIED_BYTES, 0, bytes};
    if (bytes.len >= LITHOPS__FRAME_PIECE) {
        carried.how = LITHOPS__CARRIED_BLOB;
        carried.payload = lithops__parcel_add(packing->link, packing->parcel, bytes.ptr, bytes.len);
        if (carried.payload == 0)
            return false;
    }
    lithops__carried_write(&packing->inputs, &carried);
    return true;
}

/* How an item array travels whose items are too long for a frame. */
static bool is_long_items(const struct lithops__range *range)
{
    return range->input_kind == LITHOPS__INPUT_ITEMS && range->input_bytes >= LITHOPS__FRAME_PIECE;
}

static uint64_t item_bytes(const struct lithops__range *range)
{
    switch (range->input_kind) {
    case LITHOPS__INPUT_RANGE:
        return 0;
    case LITHOPS__INPUT_ITEMS:
        return range->input_bytes;
    default:
        return sizeof(uint64_t);
    }
}

static bool pack_input(struct packing *packing, uint64_t index)
{
    const struct lithops__area *area = &packing->link->relay->table->area;
    const struct lithops__range *range = packing->range;
    if (range->input_kind != LITHOPS__INPUT_SLOTS) {
        uint64_t len = item_bytes(range);
        const char *from = lithops__at(area, range->inputs + index * len);
        if (is_long_items(range))
            return pack_carried(packing, LITHOPS__CONTENT_BYTES, (lithops_bytes){from, len});
        if (len)
            lithops__buffer_append(&packing->inputs, from, len);
        return true;
    }
    const struct lithops__slot *slot =
        (const struct lithops__slot *)lithops__at(area, range->inputs) + index;
    uint8_t content = (uint8_t)slot->content;
    if (content <= LITHOPS__CONTENT_INLINE) {
        lithops__carried_write(
            &packing->inputs,
            &(struct lithops__carried){content, LITHOPS__CARRIED_VALUE, slot->payload, {NULL, 0}});
        return true;
    }
    return pack_carried(packing, content, lithops__payload_bytes(area, slot->payload));
}

static void describe_run(const struct packing *packing, struct lithops__run *run)
{
    const struct lithops__area *area = &packing->link->relay->table->area;
    const struct lithops__range *range = packing->range;
    bool is_long = is_long_items(range);
    *run = (struct lithops__run){.job = packing->range_id,
                                 .count = packing->count,
                                 .first = packing->begin,
                                 .input_kind =
                                     (uint8_t)(is_long ? LITHOPS__INPUT_SLOTS : range->input_kind),
                                 .has_numbers = range->numbers != 0,
                                 .input_bytes = range->input_bytes,
                                 .input_start = range->input_start + (int64_t)packing->begin,
                                 .inputs = {packing->inputs.data, packing->inputs.len}};
    if (range->numbers)
        run->numbers =
            (lithops_bytes){(const uint32_t *)lithops__at(area, range->numbers) + packing->begin,
                            packing->count * sizeof(uint32_t)};
}

static uint64_t input_size(const struct lithops__area *area, const struct lithops__range *range,
                           uint64_t index)
{
    if (range->input_kind != LITHOPS__INPUT_SLOTS)
        return is_long_items(range) ? 0 : item_bytes(range);
    const struct lithops__slot *slot =
        (const struct lithops__slot *)lithops__at(area, range->inputs) + index;
    if (slot->content <= LITHOPS__CONTENT_INLINE || slot->content == LITHOPS__CONTENT_GONE)
        return sizeof *slot;
    uint64_t len = lithops__payload_bytes(area, slot->payload).len;
    return sizeof *slot + (len < LITHOPS__FRAME_PIECE ? len : 0);
}

/* [L] Own consecutive calls from *begin on, as many as fit into a frame. @return how many */
static uint32_t own_calls(const struct lithops__link *link, const struct lithops__range *range,
                          uint64_t *begin, uint64_t end)
{
    const struct lithops__area *area = &link->relay->table->area;
    lithops__state *states = lithops__range_states(area, range);
    while (*begin < end && !lithops__take_own(&states[*begin], link->worker))
        ++*begin;
    if (*begin == end)
        return 0;
    uint32_t count = 1;
    uint64_t bytes = input_size(area, range, *begin);
    while (*begin + count < end && count < ACTIVATION_CALLS && bytes < FRAME_BYTES &&
           lithops__take_own(&states[*begin + count], link->worker))
        bytes += input_size(area, range, *begin + count++);
    return count;
}

static void send_calls(struct packing *packing, uint32_t number)
{
    struct lithops__link *link = packing->link;
    packing->parcel = lithops__parcel_new();
    bool packed = packing->parcel != NULL;
    for (uint32_t i = 0; packed && i < packing->count; i++)
        packed = pack_input(packing, packing->begin + i);
    struct lithops__run run;
    describe_run(packing, &run);
    if (packed && !packing->inputs.failed) {
        struct lithops__buffer *frame = &packing->parcel->frame;
        size_t at = lithops__frame_begin(frame, LITHOPS__MESSAGE_RUN, 0, number);
        lithops__run_write(frame, &run);
        lithops__frame_end(frame, at);
    } else {
        drop_activation(link, number);
    }
    if (packing->parcel)
        lithops__link_send(link, packing->parcel);
    lithops__buffer_deinit(&packing->inputs);
}

/* Own the free calls of [begin, end), and send them. The range is announced. */
static void take_calls(struct lithops__link *link, uint32_t range_id, uint64_t begin, uint64_t end)
{
    struct lithops__table *table = link->relay->table;
    const struct lithops__range *range = &table->area.ranges[range_id];
    lithops_error err = LITHOPS_ERROR_INIT;
    int rc = lithops__link_job(link, range_id, &err);
    while (begin < end && link->state == LITHOPS__LINK_READY) {
        uint64_t most = end - begin < ACTIVATION_CALLS ? end - begin : ACTIVATION_CALLS;
        unsigned char *marks = calloc(most, 2);
        uint32_t number = UINT32_MAX;
        pthread_mutex_lock(&table->lock);
        uint32_t count = own_calls(link, range, &begin, end);
        if (count && rc == 0 && marks)
            number = lithops__link_add_activation(link, range_id, begin, count, marks);
        if (count && number == UINT32_MAX) {
            if (rc == 0)
                lithops__fail(&err, LITHOPS_ENOMEM, "out of memory");
            lithops__link_fail_calls(link, range_id, begin, count, &err);
        }
        pthread_mutex_unlock(&table->lock);
        if (number == UINT32_MAX) {
            free(marks);
        } else {
            struct packing packing = {link, range_id, range, begin, count, LITHOPS__BUFFER_INIT,
                                      NULL};
            send_calls(&packing, number);
        }
        begin += count;
    }
}

/* ---- claiming -------------------------------------------------------------------------------- */

static double weight_of(const struct lithops__link *link)
{
    const lithops_worker *each = link->relay->workers.each;
    return each ? each[link->worker].weight : 1;
}

static double ready_weight(const struct lithops__relay *relay)
{
    double sum = 0;
    for (uint32_t i = 0; i < relay->link_count; i++)
        if (relay->links[i].state == LITHOPS__LINK_READY)
            sum += weight_of(&relay->links[i]);
    return sum > 0 ? sum : 1;
}

static uint64_t how_many(const struct lithops__link *link, const struct lithops__range *range,
                         const struct lithops__span *span)
{
    uint64_t most = link->granted - link->sent;
    double left = (double)lithops__queue_left(&link->relay->table->area, span);
    uint64_t share = (uint64_t)(left / 2 * weight_of(link) / ready_weight(link->relay));
    if (most > share)
        most = share;
    if (most == 0)
        most = 1;
    return range->chunk ? (most + range->chunk - 1) / range->chunk * range->chunk : most;
}

bool lithops__link_claim(struct lithops__link *link)
{
    struct lithops__relay *relay = link->relay;
    struct lithops__area *area = &relay->table->area;
    if (link->state != LITHOPS__LINK_READY || link->granted <= link->sent || link->parcels ||
        link->is_leaving || lithops__link_is_resting(link))
        return false;
    uint64_t position, begin;
    struct lithops__span *span = lithops__queue_find(area, link->line, &position);
    if (!span)
        return false;
    uint32_t range_id = atomic_load(&link->line->range) - 1;
    const struct lithops__range *range = &area->ranges[range_id];
    if (relay->is_guest && (range->job_kind == 'R' || !lithops__link_knows_job(link, range_id))) {
        relay->is_wanted = true;
        lithops__queue_leave(link->line);
        return false;
    }
    if (!lithops__link_has_time(link, range)) {
        lithops__queue_leave(link->line);
        lithops__link_leave(link); /* another one is started, which has */
        return false;
    }
    uint64_t count =
        lithops__queue_claim(area, link->line, span, position, how_many(link, range, span), &begin);
    if (count && range->job_kind == 'R')
        lithops__relay_take_reducers(relay, range_id, begin, begin + count);
    else if (count)
        take_calls(link, range_id, begin, begin + count);
    /* The last calls were taken: reducers may not have waited for anything else. */
    bool may_reduce = count && range->dependents && lithops__queue_left(area, span) == 0;
    uint32_t reducers = range->dependents - 1, generation = range->dependents_generation;
    lithops__queue_leave(link->line);
    if (may_reduce)
        lithops__relay_reducers(relay, reducers, generation, begin, begin + count);
    return count > 0;
}
