/* SPDX-License-Identifier: Apache-2.0 */
/* A job is looked at from its first call on that was not done the last time. */
#include "core/charge.h"

#include "core/costs.h"
#include "core/executor.h"
#include "core/job.h"
#include "ipc/layout.h"

static double cost_of(const struct lithops__job *job, uint64_t index)
{
    const struct lithops__costs *costs = &job->fexec->costs;
    if (lithops__job_state(job, index) == LITHOPS__NEVER_RAN)
        return 0;
    const struct lithops__record *record = lithops__job_record(job, index);
    uint64_t start = lithops__record_start(record), end = record->end;
    if (start == 0 && end == 0)
        return 0; /* was never started */
    double per_s = (double)job->fexec->table.area.control->ticks_per_ms * 1000;
    double s = end > start ? (double)(end - start) / per_s : 0;
    return costs->per_call + costs->per_call_gb_s * s * (double)job->memory_mb / 1024;
}

static double cost_of_job(struct lithops__job *job)
{
    uint64_t count = lithops__job_count(job);
    while (job->charged < count && lithops__state_is_done(lithops__job_state(job, job->charged)))
        job->charged_cost += cost_of(job, job->charged++);
    double cost = job->charged_cost;
    for (uint64_t i = job->charged; i < count; i++)
        if (lithops__state_is_done(lithops__job_state(job, i)))
            cost += cost_of(job, i);
    return cost;
}

double lithops__charge(lithops_executor *fexec)
{
    double cost = fexec->charged;
    for (struct lithops__job *job = fexec->jobs.first; job && fexec->costs.is_by_call;
         job = job->links.next)
        cost += cost_of_job(job);
    return cost;
}

void lithops__charge_forget(struct lithops__job *job)
{
    lithops_executor *fexec = job->fexec;
    if (fexec->budget && fexec->costs.is_by_call && job->range != UINT32_MAX)
        fexec->charged += cost_of_job(job);
}
