/* SPDX-License-Identifier: Apache-2.0 */
/* Reading calls of a sequence by index, without making futures of them. */
#include "base/error.h"
#include "core/futures.h"
#include "core/job.h"
#include "core/outcome.h"
#include "ipc/layout.h"
#include "ipc/payload.h"

#include <lithops/plugin/runtime.h>

lithops_state lithops_futures_state(const lithops_futures *futures, size_t index)
{
    uint64_t call = 0;
    const struct lithops__segment *segment = lithops__futures_find(futures, index, &call);
    return segment ? lithops__outcome_state(segment->job, call) : LITHOPS_PENDING;
}

static int find_result(const lithops_futures *futures, size_t index, struct lithops__job **ret_job,
                       uint64_t *ret_call, lithops_error *err)
{
    const struct lithops__segment *segment = lithops__futures_find(futures, index, ret_call);
    if (!segment)
        return lithops__fail(err, LITHOPS_ENOTFOUND, "there is no future number %zu", index);
    *ret_job = segment->job;
    if (!lithops__state_is_done(lithops__job_state(segment->job, *ret_call)))
        return lithops__fail(err, LITHOPS_ETIMEDOUT, "the call is not done yet");
    return lithops__outcome_error(segment->job, *ret_call, err);
}

int lithops_futures_int(const lithops_futures *futures, size_t index, int64_t *ret_int,
                        lithops_error *err)
{
    struct lithops__job *job = NULL;
    uint64_t call = 0;
    int rc = find_result(futures, index, &job, &call, err);
    if (rc != 0 || !job)
        return rc;
    const struct lithops__record *record = lithops__job_record(job, call);
    if (!ret_int)
        return lithops__fail(err, LITHOPS_EUSAGE, "ret_int is NULL");
    if (lithops__record_content(record) != LITHOPS__CONTENT_INT)
        return lithops__fail(err, LITHOPS_ETYPE, "the result is not an int");
    *ret_int = (int64_t)record->payload;
    return 0;
}

int lithops_futures_bytes(const lithops_futures *futures, size_t index, lithops_bytes *ret_bytes,
                          lithops_error *err)
{
    struct lithops__job *job = NULL;
    uint64_t call = 0;
    int rc = find_result(futures, index, &job, &call, err);
    return rc || !job ? rc : lithops__outcome_bytes(job, call, ret_bytes, err);
}

int lithops_futures_payload(const lithops_futures *futures, size_t index,
                            lithops_payload *ret_payload, lithops_error *err)
{
    struct lithops__job *job = NULL;
    uint64_t call = 0;
    int rc = find_result(futures, index, &job, &call, err);
    if (rc != 0 || !job)
        return rc;
    const struct lithops__record *record = lithops__job_record(job, call);
    return lithops__payload_read(&job->fexec->table.area, lithops__record_content(record),
                                 record->payload, ret_payload, err);
}

lithops_bytes lithops_futures_error_data(const lithops_futures *futures, size_t index)
{
    uint64_t call = 0;
    const struct lithops__segment *segment = lithops__futures_find(futures, index, &call);
    return segment ? lithops__outcome_data(segment->job, call) : (lithops_bytes){NULL, 0};
}
