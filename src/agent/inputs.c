/* SPDX-License-Identifier: Apache-2.0 */
/* Puts the inputs of calls that come over the link where worker processes look for them.
 *
 * Short inputs are in the activation itself. Longer ones are blobs, sent before it. A reducer's
 * inputs are the outcomes of map calls that may run elsewhere: here there is a *mirror* of them, a
 * range of calls that run until their outcomes come, and the reducer's one input is a gate over it.
 */
#include "agent/agent.h"

#include "base/error.h"
#include "ipc/bell.h"
#include "ipc/call_error.h"

#include <stdlib.h>
#include <string.h>

/* ---- blobs ----------------------------------------------------------------------------------- */

static void *make_room(void *user, uint64_t length, lithops__offset *ret_at)
{
    struct lithops__agent *agent = user;
    *ret_at = lithops__table_alloc_input(&agent->table, length);
    return *ret_at ? lithops__at(&agent->table.area, *ret_at) : NULL;
}

int lithops__agent_blob_came(struct lithops__agent *agent, const struct lithops__frame *frame,
                             lithops_error *err)
{
    pthread_mutex_lock(&agent->table.lock);
    int rc = lithops__blobs_came(&agent->blobs, frame, make_room, agent, err);
    pthread_mutex_unlock(&agent->table.lock);
    return rc;
}

int lithops__agent_blob_began(struct lithops__agent *agent, const struct lithops__frame *frame,
                              size_t left, struct lithops__rest *ret_rest, lithops_error *err)
{
    pthread_mutex_lock(&agent->table.lock);
    int rc = lithops__blobs_began(&agent->blobs, frame, left, make_room, agent, ret_rest, err);
    pthread_mutex_unlock(&agent->table.lock);
    return rc;
}

int lithops__agent_take_blob(struct lithops__agent *agent, uint64_t number, lithops__offset *ret_at,
                             lithops_error *err)
{
    return lithops__blobs_take(&agent->blobs, number, ret_at)
               ? 0
               : lithops__fail(err, LITHOPS_EPARSE, "unknown blob %llu",
                               (unsigned long long)number);
}

/* ---- inputs ---------------------------------------------------------------------------------- */

int lithops__agent_fail_space(const struct lithops__agent *agent, lithops_error *err)
{
    return lithops__fail(err, LITHOPS_ENOSPACE,
                         "no shared memory left for the inputs of calls: raise %s",
                         agent->table.area.control->memory_key);
}

/* [L] Copy bytes of a call into the heap. *ret_payload is valid only if 0 is returned. */
static int store(struct lithops__agent *agent, const struct lithops__carried *carried,
                 uint64_t *ret_payload, lithops_error *err)
{
    *ret_payload = carried->payload;
    if (carried->how == LITHOPS__CARRIED_VALUE)
        return carried->content <= LITHOPS__CONTENT_INLINE
                   ? 0
                   : lithops__fail(err, LITHOPS_EPARSE, "an input without its bytes");
    if (carried->content <= LITHOPS__CONTENT_INLINE || carried->content >= LITHOPS__CONTENT_ERROR)
        return lithops__fail(err, LITHOPS_EPARSE, "an input of unknown content %u",
                             carried->content);
    if (carried->how == LITHOPS__CARRIED_BLOB) {
        int rc = lithops__agent_take_blob(agent, carried->payload, ret_payload, err);
        return rc == 0 && *ret_payload == 0 ? lithops__agent_fail_space(agent, err) : rc;
    }
    *ret_payload = lithops__table_alloc_input(&agent->table, carried->bytes.len);
    if (*ret_payload == 0)
        return lithops__agent_fail_space(agent, err);
    if (carried->bytes.len)
        memcpy(lithops__at(&agent->table.area, *ret_payload), carried->bytes.ptr,
               carried->bytes.len);
    return 0;
}

static int store_array(struct lithops__agent *agent, struct lithops__range *range,
                       const struct lithops__run *run, uint64_t item_bytes, lithops_error *err)
{
    if (run->inputs.len != item_bytes * run->count)
        return lithops__fail(err, LITHOPS_EPARSE, "%zu bytes of inputs for %u calls of %llu",
                             run->inputs.len, run->count, (unsigned long long)item_bytes);
    range->input_bytes = (uint32_t)item_bytes;
    range->inputs = lithops__table_alloc_input(&agent->table, run->inputs.len);
    if (!range->inputs)
        return lithops__agent_fail_space(agent, err);
    if (run->inputs.len)
        memcpy(lithops__at(&agent->table.area, range->inputs), run->inputs.ptr, run->inputs.len);
    return 0;
}

