/* SPDX-License-Identifier: Apache-2.0 */
/* From a link to the table: outcomes of calls.
 *
 * An outcome is published as by a worker process: its bytes in the link's region, its record, its
 * state; then waiters are woken, once per frame. */
#include "ipc/settle.h"
#include "base/clock.h"
#include "base/error.h"
#include "ipc/call_error.h"
#include "ipc/queue.h"
#include "ipc/slotlog.h"
#include "ipc/take.h"
#include "relay/link.h"

#include <stdlib.h>
#include <string.h>

static int fail_outcome(lithops_error *err)
{
    return lithops__fail(err, LITHOPS_EPARSE, "an outcome of a call that was not sent to it");
}

/* ---- long bytes ------------------------------------------------------------------------------ */

/* `len` bytes of the region, published; NULL: it is full. */
static void *region_new(struct lithops__link *link, size_t len, lithops__offset *ret_at)
{
    *ret_at = lithops__region_alloc(&link->region, len);
    if (*ret_at == 0)
        return NULL;
    lithops__region_publish(&link->region, *ret_at, len);
    return lithops__at(&link->relay->table->area, *ret_at);
}

/* Of the region; where that is full, but may have room later, of the client's own. */
static void *make_room(void *user, uint64_t length, lithops__offset *ret_at)
{
    struct lithops__link *link = user;
    bool is_scarce = link->relay->parked || (lithops__region_is_scarce(&link->region, length) &&
                                             !lithops__region_has_room(&link->region, length, 2));
    void *room = is_scarce ? NULL : region_new(link, length, ret_at);
    if (room)
        return room;
    *ret_at = 0;
    return lithops__region_could_hold(&link->region, length) ? malloc(length) : NULL;
}

int lithops__link_blob_came(struct lithops__link *link, const struct lithops__frame *frame,
                            lithops_error *err)
{
    return lithops__blobs_came(&link->arrivals, frame, make_room, link, err);
}

int lithops__link_blob_began(struct lithops__link *link, const struct lithops__frame *frame,
                             size_t left, struct lithops__rest *ret_rest, lithops_error *err)
{
    return lithops__blobs_began(&link->arrivals, frame, left, make_room, link, ret_rest, err);
}

/* It has come as a whole. NULL: it has not. */
static const struct lithops__blob *find_arrival(const struct lithops__link *link, uint64_t number,
                                                lithops_error *err)
{
    const struct lithops__blob *blob = lithops__blobs_find(link->arrivals, number);
    if (!blob)
        lithops__fail(err, LITHOPS_EPARSE, "bytes %llu have not come", (unsigned long long)number);
    return blob;
}

static lithops_bytes bytes_of(const struct lithops__blob *blob)
{
    return (lithops_bytes){blob->room, blob->room ? blob->length : 0};
}

/* It is not needed any more. */
static void drop_arrival(struct lithops__link *link, uint64_t number)
{
    lithops__offset at = 0;
    if (lithops__blobs_take(&link->arrivals, number, &at) && at)
        lithops__region_release(&link->relay->table->area, at);
}

/* ---- one outcome ----------------------------------------------------------------------------- */

/* A call whose outcome came. */
struct landing {
    struct lithops__link *link;
    struct lithops__activation *activation;
    struct lithops__range *range;
    uint64_t index;
    const struct lithops__outcome *outcome;
    bool impatient; /* it does not wait for room any more */
    enum lithops__content content;
    uint64_t payload;
    uint64_t lacks_bytes; /* there is no room for the result */
    unsigned state;
};

static void store_error(struct landing *landing, const lithops_error *error, lithops_bytes data)
{
    void *block =
        region_new(landing->link, lithops__call_error_size(error, data), &landing->payload);
    if (!block && data.len) {
        data.len = 0;
        block = region_new(landing->link, lithops__call_error_size(error, data), &landing->payload);
    }
    if (block)
        lithops__call_error_write(block, error, data);
    landing->content = LITHOPS__CONTENT_ERROR;
    landing->state = LITHOPS__FAILED;
}

