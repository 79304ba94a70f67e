/* SPDX-License-Identifier: Apache-2.0 */
/* Reading what a call ended with, out of shared memory. */
#include "base/error.h"
#include "core/core.h"
#include "ipc/call_error.h"
#include "ipc/payload.h"

#include <string.h>

void lithops__call_key(const struct lithops__job *job, uint64_t index, char *buf, size_t size)
{
    snprintf(buf, size, "%s-%c%03u-%05llu", job->fexec->id, job->kind,
             lithops__job_number(job, index), (unsigned long long)(job->is_page ? 0 : index));
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

lithops_value *lithops__outcome_value(const struct lithops__job *job, uint64_t index,
                                      lithops_error *err)
{
    const struct lithops__record *record = lithops__job_record(job, index);
    return lithops__payload_value(&job->fexec->table.area, lithops__record_content(record),
                                  record->payload, err);
}