static int store_slots(struct lithops__agent *agent, struct lithops__range *range,
                       const struct lithops__run *run, lithops_error *err)
{
    range->inputs = lithops__table_alloc(&agent->table, run->count * sizeof(struct lithops__slot));
    if (!range->inputs)
        return lithops__agent_fail_space(agent, err);
    struct lithops__slot *slots = lithops__at(&agent->table.area, range->inputs);
    memset(slots, 0, run->count * sizeof *slots);
    lithops_bytes rest = run->inputs;
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < run->count; i++) {
        struct lithops__carried carried;
        rc = lithops__carried_read(&rest, &carried, err);
        if (rc == 0)
            rc = store(agent, &carried, &slots[i].payload, err);
        slots[i].content = rc == 0 ? carried.content : LITHOPS__CONTENT_NULL;
    }
    return rc;
}

static int store_inputs(struct lithops__agent *agent, struct lithops__range *range,
                        const struct lithops__run *run, lithops_error *err)
{
    range->input_kind = (enum lithops__input_kind)run->input_kind;
    range->input_start = run->input_start;
    switch (run->input_kind) {
    case LITHOPS__INPUT_RANGE:
        return 0;
    case LITHOPS__INPUT_INTS:
    case LITHOPS__INPUT_DOUBLES:
        return store_array(agent, range, run, sizeof(uint64_t), err);
    case LITHOPS__INPUT_ITEMS:
        return store_array(agent, range, run, run->input_bytes, err);
    case LITHOPS__INPUT_SLOTS:
        return store_slots(agent, range, run, err);
    default:
        return lithops__fail(err, LITHOPS_EPARSE, "inputs of unknown kind %u", run->input_kind);
    }
}

/* ---- inputs of reducers ---------------------------------------------------------------------- */

/* [L] Store the error of a map call as the table keeps it. */
static int store_failure(struct lithops__agent *agent, const struct lithops__carried *carried,
                         uint64_t *ret_payload, lithops_error *err)
{
    lithops_error error;
    lithops_bytes bytes = carried->bytes, data;
    lithops__offset at = 0;
    int rc = 0;
    *ret_payload = 0;
    if (carried->how == LITHOPS__CARRIED_BLOB) {
        rc = lithops__agent_take_blob(agent, carried->payload, &at, err);
        if (rc == 0 && at)
            bytes = lithops__payload_bytes(&agent->table.area, at);
    }
    if (rc == 0)
        rc = lithops__failure_read(bytes, &error, &data, err);
    if (rc == 0)
        *ret_payload = lithops__table_alloc(&agent->table, lithops__call_error_size(&error, data));
    if (rc == 0 && *ret_payload)
        lithops__call_error_write(lithops__at(&agent->table.area, *ret_payload), &error, data);
    lithops__heap_free(&agent->table.heap, at);
    return rc;
}

/* [L] Make a range of calls, none of which is done: the results that a reducer reads. */
static int make_mirror(struct lithops__agent *agent, uint32_t function,
                       const struct lithops__run *message, uint32_t *ret_range, lithops_error *err)
{
    const struct lithops__job_name name = {agent->executor_id, LITHOPS__JOB_MIRROR, 0,
                                           (uint64_t)message->input_start};
    uint64_t count = message->input_bytes, room = count ? count : 1;
    int rc = lithops__table_new_range(&agent->table, function, count, room, LITHOPS__PENDING, &name,
                                      ret_range, err);
    if (rc != 0)
        return rc;
    struct lithops__area *area = &agent->table.area;
    struct lithops__range *range = &area->ranges[*ret_range];
    memset(lithops__range_extras(area, range), 0, room * sizeof(uint32_t));
    memset(lithops__range_records(area, range), 0, room * sizeof(struct lithops__record));
    for (uint64_t i = 0; i < count; i++)
        atomic_store(&lithops__range_states(area, range)[i],
                     lithops__state_make(LITHOPS__RUNNING, LITHOPS__NO_WORKER));
    atomic_store(&range->has_blocks, 1);
    lithops__table_publish_range(&agent->table, *ret_range);
    return 0;
}

void lithops__agent_free_mirror(struct lithops__agent *agent, struct lithops__agent_run *run)
{
    if (run->mirror == 0)
        return;
    struct lithops__area *area = &agent->table.area;
    struct lithops__range *range = &area->ranges[run->mirror - 1];
    for (uint64_t i = 0; i < range->count; i++) { /* only calls that are done may be freed */
        lithops__state *state = &lithops__range_states(area, range)[i];
        if (!lithops__state_is_done(atomic_load(state)))
            atomic_store(state, LITHOPS__NEVER_RAN);
    }
    lithops__table_free_range(&agent->table, run->mirror - 1);
    run->mirror = 0;
}

/* [L] There is no room for a result: the reducer is to fail, and say why. */
static void mirror_no_room(struct lithops__agent *agent, const lithops_error *why,
                           struct lithops__record *record)
{
    const lithops_bytes none = {NULL, 0};
    record->payload = lithops__table_alloc(&agent->table, lithops__call_error_size(why, none));
    if (record->payload)
        lithops__call_error_write(lithops__at(&agent->table.area, record->payload), why, none);
    record->start_and_content = LITHOPS__CONTENT_ERROR;
}