static void store_no_room(struct landing *landing, uint64_t len)
{
    lithops_error error = LITHOPS_ERROR_INIT;
    lithops__fail(&error, LITHOPS_ENOSPACE,
                  "no shared memory left for a result of %llu bytes: release or clean results, or "
                  "raise %s",
                  (unsigned long long)len, landing->link->relay->table->area.control->memory_key);
    store_error(landing, &error, (lithops_bytes){NULL, 0});
}

static int store_failure(struct landing *landing, lithops_bytes bytes, lithops_error *err)
{
    lithops_error error;
    lithops_bytes data;
    int rc = lithops__failure_read(bytes, &error, &data, err);
    if (rc == 0)
        store_error(landing, &error, data);
    return rc;
}

/* Bytes that are not in the region yet. 0; 1: there is no room now */
static int store_copy(struct landing *landing, lithops_bytes bytes, uint64_t length)
{
    struct lithops__link *link = landing->link;
    uint32_t call = (uint32_t)(landing->index - landing->activation->begin);
    bool is_there = bytes.ptr || length == 0;
    bool may_wait =
        is_there && !landing->impatient && lithops__region_could_hold(&link->region, length);
    lithops__offset at =
        is_there ? lithops__link_room(link, landing->activation, call, length, landing->impatient)
                 : 0;
    if (at) {
        lithops__region_publish(&link->region, at, length);
        if (length)
            memcpy(lithops__at(&link->relay->table->area, at), bytes.ptr, length);
        landing->payload = at;
        return 0;
    }
    landing->lacks_bytes = length;
    if (may_wait)
        return 1;
    store_no_room(landing, length);
    return 0;
}

/* The result's bytes go into the region, if they are not there yet. 0; 1: there is no room now */
static int store_bytes(struct landing *landing, lithops_error *err)
{
    struct lithops__link *link = landing->link;
    const struct lithops__carried *result = &landing->outcome->result;
    bool is_blob = result->how == LITHOPS__CARRIED_BLOB;
    const struct lithops__blob *blob = is_blob ? find_arrival(link, result->payload, err) : NULL;
    if (is_blob && !blob)
        return err->code;
    lithops_bytes bytes = is_blob ? bytes_of(blob) : result->bytes;
    int rc = 0;
    if (landing->content == LITHOPS__CONTENT_ERROR && is_blob && !blob->room) {
        store_no_room(landing, blob->length);
    } else if (landing->content == LITHOPS__CONTENT_ERROR) {
        rc = store_failure(landing, bytes, err);
    } else if (landing->state == LITHOPS__SUCCESS &&
               lithops__take_is_unwanted(&link->relay->table->area, landing->range,
                                         landing->index)) {
        landing->content = LITHOPS__CONTENT_NULL;
        landing->payload = 0;
    } else if (is_blob && blob->at) {
        (void)lithops__blobs_take(&link->arrivals, result->payload, &landing->payload);
        return 0;
    } else {
        rc = store_copy(landing, bytes, is_blob ? blob->length : bytes.len);
    }
    if (is_blob && rc != 1)
        drop_arrival(link, result->payload);
    return rc;
}

static int store_result(struct landing *landing, lithops_error *err)
{
    const struct lithops__carried *result = &landing->outcome->result;
    bool is_error = result->content == LITHOPS__CONTENT_ERROR;
    landing->content = (enum lithops__content)result->content;
    landing->state = landing->outcome->state;
    landing->payload = 0;
    if (is_error != (landing->state == LITHOPS__FAILED) ||
        result->content > LITHOPS__CONTENT_ERROR ||
        (result->content > LITHOPS__CONTENT_INLINE) != (result->how != LITHOPS__CARRIED_VALUE))
        return lithops__fail(err, LITHOPS_EPARSE, "a result of unknown content %u",
                             result->content);
    if (result->content > LITHOPS__CONTENT_INLINE)
        return store_bytes(landing, err);
    landing->payload = result->payload;
    return 0;
}

