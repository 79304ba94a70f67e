/* SPDX-License-Identifier: Apache-2.0 */
/* Reducers on links.
 *
 * A reducer is sent when its gate is open: all its map calls were taken by some link, and enough of
 * them are done. What its map calls have come to is sent after it, as it comes: the *feed*.
 *
 *     RUN --> MIRROR of what is done --> MIRROR with each batch of outcomes --> ... --> outcome
 *
 * A reducer that waits holds a worker process. Map calls that are offered again, after the loss of
 * their link, must find another one: so a link gets reducers whose map calls are not all done only
 * while another process of its is without. Those that this leaves, and all where workers have a
 * single process, are sent when their map calls are done. */
#include "base/error.h"
#include "ipc/call_error.h"
#include "ipc/queue.h"
#include "ipc/settle.h"
#include "ipc/take.h"
#include "relay/feed.h"
#include "relay/link.h"

#include <errno.h>
#include <stdlib.h>

/* ---- results --------------------------------------------------------------------------------- */

enum { MIRROR_BYTES = 256 << 10 };

/* A message being packed, and messages that went before. */
struct packing {
    struct lithops__link *link;
    const struct lithops__feed *feed;
    struct lithops__parcel *parcel; /* NULL: out of memory */
    struct lithops__buffer records;
    size_t blob_bytes;
    bool failed;
};

static struct lithops__parcel *new_parcel(uint32_t activation)
{
    struct lithops__parcel *parcel = lithops__parcel_new();
    if (parcel)
        parcel->reader = activation + 1;
    return parcel;
}

/* Send what there is. */
static void flush(struct packing *packing)
{
    struct lithops__parcel *parcel = packing->parcel;
    packing->failed |= !parcel || packing->records.failed;
    if (packing->failed || packing->records.len == 0)
        return;
    size_t at =
        lithops__frame_begin(&parcel->frame, LITHOPS__MESSAGE_MIRROR, 0, packing->feed->activation);
    lithops__buffer_append(&parcel->frame, packing->records.data, packing->records.len);
    lithops__frame_end(&parcel->frame, at);
    lithops__link_send(packing->link, parcel);
    packing->records.len = packing->blob_bytes = 0;
    packing->parcel = new_parcel(packing->feed->activation);
    packing->failed |= !packing->parcel;
}

static void carry(struct packing *packing, enum lithops__content content, lithops_bytes bytes,
                  struct lithops__carried *ret)
{
    *ret = (struct lithops__carried){(uint8_t)content, LITHOPS__CARRIED_BYTES, 0, bytes};
    if (bytes.len < LITHOPS__FRAME_PIECE || packing->failed)
        return;
    ret->how = LITHOPS__CARRIED_BLOB;
    ret->payload = lithops__parcel_add(packing->link, packing->parcel, bytes.ptr, bytes.len);
    packing->failed |= ret->payload == 0;
    packing->blob_bytes += bytes.len;
}

static void carry_failure(struct packing *packing, const struct lithops__area *area,
                          const struct lithops__record *record, struct lithops__buffer *keep,
                          struct lithops__carried *ret)
{
    lithops_error error = LITHOPS_ERROR_INIT;
    lithops_bytes data = {NULL, 0};
    if (lithops__record_content(record) == LITHOPS__CONTENT_ERROR && record->payload) {
        lithops__call_error_read(lithops__at(area, record->payload), &error);
        data = lithops__call_error_data(lithops__at(area, record->payload));
    } else {
        lithops__fail(&error, LITHOPS_ECALL, "its outcome is no longer known");
    }
    lithops__failure_write(keep, &error, data);
    packing->failed |= keep->failed;
    if (keep->len >= LITHOPS__FRAME_PIECE) { /* a parcel of its own, in which it lies */
        flush(packing);
        if (packing->failed)
            return;
        packing->parcel->own = *keep;
        *keep = (struct lithops__buffer)LITHOPS__BUFFER_INIT;
        carry(packing, LITHOPS__CONTENT_ERROR,
              (lithops_bytes){packing->parcel->own.data, packing->parcel->own.len}, ret);
    } else {
        carry(packing, LITHOPS__CONTENT_ERROR, (lithops_bytes){keep->data, keep->len}, ret);
    }
}