/* [L] */
static int mirror_call(struct lithops__agent *agent, const struct lithops__range *mirror,
                       const struct lithops__outcome *outcome, lithops_error *err)
{
    struct lithops__area *area = &agent->table.area;
    if (outcome->call >= mirror->count || outcome->state < LITHOPS__SUCCESS ||
        outcome->state > LITHOPS__CANCELED)
        return lithops__fail(err, LITHOPS_EPARSE, "an invalid result");
    lithops__state *state = &lithops__range_states(area, mirror)[outcome->call];
    struct lithops__record *record = &lithops__range_records(area, mirror)[outcome->call];
    unsigned what = outcome->state;
    if (lithops__state_is_done(atomic_load(state)))
        return lithops__fail(err, LITHOPS_EPARSE, "a result that has come already");
    bool is_error = outcome->result.content == LITHOPS__CONTENT_ERROR;
    int rc = is_error ? store_failure(agent, &outcome->result, &record->payload, err)
                      : store(agent, &outcome->result, &record->payload, err);
    record->start_and_content = outcome->result.content;
    if (rc == LITHOPS_ENOSPACE) {
        mirror_no_room(agent, err, record);
        what = LITHOPS__FAILED;
        rc = 0;
    }
    if (rc == 0)
        atomic_store(state, lithops__state_make(what, LITHOPS__NO_WORKER));
    else
        *record = (struct lithops__record){0, LITHOPS__CONTENT_NULL, 0};
    return rc;
}

/* [L] Nobody reads it any more: its reducer has ended. */
static int drop_result(struct lithops__agent *agent, const struct lithops__outcome *outcome,
                       lithops_error *err)
{
    lithops__offset at = 0;
    int rc = outcome->result.how == LITHOPS__CARRIED_BLOB
                 ? lithops__agent_take_blob(agent, outcome->result.payload, &at, err)
                 : 0;
    lithops__heap_free(&agent->table.heap, at);
    return rc;
}

int lithops__agent_mirror_came(struct lithops__agent *agent, const struct lithops__frame *frame,
                               lithops_error *err)
{
    struct lithops__control *control = agent->table.area.control;
    lithops_bytes rest = frame->payload;
    int rc = 0;
    pthread_mutex_lock(&agent->table.lock);
    const struct lithops__agent_run *run = agent->runs;
    while (run && run->id != frame->stream)
        run = run->next;
    uint32_t mirror = run ? run->mirror : 0;
    while (rc == 0 && rest.len > 0) {
        struct lithops__outcome outcome;
        lithops_error no_room = LITHOPS_ERROR_INIT;
        rc = lithops__outcome_read(&rest, &outcome, err);
        if (rc == 0)
            rc = mirror
                     ? mirror_call(agent, &agent->table.area.ranges[mirror - 1], &outcome, &no_room)
                     : drop_result(agent, &outcome, &no_room);
        if (rc != 0 && err->code == 0)
            *err = no_room;
    }
    pthread_mutex_unlock(&agent->table.lock);
    atomic_store(&control->waiting, 1); /* a watch may have cleared it, and the reducer sleeps */
    lithops__bell_landed(control);
    return rc;
}

/* [L] Make the input of a reducer: a gate over the mirror. */
static int make_gate(struct lithops__agent *agent, struct lithops__agent_run *run,
                     const struct lithops__run *message, lithops_error *err)
{
    struct lithops__area *area = &agent->table.area;
    struct lithops__range *range = &area->ranges[run->range];
    uint32_t made = 0;
    int rc = make_mirror(agent, range->function, message, &made, err);
    if (rc != 0)
        return rc;
    run->mirror = made + 1;
    struct lithops__gate gate = {made, 0, 0, message->input_bytes};
    range->input_kind = LITHOPS__INPUT_SLOTS;
    range->inputs = lithops__table_alloc(&agent->table, sizeof(struct lithops__slot));
    struct lithops__slot *slot = range->inputs ? lithops__at(area, range->inputs) : NULL;
    if (!slot)
        return lithops__agent_fail_space(agent, err);
    *slot = (struct lithops__slot){lithops__table_store(&agent->table, &gate, sizeof gate),
                                   LITHOPS__CONTENT_GATE};
    if (slot->payload)
        return 0;
    slot->content = LITHOPS__CONTENT_NULL;
    return lithops__agent_fail_space(agent, err);
}

int lithops__agent_store_inputs(struct lithops__agent *agent, struct lithops__agent_run *run,
                                const struct lithops__run *message, lithops_error *err)
{
    return run->job->kind == 'R'
               ? make_gate(agent, run, message, err)
               : store_inputs(agent, &agent->table.area.ranges[run->range], message, err);
}