/* Put the call's output into the slot's log. */
static int store_output(struct landing *landing, struct lithops__call_extra *extra,
                        lithops_error *err)
{
    struct lithops__link *link = landing->link;
    struct lithops__table *table = link->relay->table;
    const struct lithops__carried *output = &landing->outcome->output;
    lithops_bytes bytes = output->bytes;
    bool is_blob = output->how == LITHOPS__CARRIED_BLOB;
    const struct lithops__blob *blob = is_blob ? find_arrival(link, output->payload, err) : NULL;
    if (is_blob && !blob)
        return err->code;
    if (is_blob)
        bytes = bytes_of(blob);
    if (bytes.len) {
        pthread_mutex_lock(&table->lock);
        lithops__slotlog_store(table, link->worker, bytes, &extra->log_begin, &extra->log_end);
        pthread_mutex_unlock(&table->lock);
        atomic_store_explicit(&landing->range->wrote, 1, memory_order_relaxed);
    }
    if (is_blob)
        drop_arrival(link, output->payload);
    return 0;
}

/* Where the note on the call is: 16-byte units of the region; 0: none. */
static int store_extra(struct landing *landing, uint32_t *ret_units, lithops_error *err)
{
    const struct lithops__outcome *outcome = landing->outcome;
    const struct lithops__usage_record *usage = &outcome->usage;
    struct lithops__call_extra extra = {0};
    bool has_output = outcome->output.how != LITHOPS__CARRIED_VALUE;
    *ret_units = 0;
    if (!outcome->has_usage && !has_output)
        return 0;
    if (outcome->has_usage)
        extra = (struct lithops__call_extra){
            .user_us = usage->user_us,
            .system_us = usage->system_us,
            .peak_start_kb = usage->peak_start_kb,
            .peak_end_kb = usage->peak_end_kb,
            .rss_kb = usage->rss_kb,
            .vms_kb = usage->vms_kb,
            .uss_kb = usage->uss_kb,
            .net_sent = usage->net_sent,
            .net_received = usage->net_received,
        };
    int rc = has_output ? store_output(landing, &extra, err) : 0;
    lithops__offset at;
    void *block = rc == 0 ? region_new(landing->link, sizeof extra, &at) : NULL;
    if (!block)
        return rc;
    memcpy(block, &extra, sizeof extra);
    uint64_t units = (at - landing->link->region.base) / 16;
    if (units >> 31)
        lithops__region_release(&landing->link->relay->table->area, at);
    else
        *ret_units = (uint32_t)units;
    return 0;
}

/* ---- times ----------------------------------------------------------------------------------- */

/* The worker's clock, as ticks of ours since the epoch; neither before `from_ns` nor later than
 * now. */
static uint64_t ticks_of(const struct lithops__link *link, uint64_t worker_ns, uint64_t from_ns)
{
    const struct lithops__control *control = link->relay->table->area.control;
    int64_t offset = link->offset_low / 2 + link->offset_high / 2;
    uint64_t now_ns = lithops__now_ns(), now = lithops__ticks() - control->epoch_ticks;
    int64_t ago_ns = (int64_t)(now_ns - (worker_ns - (uint64_t)offset));
    if (ago_ns > (int64_t)(now_ns - from_ns))
        ago_ns = (int64_t)(now_ns - from_ns);
    double ticks = (double)ago_ns * (double)control->ticks_per_ms / 1e6;
    return ticks <= 0 ? now : ticks < (double)now ? now - (uint64_t)ticks : 1;
}

/* Estimate the next calls' time by this call's. */
static void note_average(struct landing *landing, uint64_t ns)
{
    struct lithops__function_slot *function =
        &landing->link->relay->table->area.functions[landing->range->function];
    uint64_t old = atomic_load_explicit(&function->average_ps, memory_order_relaxed);
    uint64_t new = ns * 1000 + 1;
    atomic_store_explicit(&function->average_ps, old ? (old * 3 + new) / 4 : new,
                          memory_order_relaxed);
}

/* ---- publishing ------------------------------------------------------------------------------ */

/* [L] A worker has cancelled a call that nobody here wanted cancelled: `lithops job stop` was said
 * on its machine. The rest of the job is cancelled here, and by the other links with the next look
 * for stops. A single call is a job of its own. */
