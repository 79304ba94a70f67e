/* SPDX-License-Identifier: Apache-2.0 */
#include "core/counted.h"

#include "core/executor.h"
#include "core/fork.h"
#include "core/job.h"
#include "ipc/area.h"
#include "ipc/layout.h"
#include "ipc/table.h"
#include "telemetry/telemetry.h"

static double seconds(const struct lithops__job *job, uint64_t from, uint64_t to)
{
    double per_s = (double)job->fexec->table.area.control->ticks_per_ms * 1000;
    return to > from ? (double)(to - from) / per_s : 0; /* clocks of two machines differ a little */
}

/* The telemetry, locked, when job->scope can be counted in; else NULL. */
static struct lithops__telemetry *begin_count(struct lithops__job *job)
{
    lithops_executor *fexec = job->fexec;
    struct lithops__telemetry *telemetry = fexec->telemetry;
    if (!telemetry || lithops__is_forked(fexec))
        return NULL;
    lithops__telemetry_lock(telemetry);
    if (!job->scope)
        job->scope = lithops__telemetry_scope(telemetry, fexec->driver->name, fexec->runtime,
                                              job->memory_mb, job->function);
    if (job->scope)
        return telemetry;
    lithops__telemetry_unlock(telemetry);
    return NULL;
}

void lithops__count_job(struct lithops__job *job)
{
    struct lithops__telemetry *telemetry = begin_count(job);
    if (!telemetry)
        return;
    struct lithops__scope *scope = job->scope;
    double count = (double)lithops__job_count(job);
    uint64_t encoded_from = job->partitioned ? job->partitioned : job->created;
    lithops__scope_add(scope, LITHOPS__JOBS_SUBMITTED, 0, 1);
    lithops__scope_add(scope, LITHOPS__CALLS_INVOKED, 0, count);
    lithops__scope_add(scope, LITHOPS__JOB_CALLS, 0, count);
    lithops__scope_add(scope, LITHOPS__JOB_CREATE, 0, seconds(job, job->created, job->serialized));
    lithops__scope_add(scope, LITHOPS__JOB_SERIALIZE, 0,
                       seconds(job, encoded_from, job->serialized));
    if (job->partitioned)
        lithops__scope_add(scope, LITHOPS__JOB_PARTITION, 0,
                           seconds(job, job->created, job->partitioned));
    lithops__scope_add(scope, LITHOPS__JOB_PAYLOAD, LITHOPS__OF_FUNCTION, (double)job->image_bytes);
    lithops__scope_add(scope, LITHOPS__JOB_PAYLOAD, LITHOPS__OF_DATA, (double)job->data_bytes);
    lithops__telemetry_unlock(telemetry);
}

void lithops__count_single(struct lithops__job *job, uint64_t index)
{
    struct lithops__telemetry *telemetry = begin_count(job);
    if (!telemetry)
        return;
    struct lithops__scope *scope = job->scope;
    lithops__scope_add(scope, LITHOPS__JOBS_SUBMITTED, 0, 1);
    lithops__scope_add(scope, LITHOPS__CALLS_INVOKED, 0, 1);
    lithops__scope_add(scope, LITHOPS__JOB_CALLS, 0, 1);
    lithops__scope_add(scope, LITHOPS__JOB_PAYLOAD, LITHOPS__OF_FUNCTION, (double)job->image_bytes);
    lithops__scope_add(scope, LITHOPS__JOB_PAYLOAD, LITHOPS__OF_DATA,
                       (double)job->data_sizes[index]);
    lithops__telemetry_unlock(telemetry);
}

static enum lithops__outcome_label outcome_of(const struct lithops__job *job, uint64_t index)
{
    const struct lithops__record *record = lithops__job_record(job, index);
    switch (lithops__state_of(lithops__job_state(job, index))) {
    case LITHOPS__SUCCESS:
        return LITHOPS__OF_SUCCESS;
    case LITHOPS__CANCELED:
        return LITHOPS__OF_CANCELED;
    default:
        break;
    }
    if (lithops__record_content(record) == LITHOPS__CONTENT_GONE || record->payload == 0)
        return LITHOPS__OF_FAILURE;
    const struct lithops__call_error *error = lithops__at(&job->fexec->table.area, record->payload);
    return error->code == LITHOPS_ETIMEOUT ? LITHOPS__OF_TIMEOUT : LITHOPS__OF_FAILURE;
}

static void count_memory(struct lithops__scope *scope, unsigned kind, int ratio, uint64_t kb)
{
    if (kb == 0) /* not measured */
        return;
    lithops__scope_add(scope, LITHOPS__WORKER_MEMORY, kind, (double)kb * 1024);
    if (ratio >= 0 && scope->memory_mb > 0)
        lithops__scope_add(scope, LITHOPS__WORKER_MEMORY_RATIO, (unsigned)ratio,
                           (double)kb / 1024 / (double)scope->memory_mb);
}

