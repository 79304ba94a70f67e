/* SPDX-License-Identifier: Apache-2.0 */
/* When the client learnt of a job's outcomes. */
#include "core/seen.h"

#include "base/clock.h"
#include "core/counted.h"
#include "core/job.h"
#include "core/marks.h"

#include <lithops/plugin/runtime.h>

#include <stdlib.h>

static bool make_seen_each(struct lithops__job *job)
{
    if (job->seen_each)
        return true;
    uint64_t capacity = lithops__job_range(job)->capacity;
    job->seen_each = calloc(capacity, sizeof *job->seen_each);
    for (uint64_t i = 0; job->seen_each && i < capacity; i++)
        job->seen_each[i] = job->seen;
    return job->seen_each != NULL;
}

/* Of calls [begin, end), which share these times. */
static void note(struct lithops__job *job, uint64_t begin, uint64_t end,
                 struct lithops__host_times *seen, bool result, uint64_t now)
{
    bool is_counted = job->is_counted || !job->fexec->telemetry;
    if (!seen->status_done) {
        seen->status_done = now;
        if (!is_counted)
            lithops__count_ends(job, begin, end, now);
    }
    if (result && !seen->result_done) {
        seen->result_done = now;
        for (uint64_t i = begin; !is_counted && i < end; i++)
            lithops__count_result(job, i, seen->status_done, now);
    }
}

/* One pair of times serves all calls of a job that was waited for as a whole; calls that are looked
 * at one by one get their own. */
void lithops__job_saw(struct lithops__job *job, uint64_t begin, uint64_t end, bool result)
{
    uint64_t now = lithops__ticks();
    if (result)
        lithops__marks_change(&job->marks, begin, end, LITHOPS_MARK_READ, true);
    pthread_mutex_lock(&job->seen_lock);
    bool whole = begin == 0 && end == lithops__job_count(job) && !job->is_page;
    if (whole && !job->seen_each) {
        note(job, begin, end, &job->seen, result, now);
    } else if (make_seen_each(job)) {
        for (uint64_t i = begin; i < end; i++)
            note(job, i, i + 1, &job->seen_each[i], result, now);
    }
    pthread_mutex_unlock(&job->seen_lock);
}

void lithops__job_count_unseen(struct lithops__job *job)
{
    if (!job->fexec->telemetry || job->range == UINT32_MAX)
        return;
    uint64_t now = lithops__ticks(), count = lithops__job_count(job);
    pthread_mutex_lock(&job->seen_lock);
    for (uint64_t i = 0; i < count && !job->is_counted; i++)
        if (!(job->seen_each ? &job->seen_each[i] : &job->seen)->status_done)
            lithops__count_ends(job, i, i + 1, now);
    job->is_counted = true;
    pthread_mutex_unlock(&job->seen_lock);
}

struct lithops__host_times lithops__job_seen(struct lithops__job *job, uint64_t index)
{
    pthread_mutex_lock(&job->seen_lock);
    struct lithops__host_times seen = job->seen_each ? job->seen_each[index] : job->seen;
    pthread_mutex_unlock(&job->seen_lock);
    return seen;
}