static void pack_call(struct packing *packing, uint64_t index, uint16_t state)
{
    const struct lithops__area *area = &packing->link->relay->table->area;
    const struct lithops__range *maps = &area->ranges[packing->feed->maps];
    const struct lithops__record *record = &lithops__range_records(area, maps)[index];
    struct lithops__outcome outcome = {.call = (uint32_t)(index - packing->feed->begin),
                                       .state = (uint8_t)lithops__state_of(state)};
    struct lithops__buffer failure = LITHOPS__BUFFER_INIT;
    enum lithops__content content =
        state == LITHOPS__NEVER_RAN ? LITHOPS__CONTENT_NULL : lithops__record_content(record);
    if (content == LITHOPS__CONTENT_ERROR || content == LITHOPS__CONTENT_GONE) {
        carry_failure(packing, area, record, &failure, &outcome.result);
        outcome.state = LITHOPS__FAILED;
    } else if (content > LITHOPS__CONTENT_INLINE) {
        carry(packing, content, lithops__payload_bytes(area, record->payload), &outcome.result);
    } else {
        outcome.result = (struct lithops__carried){
            (uint8_t)content, LITHOPS__CARRIED_VALUE, record->payload, {NULL, 0}};
    }
    lithops__outcome_write(&packing->records, &outcome);
    lithops__buffer_deinit(&failure);
    if (packing->records.len >= MIRROR_BYTES || packing->blob_bytes >= MIRROR_BYTES)
        flush(packing);
}

/* Send those of map calls [begin, end) that are done and were not sent. */
static void send_results(struct lithops__link *link, struct lithops__feed *feed, uint64_t begin,
                         uint64_t end)
{
    const struct lithops__area *area = &link->relay->table->area;
    const lithops__state *states = lithops__range_states(area, &area->ranges[feed->maps]);
    struct packing packing = {.link = link,
                              .feed = feed,
                              .parcel = new_parcel(feed->activation),
                              .records = LITHOPS__BUFFER_INIT};
    begin = begin > feed->begin ? begin : feed->begin;
    end = end < feed->end ? end : feed->end;
    for (uint64_t i = begin; i < end && !packing.failed; i++) {
        uint64_t at = i - feed->begin;
        unsigned char bit = (unsigned char)(1u << at % 8);
        uint16_t state = atomic_load_explicit(&states[i], memory_order_acquire);
        if (!lithops__state_is_done(state) || feed->sent[at / 8] & bit)
            continue;
        pack_call(&packing, i, state);
        feed->sent[at / 8] |= bit;
        feed->left--;
    }
    flush(&packing);
    lithops__parcel_free(packing.parcel);
    lithops__buffer_deinit(&packing.records);
    if (packing.failed)
        lithops__link_break(link, ENOMEM, "no memory for the input of a reducer");
}

/* ---- feeds ----------------------------------------------------------------------------------- */

static struct lithops__feed *new_feed(const struct lithops__gate *gate)
{
    uint64_t calls = gate->end - gate->begin;
    struct lithops__feed *feed = calloc(1, sizeof *feed + (size_t)(calls + 7) / 8);
    if (!feed)
        return NULL;
    feed->maps = gate->range;
    feed->begin = gate->begin;
    feed->end = gate->end;
    feed->left = calls;
    return feed;
}

bool lithops__relay_is_feeding(const struct lithops__relay *relay)
{
    for (uint32_t i = 0; i < relay->link_count; i++)
        if (relay->links[i].feeds)
            return true;
    return false;
}

/* Send the reducers of a link what has become of map calls [begin, end) of range `maps`. */
static void feed_some(struct lithops__link *link, uint32_t maps, uint64_t begin, uint64_t end)
{
    for (struct lithops__feed **at = &link->feeds; *at;) {
        struct lithops__feed *feed = *at;
        if (feed->maps == maps && feed->begin < end && begin < feed->end)
            send_results(link, feed, begin, end);
        if (feed->left == 0)
            lithops__feed_remove(link, at);
        else
            at = &feed->next;
    }
}

/* Who settles a call counts it first, under the lock: it has its outcome when it is counted. */
void lithops__relay_feed_settled(struct lithops__relay *relay)
{
    const struct lithops__area *area = &relay->table->area;
    for (uint32_t i = 0; i < relay->link_count; i++) {
        struct lithops__link *link = &relay->links[i];
        for (struct lithops__feed *feed = link->feeds, *next; feed; feed = next) {
            next = feed->next;
            pthread_mutex_lock(&relay->table->lock);
            uint32_t failed = atomic_load(&area->ranges[feed->maps].failed);
            pthread_mutex_unlock(&relay->table->lock);
            if (failed == feed->failed)
                continue;
            feed->failed = failed;
            feed_some(link, feed->maps, feed->begin, feed->end);
            next = link->feeds; /* others may be gone */
        }
    }
}

/* ---- starting -------------------------------------------------------------------------------- */

static bool send_run(struct lithops__link *link, uint32_t range_id, uint64_t index,
                     const struct lithops__gate *gate, uint32_t activation)
{
    struct lithops__parcel *parcel = lithops__parcel_new();
    if (!parcel)
        return false;
    struct lithops__run run = {.job = range_id,
                               .count = 1,
                               .first = index,
                               .input_kind = LITHOPS__INPUT_SLOTS,
                               .input_bytes = (uint32_t)(gate->end - gate->begin),
                               .input_start = (int64_t)gate->begin};
    size_t at = lithops__frame_begin(&parcel->frame, LITHOPS__MESSAGE_RUN, 0, activation);
    lithops__run_write(&parcel->frame, &run);
    lithops__frame_end(&parcel->frame, at);
    bool packed = !parcel->frame.failed;
    lithops__link_send(link, parcel);
    return packed;
}

