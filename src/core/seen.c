/* SPDX-License-Identifier: Apache-2.0 */
/* When the client learnt of a job's outcomes. */
#include "core/seen.h"

#include "base/clock.h"
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
        if (!job->seen.status_done)
            job->seen.status_done = now;
        if (result && !job->seen.result_done)
            job->seen.result_done = now;
    } else if (make_seen_each(job)) {
        for (uint64_t i = begin; i < end; i++) {
            struct lithops__host_times *seen = &job->seen_each[i];
            if (!seen->status_done)
                seen->status_done = now;
            if (result && !seen->result_done)
                seen->result_done = now;
        }
    }
    pthread_mutex_unlock(&job->seen_lock);
}

struct lithops__host_times lithops__job_seen(struct lithops__job *job, uint64_t index)
{
    pthread_mutex_lock(&job->seen_lock);
    struct lithops__host_times seen = job->seen_each ? job->seen_each[index] : job->seen;
    pthread_mutex_unlock(&job->seen_lock);
    return seen;
}
