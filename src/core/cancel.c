/* SPDX-License-Identifier: Apache-2.0 */
/* Cancelling calls: pending ones are settled here, running ones are ended by the backend. */
#include "core/cancel.h"

#include "base/error.h"
#include "core/fork.h"
#include "core/future.h"
#include "core/job.h"
#include "ipc/bell.h"
#include "ipc/layout.h"
#include "ipc/table.h"

uint64_t lithops__cancel_job(struct lithops__job *job, uint64_t begin, uint64_t end)
{
    lithops_executor *fexec = job->fexec;
    if (lithops__is_forked(fexec))
        return 0;
    struct lithops__settlement canceled = {.error = LITHOPS_ERROR_INIT};
    lithops__fail(&canceled.error, LITHOPS_ECANCELED, "the call was cancelled");
    uint64_t count = 0;
    bool running = false;
    pthread_mutex_lock(&fexec->table.lock);
    struct lithops__range *range = lithops__job_range(job);
    for (uint64_t i = begin; i < end; i++) {
        uint16_t state = lithops__job_state(job, i);
        if (lithops__state_is_done(state))
            continue;
        if (lithops__state_of(state) < LITHOPS__RUNNING &&
            lithops__table_settle(&fexec->table, job->range, i, state, &canceled)) {
            count++;
            continue;
        }
        state = lithops__job_state(job, i);
        if (lithops__state_of(state) == LITHOPS__RUNNING) {
            running = true;
            count++;
        }
    }
    /* The calls of a page are independent of each other. */
    if (count > 0 && !job->is_page && begin == 0 && end == atomic_load(&range->count))
        atomic_store(&range->canceled, 1);
    if (running && !fexec->closed)
        fexec->driver->ops->cancel(fexec->compute, job->range, begin, end);
    lithops__table_kick_dependents(&fexec->table, job->range);
    pthread_mutex_unlock(&fexec->table.lock);
    lithops__bell_landed(fexec->table.area.control);
    return count;
}

bool lithops__cancel_call(struct lithops__job *job, uint64_t index)
{
    return lithops__cancel_job(job, index, index + 1) > 0;
}

bool lithops_future_cancel(lithops_future *future)
{
    return future && lithops__cancel_call(future->job, future->index);
}