static void stop_rest(const struct landing *landing, const struct lithops__settlement *canceled)
{
    struct lithops__table *table = landing->link->relay->table;
    const lithops__state *states = lithops__range_states(&table->area, landing->range);
    uint64_t count = atomic_load(&landing->range->count);
    if (landing->range->numbers || atomic_exchange(&landing->range->canceled, 1))
        return;
    for (uint64_t i = 0; i < count; i++) {
        uint16_t state = atomic_load(&states[i]);
        if (lithops__state_of(state) < LITHOPS__RUNNING)
            (void)lithops__table_settle(table, (uint32_t)(landing->range - table->area.ranges), i,
                                        state, canceled);
    }
    atomic_fetch_add(&table->area.control->stops, 1);
}

static void settle_canceled(struct landing *landing)
{
    struct lithops__table *table = landing->link->relay->table;
    const struct lithops__outcome *outcome = landing->outcome;
    struct lithops__settlement canceled = {.error = LITHOPS_ERROR_INIT};
    lithops__fail(&canceled.error, LITHOPS_ECANCELED, "the call was cancelled");
    if (outcome->start_ns)
        canceled.start = ticks_of(landing->link, outcome->start_ns, landing->activation->sent_ns);
    uint32_t call = (uint32_t)(landing->index - landing->activation->begin);
    pthread_mutex_lock(&table->lock);
    (void)lithops__table_settle(
        table, (uint32_t)(landing->range - table->area.ranges), landing->index,
        lithops__state_make(LITHOPS__RUNNING, landing->link->worker), &canceled);
    canceled.start = 0; /* the others have not begun */
    if (!landing->activation->cancels[call])
        stop_rest(landing, &canceled);
    lithops__table_kick_dependents(table, (uint32_t)(landing->range - table->area.ranges));
    pthread_mutex_unlock(&table->lock);
}

/* The worker has not begun it, and will not: it waits again, and end_batch() offers it. */
static void put_back(struct landing *landing)
{
    struct lithops__table *table = landing->link->relay->table;
    uint32_t call = (uint32_t)(landing->index - landing->activation->begin);
    pthread_mutex_lock(&table->lock);
    bool is_canceled = landing->activation->cancels[call] != 0;
    if (!is_canceled)
        atomic_store(&lithops__range_states(&table->area, landing->range)[landing->index],
                     LITHOPS__PENDING);
    pthread_mutex_unlock(&table->lock);
    if (is_canceled)
        settle_canceled(landing);
}

/* 0; 1: there is no room now, and nothing was done */
static int publish(struct landing *landing, lithops_error *err)
{
    const struct lithops__outcome *outcome = landing->outcome;
    struct lithops__link *link = landing->link;
    struct lithops__area *area = &link->relay->table->area;
    if (outcome->state == LITHOPS__CANCELED || outcome->state == LITHOPS__PENDING) {
        if (outcome->state == LITHOPS__PENDING)
            put_back(landing);
        else
            settle_canceled(landing);
        return 0;
    }
    uint32_t extra;
    int rc = store_result(landing, err);
    if (rc == 0)
        rc = store_extra(landing, &extra, err);
    if (rc != 0)
        return rc;
    struct lithops__record *record = &lithops__range_records(area, landing->range)[landing->index];
    uint64_t start = 0, end = 0;
    if (outcome->start_ns) {
        uint64_t sent_ns = landing->activation->sent_ns;
        uint64_t ns = outcome->end_ns > outcome->start_ns ? outcome->end_ns - outcome->start_ns : 0;
        lithops__link_note_clock(link, (int64_t)(outcome->start_ns + ns - lithops__now_ns()),
                                 (int64_t)(outcome->start_ns - sent_ns));
        start = ticks_of(link, outcome->start_ns, sent_ns);
        end = ticks_of(link, outcome->start_ns + ns, sent_ns);
        end = end < start ? start : end;
        note_average(landing, ns);
    }
    record->payload = landing->payload;
    record->start_and_content =
        start << 8 | landing->content | (outcome->is_cold ? LITHOPS__CONTENT_COLD : 0);
    record->end = end;
    lithops__range_extras(area, landing->range)[landing->index] = extra;
    if (extra || (landing->content > LITHOPS__CONTENT_INLINE && landing->payload))
        lithops__take_note_block(landing->range);
    lithops__take_publish(area, landing->range,
                          &lithops__range_states(area, landing->range)[landing->index],
                          landing->state, link->worker);
    return 0;
}

