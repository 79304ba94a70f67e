/* SPDX-License-Identifier: Apache-2.0 */
#include "detached/outcome.h"

#include "base/error.h"
#include "ipc/call_error.h"
#include "ipc/slotlog.h"
#include "ipc/take.h"

#include <string.h>

/* ---- out of a table -------------------------------------------------------------------------- */

static uint64_t ns_of(const struct lithops__table *table, const struct lithops__tick_clock *clock,
                      uint64_t ticks)
{
    int64_t since = (int64_t)(table->area.control->epoch_ticks + ticks - clock->ticks0);
    return clock->mono0 + (uint64_t)(int64_t)((double)since * clock->ns_per_tick);
}

static void set_times(const struct lithops__table *table, const struct lithops__tick_clock *clock,
                      const struct lithops__record *record, struct lithops__outcome *outcome)
{
    uint64_t start = lithops__record_start(record), end = record->end;
    if (start == 0 && end == 0)
        return;
    outcome->start_ns = ns_of(table, clock, start);
    outcome->end_ns = ns_of(table, clock, end < start ? start : end);
}

static void set_failure(const struct lithops__table *table, const struct lithops__record *record,
                        struct lithops__buffer *keep, struct lithops__carried *ret)
{
    lithops_error error = LITHOPS_ERROR_INIT;
    lithops_bytes data = {NULL, 0};
    if (record->payload) {
        const void *block = lithops__at(&table->area, record->payload);
        lithops__call_error_read(block, &error);
        data = lithops__call_error_data(block);
    } else {
        lithops__fail(&error, LITHOPS_ECALL,
                      "the call failed, and there was no shared memory left to say why");
    }
    lithops__failure_write(keep, &error, data);
    *ret = (struct lithops__carried){
        LITHOPS__CONTENT_ERROR, LITHOPS__CARRIED_BYTES, 0, {keep->data, keep->len}};
}

static void set_result(const struct lithops__table *table, const struct lithops__record *record,
                       struct lithops__buffer *keep, struct lithops__carried *ret)
{
    enum lithops__content content = lithops__record_content(record);
    if (content == LITHOPS__CONTENT_ERROR)
        set_failure(table, record, keep, ret);
    else if (content > LITHOPS__CONTENT_INLINE && content < LITHOPS__CONTENT_ERROR)
        *ret = (struct lithops__carried){(uint8_t)content, LITHOPS__CARRIED_BYTES, 0,
                                         lithops__payload_bytes(&table->area, record->payload)};
    else
        *ret = (struct lithops__carried){content <= LITHOPS__CONTENT_INLINE ? (uint8_t)content
                                                                            : LITHOPS__CONTENT_NULL,
                                         LITHOPS__CARRIED_VALUE,
                                         record->payload,
                                         {NULL, 0}};
}

static void set_notes(const struct lithops__table *table, const struct lithops__range *range,
                      uint64_t index, uint16_t state, struct lithops__buffer *keep,
                      struct lithops__outcome *outcome)
{
    const struct lithops__call_extra *extra = lithops__table_extra(&table->area, range, index);
    if (!extra)
        return;
    outcome->has_usage = true;
    outcome->usage = (struct lithops__usage_record){
        extra->user_us, extra->system_us, extra->peak_start_kb, extra->peak_end_kb, extra->rss_kb,
        extra->vms_kb,  extra->uss_kb,    extra->net_sent,      extra->net_received};
    if (extra->log_end > extra->log_begin)
        lithops__slotlog_append(table, lithops__state_worker(state), extra->log_begin,
                                extra->log_end, keep);
    if (keep->len)
        outcome->output = (struct lithops__carried){
            LITHOPS__CONTENT_BYTES, LITHOPS__CARRIED_BYTES, 0, {keep->data, keep->len}};
}