/* Own a reducer, send it, and the results that are there. */
static void send_reducer(struct lithops__link *link, uint32_t range_id, uint64_t index)
{
    struct lithops__table *table = link->relay->table;
    const struct lithops__area *area = &table->area;
    const struct lithops__range *range = &area->ranges[range_id];
    const struct lithops__gate *gate = lithops__gate_of(area, range, index);
    lithops_error err = LITHOPS_ERROR_INIT;
    int rc = lithops__link_job(link, range_id, &err);
    struct lithops__feed *feed = new_feed(gate);
    unsigned char *marks = feed ? calloc(1, 2) : NULL;
    uint32_t number = UINT32_MAX;
    pthread_mutex_lock(&table->lock);
    bool owned = lithops__take_own(&lithops__range_states(area, range)[index], link->worker);
    if (owned && rc == 0 && marks)
        number = lithops__link_add_activation(link, range_id, index, 1, marks);
    if (owned && number == UINT32_MAX) {
        if (rc == 0)
            lithops__fail(&err, LITHOPS_ENOMEM, "out of memory");
        lithops__link_fail_calls(link, range_id, index, 1, &err);
    }
    pthread_mutex_unlock(&table->lock);
    if (number == UINT32_MAX) {
        free(marks);
        free(feed);
        return;
    }
    link->activations[number].is_reducer = true;
    feed->activation = number;
    feed->next = link->feeds;
    link->feeds = feed;
    link->feed_count++;
    if (send_run(link, range_id, index, gate, number))
        feed_some(link, feed->maps, feed->begin, feed->end);
    else
        lithops__link_break(link, ENOMEM, "no memory for a reducer");
}

/* The link with the fewest calls. `waits`: for a reducer whose map calls are not all done. */
static struct lithops__link *least_busy(struct lithops__relay *relay, bool waits)
{
    struct lithops__link *found = NULL;
    for (uint32_t i = 0; i < relay->link_count; i++) {
        struct lithops__link *link = &relay->links[i];
        if (link->state == LITHOPS__LINK_READY && !link->is_leaving &&
            !(waits && link->feed_count + 1 >= link->processes) &&
            !lithops__link_is_resting(link) && (!found || link->in_flight < found->in_flight))
            found = link;
    }
    return found;
}

/* False: no link is there; a reducer whose map calls are done was not taken. */
static bool take_reducers(struct lithops__relay *relay, uint32_t range_id, uint64_t begin,
                          uint64_t end)
{
    const struct lithops__area *area = &relay->table->area;
    const struct lithops__range *range = &area->ranges[range_id];
    const lithops__state *states = lithops__range_states(area, range);
    for (uint64_t r = begin; r < end; r++) {
        const struct lithops__gate *gate = lithops__gate_of(area, range, r);
        struct lithops__gate whole = *gate;
        whole.percent = 100;
        if (atomic_load(&states[r]) != LITHOPS__PENDING ||
            !lithops__gate_is_open(area, gate, &relay->look))
            continue;
        bool waits = !lithops__gate_is_open(area, &whole, &relay->look);
        struct lithops__link *link = least_busy(relay, waits);
        if (!link && !waits)
            return false;
        if (link)
            send_reducer(link, range_id, r);
    }
    return true;
}

void lithops__relay_take_reducers(struct lithops__relay *relay, uint32_t range, uint64_t begin,
                                  uint64_t end)
{
    (void)take_reducers(relay, range, begin, end);
}

void lithops__relay_reducers(struct lithops__relay *relay, uint32_t id, uint32_t generation,
                             uint64_t begin, uint64_t end)
{
    struct lithops__area *area = &relay->table->area;
    const struct lithops__range *reducers = &area->ranges[id];
    struct lithops__worker *line = relay->links[0].line;
    uint64_t count = 0, first = 0, last;
    if (lithops__queue_enter(area, line, id, generation)) {
        count = atomic_load(&reducers->count);
        first = lithops__gate_first_after(area, reducers, begin);
    }
    for (last = first; last < count; last++)
        if (lithops__gate_of(area, reducers, last)->begin >= end)
            break;
    if (first < last) {
        uint32_t maps = lithops__gate_of(area, reducers, first)->range;
        for (uint32_t i = 0; i < relay->link_count; i++)
            feed_some(&relay->links[i], maps, begin, end);
    }
    if (first < last && !take_reducers(relay, id, first, last)) { /* once a link is there again */
        pthread_mutex_lock(&relay->table->lock);
        lithops__settle_offer_rest(relay->table, id, first, last);
        pthread_mutex_unlock(&relay->table->lock);
    }
    lithops__queue_leave(line);
}