/* Consecutive outcomes of one activation are published before anyone is woken. */
struct batch {
    struct lithops__link *link;
    uint32_t activation;              /* UINT32_MAX: none is open */
    uint64_t done, back, first, last; /* calls, and where they lie */
    uint64_t lacks_bytes;             /* of the outcome that was published last, or was not */
};

static void end_batch(struct batch *batch)
{
    struct lithops__link *link = batch->link;
    struct lithops__table *table = link->relay->table;
    if (batch->activation == UINT32_MAX)
        return;
    uint32_t id = link->activations[batch->activation].range;
    struct lithops__range *range = &table->area.ranges[id];
    batch->activation = UINT32_MAX;
    if (batch->back) {
        pthread_mutex_lock(&table->lock);
        lithops__settle_offer_rest(table, id, batch->first, batch->last + 1);
        pthread_mutex_unlock(&table->lock);
        lithops__link_rest(link);
    }
    if (batch->done) {
        lithops__take_finish(&table->area, range, batch->done);
        if (range->dependents)
            lithops__relay_reducers(link->relay, range->dependents - 1,
                                    range->dependents_generation, batch->first, batch->last + 1);
    }
    lithops__queue_leave(link->line);
}

/* A call whose result is parked may have been cancelled since. */
static void end_canceled(struct lithops__link *link, struct lithops__outcome *outcome)
{
    struct lithops__table *table = link->relay->table;
    pthread_mutex_lock(&table->lock);
    bool is_canceled = link->activations[outcome->activation].cancels[outcome->call] != 0;
    pthread_mutex_unlock(&table->lock);
    if (!is_canceled)
        return;
    outcome->state = LITHOPS__CANCELED;
    if (outcome->result.how == LITHOPS__CARRIED_BLOB)
        drop_arrival(link, outcome->result.payload);
    if (outcome->output.how == LITHOPS__CARRIED_BLOB)
        drop_arrival(link, outcome->output.payload);
}

/* 0; 1: it is to be parked */
static int outcome_came(struct batch *batch, const struct lithops__outcome *outcome, bool impatient,
                        lithops_error *err)
{
    struct lithops__link *link = batch->link;
    struct lithops__table *table = link->relay->table;
    if (outcome->activation >= link->capacity || !link->activations[outcome->activation].in_use)
        return fail_outcome(err);
    struct lithops__activation *activation = &link->activations[outcome->activation];
    if (outcome->call >= activation->count ||
        (activation->marks[outcome->call] & LITHOPS__MARK_DONE) ||
        outcome->state == LITHOPS__DEFERRED || outcome->state > LITHOPS__CANCELED ||
        (outcome->state == LITHOPS__PENDING &&
         activation->marks[outcome->call] != LITHOPS__MARK_ASKED))
        return fail_outcome(err);
    if (outcome->state != LITHOPS__PENDING) {
        lithops__link_end_rest(link);
        if (!link->has_run)
            link->relay->size.failures = 0; /* starting works */
        link->has_run = true;
    }
    if (outcome->state == LITHOPS__RUNNING) {
        activation->marks[outcome->call] |=
            LITHOPS__MARK_BEGUN | (outcome->result.payload ? LITHOPS__MARK_HELD : 0);
        return 0;
    }
    if (batch->activation != outcome->activation) {
        end_batch(batch); /* may send reducers: the activations move */
        activation = &link->activations[outcome->activation];
        uint64_t index = activation->begin + outcome->call;
        /* Running calls keep the range alive; once the last is published, this does. */
        (void)lithops__queue_enter(&table->area, link->line, activation->range,
                                   activation->generation);
        *batch = (struct batch){link, outcome->activation, 0, 0, index, index, 0};
    }
    struct landing landing = {.link = link,
                              .activation = activation,
                              .range = &table->area.ranges[activation->range],
                              .index = activation->begin + outcome->call,
                              .outcome = outcome,
                              .impatient = impatient};
    int rc = publish(&landing, err);
    batch->lacks_bytes = landing.lacks_bytes;
    if (rc != 0)
        return rc;
    if (outcome->state == LITHOPS__PENDING)
        batch->back++;
    else
        batch->done++;
    if (landing.index < batch->first)
        batch->first = landing.index;
    if (landing.index > batch->last)
        batch->last = landing.index;
    activation->marks[outcome->call] |= LITHOPS__MARK_DONE;
    link->in_flight--;
    if (--activation->left == 0) {
        end_batch(batch);
        pthread_mutex_lock(&table->lock);
        lithops__link_free_activation(link, &link->activations[outcome->activation]);
        pthread_mutex_unlock(&table->lock);
    }
    return 0;
}