void lithops__outcome_append(const struct lithops__table *table,
                             const struct lithops__tick_clock *clock, uint32_t range_id,
                             uint64_t index, struct lithops__buffer *out)
{
    const struct lithops__range *range = &table->area.ranges[range_id];
    uint16_t state = atomic_load_explicit(&lithops__range_states(&table->area, range)[index],
                                          memory_order_acquire);
    struct lithops__outcome outcome = {.call = (uint32_t)index,
                                       .state = (uint8_t)lithops__state_of(state),
                                       .never_ran = state == LITHOPS__NEVER_RAN};
    struct lithops__buffer failure = LITHOPS__BUFFER_INIT, output = LITHOPS__BUFFER_INIT;
    if (!outcome.never_ran) {
        const struct lithops__record *record = &lithops__range_records(&table->area, range)[index];
        outcome.is_cold = record->start_and_content & LITHOPS__CONTENT_COLD;
        set_times(table, clock, record, &outcome);
        if (outcome.state != LITHOPS__CANCELED)
            set_result(table, record, &failure, &outcome.result);
        set_notes(table, range, index, state, &output, &outcome);
    }
    lithops__outcome_write(out, &outcome);
    out->failed |= failure.failed || output.failed; /* it may be a part of it */
    lithops__buffer_deinit(&failure);
    lithops__buffer_deinit(&output);
}

void lithops__outcome_append_error(uint64_t index, const lithops_error *error,
                                   struct lithops__buffer *out)
{
    bool is_canceled = error->code == LITHOPS_ECANCELED;
    struct lithops__buffer failure = LITHOPS__BUFFER_INIT;
    struct lithops__outcome outcome = {
        .call = (uint32_t)index,
        .state = is_canceled ? LITHOPS__CANCELED : LITHOPS__FAILED,
        .never_ran = is_canceled,
    };
    if (!is_canceled) {
        lithops__failure_write(&failure, error, (lithops_bytes){NULL, 0});
        outcome.result = (struct lithops__carried){
            LITHOPS__CONTENT_ERROR, LITHOPS__CARRIED_BYTES, 0, {failure.data, failure.len}};
    }
    lithops__outcome_write(out, &outcome);
    out->failed |= failure.failed;
    lithops__buffer_deinit(&failure);
}

/* ---- into a table ---------------------------------------------------------------------------- */

static uint64_t ticks_of(const struct lithops__control *control, uint64_t ns)
{
    uint64_t now = lithops__ticks() - control->epoch_ticks;
    int64_t ago_ns = (int64_t)(lithops__now_ns() - ns);
    double ago = (double)ago_ns * (double)control->ticks_per_ms / 1e6;
    return ago <= 0 ? now : ago < (double)now ? now - (uint64_t)ago : 1;
}

static lithops__offset store_failure(struct lithops__table *table, lithops_bytes bytes,
                                     lithops_error *err)
{
    lithops_error error;
    lithops_bytes data;
    if (lithops__failure_read(bytes, &error, &data, err) != 0)
        return 0;
    lithops__offset at = lithops__table_alloc(table, lithops__call_error_size(&error, data));
    if (at)
        lithops__call_error_write(lithops__at(&table->area, at), &error, data);
    else
        lithops__fail(err, LITHOPS_ENOSPACE, "no shared memory left");
    return at;
}

static int store_result(struct lithops__table *table, const struct lithops__carried *result,
                        uint64_t *ret_payload, lithops_error *err)
{
    bool is_inline = result->content <= LITHOPS__CONTENT_INLINE;
    if (result->content > LITHOPS__CONTENT_ERROR ||
        result->how != (is_inline ? LITHOPS__CARRIED_VALUE : LITHOPS__CARRIED_BYTES))
        return lithops__fail(err, LITHOPS_EPARSE, "a result of unknown content %u",
                             result->content);
    if (is_inline) {
        *ret_payload = result->payload;
        return 0;
    }
    if (result->content == LITHOPS__CONTENT_ERROR) {
        err->code = 0;
        *ret_payload = store_failure(table, result->bytes, err);
        return *ret_payload ? 0 : err->code;
    }
    *ret_payload = lithops__table_store(table, result->bytes.ptr, result->bytes.len);
    return *ret_payload ? 0 : lithops__fail(err, LITHOPS_ENOSPACE, "no shared memory left");
}

