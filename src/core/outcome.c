/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a call's state and outcome from shared memory. */
#include "core/outcome.h"

#include "base/error.h"
#include "core/job.h"
#include "ipc/area.h"
#include "ipc/call_error.h"
#include "ipc/layout.h"
#include "ipc/payload.h"

#include <string.h>

void lithops__call_key(const struct lithops__job *job, uint64_t index, char *buf, size_t size)
{
    const struct lithops__range *range = lithops__job_range(job);
    snprintf(buf, size, "%s-%c%03u-%05llu", range->executor_id, range->job_kind,
             lithops__job_number(job, index),
             (unsigned long long)(range->first_id + (job->is_page ? 0 : index)));
}

lithops_state lithops__outcome_state(const struct lithops__job *job, uint64_t index)
{
    uint16_t state = lithops__job_state(job, index);
    switch (lithops__state_of(state)) {
    case LITHOPS__RUNNING:
        return lithops__state_worker(state) == LITHOPS__NO_WORKER ? LITHOPS_PENDING
                                                                  : LITHOPS_RUNNING;
    case LITHOPS__SUCCESS:
        return LITHOPS_SUCCESS;
    case LITHOPS__FAILED:
        return LITHOPS_FAILED;
    case LITHOPS__CANCELED:
        return LITHOPS_CANCELED;
    default:
        return LITHOPS_PENDING;
    }
}

int lithops__outcome_error(const struct lithops__job *job, uint64_t index, lithops_error *ret_error)
{
    unsigned state = lithops__state_of(lithops__job_state(job, index));
    if (state != LITHOPS__FAILED && state != LITHOPS__CANCELED)
        return 0;
    lithops_error error = LITHOPS_ERROR_INIT;
    const struct lithops__record *record = lithops__job_record(job, index);
    if (state == LITHOPS__CANCELED)
        lithops__fail(&error, LITHOPS_ECANCELED, "the call was cancelled");
    else if (lithops__record_content(record) == LITHOPS__CONTENT_GONE)
        lithops__fail(&error, LITHOPS_ECALL,
                      "the call failed; why went with its last future: hold it to be told");
    else if (record->payload == 0)
        lithops__fail(&error, LITHOPS_ECALL,
                      "the call failed, and there was no shared memory left to say why");
    else
        lithops__call_error_read(lithops__at(&job->fexec->table.area, record->payload), &error);
    char key[64];
    lithops__call_key(job, index, key, sizeof key);
    snprintf(error.origin, sizeof error.origin, "call %.40s", key);
    if (ret_error)
        *ret_error = error;
    return error.code;
}

lithops_bytes lithops__outcome_data(const struct lithops__job *job, uint64_t index)
{
    const struct lithops__record *record = lithops__job_record(job, index);
    if (lithops__state_of(lithops__job_state(job, index)) != LITHOPS__FAILED ||
        record->payload == 0)
        return (lithops_bytes){NULL, 0};
    return lithops__call_error_data(lithops__at(&job->fexec->table.area, record->payload));
}

int lithops__outcome_bytes(const struct lithops__job *job, uint64_t index, lithops_bytes *ret_bytes,
                           lithops_error *err)
{
    if (!ret_bytes)
        return lithops__fail(err, LITHOPS_EUSAGE, "ret_bytes is NULL");
    const struct lithops__record *record = lithops__job_record(job, index);
    enum lithops__content content = lithops__record_content(record);
    if (content == LITHOPS__CONTENT_GONE ||
        (content > LITHOPS__CONTENT_INLINE && record->payload == 0))
        return lithops__fail(err, LITHOPS_ECLOSED, "the result was released before");
    if (content != LITHOPS__CONTENT_BYTES && content != LITHOPS__CONTENT_STRING)
        return lithops__fail(err, LITHOPS_ETYPE, "the result is not bytes");
    *ret_bytes = lithops__payload_bytes(&job->fexec->table.area, record->payload);
    return 0;
}

lithops_value *lithops__outcome_value(const struct lithops__job *job, uint64_t index,
                                      lithops_error *err)
{
    const struct lithops__record *record = lithops__job_record(job, index);
    return lithops__payload_value(&job->fexec->table.area, lithops__record_content(record),
                                  record->payload, err);
}