int lithops__link_place(struct lithops__link *link, const struct lithops__outcome *parked,
                        bool impatient)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    struct lithops__outcome outcome = *parked;
    struct batch batch = {.link = link, .activation = UINT32_MAX};
    end_canceled(link, &outcome);
    int rc = outcome_came(&batch, &outcome, impatient, &err);
    end_batch(&batch);
    if (rc < 0 && link->broken.code == 0)
        link->broken = err;
    return rc == 1;
}

/* An outcome that has just come; what finds no room is parked. */
static int land(struct batch *batch, const struct lithops__outcome *outcome, lithops_error *err)
{
    struct lithops__link *link = batch->link;
    if (outcome->activation < link->capacity && link->activations[outcome->activation].in_use &&
        outcome->call < link->activations[outcome->activation].count &&
        link->activations[outcome->activation].marks[outcome->call] & LITHOPS__MARK_PARKED)
        return fail_outcome(err);
    int rc = outcome_came(batch, outcome, false, err);
    if (rc != 1)
        return rc;
    return lithops__link_park(link, outcome, batch->lacks_bytes, err) == 0
               ? 0
               : outcome_came(batch, outcome, true, err);
}

/* The worker's requests to the storage, so far. */
static int requests_came(struct lithops__link *link, lithops_bytes *bytes, lithops_error *err)
{
    uint64_t made[2];
    if (bytes->len < sizeof made)
        return lithops__fail(err, LITHOPS_EPARSE, "truncated outcomes");
    memcpy(made, bytes->ptr, sizeof made);
    *bytes = (lithops_bytes){(const char *)bytes->ptr + sizeof made, bytes->len - sizeof made};
    if (made[0] < link->reads || made[1] < link->writes)
        return lithops__fail(err, LITHOPS_EPARSE, "fewer requests than before");
    lithops__meter_worker_requests(&link->relay->table->meter, made[0] - link->reads,
                                   made[1] - link->writes);
    link->reads = made[0];
    link->writes = made[1];
    return 0;
}

int lithops__link_outcomes_came(struct lithops__link *link, const struct lithops__frame *frame,
                                lithops_error *err)
{
    lithops_bytes rest = frame->payload;
    uint64_t granted;
    if (rest.len < sizeof granted)
        return lithops__fail(err, LITHOPS_EPARSE, "truncated outcomes");
    memcpy(&granted, rest.ptr, sizeof granted);
    rest = (lithops_bytes){(const char *)rest.ptr + sizeof granted, rest.len - sizeof granted};
    struct batch batch = {.link = link, .activation = UINT32_MAX};
    int rc = frame->flags & LITHOPS__FRAME_SPENT ? requests_came(link, &rest, err) : 0;
    while (rc == 0 && rest.len > 0) {
        struct lithops__outcome outcome;
        rc = lithops__outcome_read(&rest, &outcome, err);
        if (rc == 0)
            rc = land(&batch, &outcome, err);
    }
    end_batch(&batch);
    if (granted > link->granted)
        link->granted = granted;
    return rc;
}