/* Of calls that ran long enough to be asked about. */
static void count_resources(struct lithops__scope *scope, const struct lithops__call_extra *extra,
                            double wall)
{
    double user = (double)extra->user_us / 1e6, system = (double)extra->system_us / 1e6;
    lithops__scope_add(scope, LITHOPS__WORKER_CPU_SECONDS, LITHOPS__OF_USER, user);
    lithops__scope_add(scope, LITHOPS__WORKER_CPU_SECONDS, LITHOPS__OF_SYSTEM, system);
    if (wall > 0)
        lithops__scope_add(scope, LITHOPS__WORKER_CPU_UTILIZATION, 0, 100 * (user + system) / wall);
    lithops__scope_add(scope, LITHOPS__WORKER_NETWORK_BYTES, LITHOPS__OF_SENT,
                       (double)extra->net_sent);
    lithops__scope_add(scope, LITHOPS__WORKER_NETWORK_BYTES, LITHOPS__OF_RECEIVED,
                       (double)extra->net_received);
    count_memory(scope, LITHOPS__OF_RSS, LITHOPS__RATIO_RSS, extra->rss_kb);
    count_memory(scope, LITHOPS__OF_VMS, -1, extra->vms_kb);
    count_memory(scope, LITHOPS__OF_USS, -1, extra->uss_kb);
    count_memory(scope, LITHOPS__OF_PEAK, LITHOPS__RATIO_PEAK, extra->peak_end_kb);
    count_memory(scope, LITHOPS__OF_BASELINE, -1, extra->peak_start_kb);
}

static uint64_t submitted(const struct lithops__job *job, uint64_t index)
{
    return job->is_page ? job->submit_times[index] : job->submitted;
}

static void count_end(struct lithops__job *job, uint64_t index, uint64_t now)
{
    struct lithops__scope *scope = job->scope;
    const struct lithops__area *area = &job->fexec->table.area;
    uint16_t state = lithops__job_state(job, index);
    lithops__scope_add(scope, LITHOPS__CALLS_COMPLETED, outcome_of(job, index), 1);
    if (state == LITHOPS__NEVER_RAN)
        return;
    const struct lithops__record *record = lithops__job_record(job, index);
    uint64_t start = lithops__record_start(record), end = record->end;
    if (start == 0 && end == 0)
        return; /* was never started */
    lithops__scope_add(scope, LITHOPS__CALLS_STARTED, 0, 1);
    if (record->start_and_content & LITHOPS__CONTENT_COLD)
        lithops__scope_add(scope, LITHOPS__COLD_STARTS, 0, 1);
    double wall = seconds(job, start, end);
    start += area->control->epoch_ticks;
    end += area->control->epoch_ticks;
    lithops__scope_add(scope, LITHOPS__CALL_DURATION, 0, wall);
    lithops__scope_add(scope, LITHOPS__CALL_TOTAL_DURATION, 0, wall);
    lithops__scope_add(scope, LITHOPS__CALL_QUEUE_DELAY, 0,
                       seconds(job, submitted(job, index), start));
    lithops__scope_add(scope, LITHOPS__CALL_STATUS_LATENCY, 0, seconds(job, end, now));
    int64_t size = lithops__job_result_size(job, index);
    if (size >= 0)
        lithops__scope_add(scope, LITHOPS__CALL_RESULT_SIZE, 0, (double)size);
    const struct lithops__call_extra *extra =
        lithops__table_extra(area, lithops__job_range(job), index);
    if (extra)
        count_resources(scope, extra, wall);
}

void lithops__count_ends(struct lithops__job *job, uint64_t begin, uint64_t end, uint64_t now)
{
    struct lithops__telemetry *telemetry = begin_count(job);
    if (!telemetry)
        return;
    for (uint64_t i = begin; i < end; i++)
        if (lithops__state_is_done(lithops__job_state(job, i)))
            count_end(job, i, now);
    uint32_t retried =
        atomic_load_explicit(&lithops__job_range(job)->retried, memory_order_relaxed);
    if (retried != job->retries_counted)
        lithops__scope_add(job->scope, LITHOPS__CALL_RETRIES, 0,
                           (double)(retried - job->retries_counted));
    job->retries_counted = retried;
    lithops__telemetry_unlock(telemetry);
}

void lithops__count_result(struct lithops__job *job, uint64_t index, uint64_t known, uint64_t now)
{
    if (lithops__state_of(lithops__job_state(job, index)) != LITHOPS__SUCCESS)
        return;
    struct lithops__telemetry *telemetry = begin_count(job);
    if (!telemetry)
        return;
    lithops__scope_add(job->scope, LITHOPS__CALL_RESULT_DOWNLOAD, 0, seconds(job, known, now));
    lithops__scope_add(job->scope, LITHOPS__CALL_END_TO_END, 0,
                       seconds(job, submitted(job, index), now));
    lithops__telemetry_unlock(telemetry);
}