static uint32_t store_notes(struct lithops__table *table, struct lithops__range *range,
                            const struct lithops__outcome *outcome)
{
    const struct lithops__usage_record *usage = &outcome->usage;
    if (!outcome->has_usage)
        return 0;
    struct lithops__call_extra extra = {.user_us = usage->user_us,
                                        .system_us = usage->system_us,
                                        .peak_start_kb = usage->peak_start_kb,
                                        .peak_end_kb = usage->peak_end_kb,
                                        .rss_kb = usage->rss_kb,
                                        .vms_kb = usage->vms_kb,
                                        .uss_kb = usage->uss_kb,
                                        .net_sent = usage->net_sent,
                                        .net_received = usage->net_received};
    if (outcome->output.how == LITHOPS__CARRIED_BYTES && outcome->output.bytes.len) {
        lithops__slotlog_store(table, 0, outcome->output.bytes, &extra.log_begin, &extra.log_end);
        atomic_store_explicit(&range->wrote, 1, memory_order_relaxed);
    }
    return lithops__table_store_extra(table, &extra);
}

int lithops__outcome_put(struct lithops__table *table, uint32_t range_id,
                         const struct lithops__outcome *outcome, bool with_notes, bool is_same_boot,
                         lithops_error *err)
{
    struct lithops__area *area = &table->area;
    struct lithops__range *range = &area->ranges[range_id];
    uint64_t index = outcome->call, payload = 0;
    if (index >= atomic_load(&range->count) || outcome->state < LITHOPS__SUCCESS ||
        outcome->state > LITHOPS__CANCELED)
        return lithops__fail(err, LITHOPS_EPARSE, "an outcome of a call that there is not");
    lithops__state *state = &lithops__range_states(area, range)[index];
    uint16_t seen = atomic_load(state);
    if (lithops__state_is_done(seen))
        return 0;
    if (outcome->state == LITHOPS__CANCELED) {
        struct lithops__settlement canceled = {.error = LITHOPS_ERROR_INIT};
        lithops__fail(&canceled.error, LITHOPS_ECANCELED, "the call was cancelled");
        return lithops__table_settle(table, range_id, index, seen, &canceled);
    }
    bool is_failed = outcome->result.content == LITHOPS__CONTENT_ERROR;
    if (is_failed != (outcome->state == LITHOPS__FAILED))
        return lithops__fail(err, LITHOPS_EPARSE, "an outcome that contradicts itself");
    struct lithops__carried result = outcome->result;
    if (!is_failed && lithops__take_is_unwanted(area, range, index))
        result = (struct lithops__carried){.content = LITHOPS__CONTENT_NULL};
    int rc = store_result(table, &result, &payload, err);
    if (rc != 0)
        return rc;
    unsigned slot = with_notes ? 0 : LITHOPS__NO_WORKER;
    uint32_t extra = with_notes ? store_notes(table, range, outcome) : 0;
    struct lithops__record *record = &lithops__range_records(area, range)[index];
    bool has_times = outcome->start_ns && is_same_boot;
    uint64_t start = has_times ? ticks_of(area->control, outcome->start_ns) : 0;
    uint64_t end = has_times ? ticks_of(area->control, outcome->end_ns) : 0;
    record->payload = payload;
    record->start_and_content =
        start << 8 | result.content | (outcome->is_cold ? LITHOPS__CONTENT_COLD : 0);
    record->end = end < start ? start : end;
    lithops__range_extras(area, range)[index] = extra;
    if (extra || result.content > LITHOPS__CONTENT_INLINE)
        lithops__take_note_block(range);
    lithops__take_publish(area, range, state, outcome->state, slot);
    return 1;
}
