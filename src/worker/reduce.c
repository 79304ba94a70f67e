/* SPDX-License-Identifier: Apache-2.0 */
/* The input of a reducer: results of map calls, in call order, read where the map workers wrote
 * them. A reducer starts once all its map calls are taken by workers, so those it waits for here
 * are running.
 *
 * A failure ends the input, and fails the reducer even if its function takes no notice: a loop over
 * the results must not produce a total of only some of them. */
#include "base/error.h"
#include "ipc/area.h"
#include "ipc/call_error.h"
#include "ipc/layout.h"
#include "ipc/payload.h"
#include "worker/call.h"
#include "worker/input.h"
#include "worker/loop.h"
#include "worker/process.h"
#include "worker/result.h"

static const struct lithops__gate *gate_of(lithops_call *call)
{
    if (!call->input_known)
        lithops__call_find_input(call);
    if (call->input_content != LITHOPS__CONTENT_GATE)
        return NULL;
    return lithops__at(&call->process->area, call->input_payload);
}

int64_t lithops_call_result_count(lithops_call *call)
{
    const struct lithops__gate *gate = gate_of(call);
    return gate ? (int64_t)(gate->end - gate->begin) : 0;
}

bool lithops_call_is_reducer(lithops_call *call)
{
    return call->range->job_kind == 'R';
}

static int fail_like(lithops_call *call, const struct lithops__area *area,
                     const struct lithops__record *record, unsigned state, uint64_t id)
{
    call->input_failed = true;
    if (state == LITHOPS__CANCELED)
        lithops__fail(&call->error, LITHOPS_ECANCELED, "the map call was cancelled");
    else if (record->payload == 0)
        lithops__fail(&call->error, LITHOPS_ECALL,
                      "the map call failed, and there was no shared "
                      "memory left to say why");
    else {
        lithops__call_error_read(lithops__at(area, record->payload), &call->error);
        lithops__call_keep_data(call, lithops__call_error_data(lithops__at(area, record->payload)));
    }
    lithops__error_prefix(&call->error, "map call %llu", (unsigned long long)id);
    return call->error.code;
}

/* The record of the next map call, done. 1, 0 after the last one, or a negative code. */
static int next_record(lithops_call *call, const struct lithops__record **ret_record)
{
    call->used = true;
    const struct lithops__gate *gate = gate_of(call);
    if (!gate)
        return lithops__fail(&call->error, LITHOPS_EUSAGE, "this call is not a reducer");
    if (call->input_failed || call->next_result >= gate->end - gate->begin)
        return 0;
    const struct lithops__area *area = &call->process->area;
    struct lithops__range *maps = &area->ranges[gate->range];
    uint64_t index = gate->begin + call->next_result++;
    lithops__worker_wait_for(call->process, maps, index);
    unsigned state = lithops__state_of(atomic_load(&lithops__range_states(area, maps)[index]));
    *ret_record = &lithops__range_records(area, maps)[index];
    if (state != LITHOPS__SUCCESS)
        return fail_like(call, area, *ret_record, state, maps->first_id + index);
    return 1;
}

int lithops_call_next_value(lithops_call *call, const lithops_value **ret_value)
{
    const struct lithops__record *record = NULL;
    int rc = next_record(call, &record);
    if (rc != 1 || !record)
        return rc;
    lithops_value_free(call->item);
    call->item = lithops__payload_value(&call->process->area, lithops__record_content(record),
                                        record->payload, &call->error);
    if (!call->item) {
        call->input_failed = true;
        return call->error.code ? call->error.code
                                : lithops__fail(&call->error, LITHOPS_ENOMEM, "out of memory");
    }
    *ret_value = call->item;
    return 1;
}

int lithops_call_next_payload(lithops_call *call, lithops_payload *ret_payload)
{
    const struct lithops__record *record = NULL;
    int rc = next_record(call, &record);
    if (rc != 1 || !record)
        return rc;
    rc = lithops__payload_read(&call->process->area, lithops__record_content(record),
                               record->payload, ret_payload, &call->error);
    call->input_failed |= rc != 0;
    return rc ? rc : 1;
}

int lithops_call_next_bytes(lithops_call *call, lithops_bytes *ret_bytes)
{
    const struct lithops__record *record = NULL;
    int rc = next_record(call, &record);
    if (rc != 1 || !record)
        return rc;
    enum lithops__content content = lithops__record_content(record);
    if (content != LITHOPS__CONTENT_BYTES && content != LITHOPS__CONTENT_STRING) {
        call->input_failed = true;
        return lithops__fail(&call->error, LITHOPS_ETYPE, "map call %llu: its result is not bytes",
                             (unsigned long long)(gate_of(call)->begin + call->next_result - 1));
    }
    *ret_bytes = lithops__payload_bytes(&call->process->area, record->payload);
    return 1;
}

int lithops_call_next_result(lithops_call *call, const char *format, ...)
{
    const lithops_value *value = NULL;
    int rc = lithops_call_next_value(call, &value);
    if (rc != 1)
        return rc;
    va_list args;
    va_start(args, format);
    rc = lithops_vunpack(value, &call->error, format, args);
    va_end(args);
    if (rc == 0)
        return 1;
    call->input_failed = true;
    lithops__error_prefix(&call->error, "result of map call %llu",
                          (unsigned long long)(gate_of(call)->begin + call->next_result - 1));
    return rc;
}
