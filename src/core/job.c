/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs: their life, and what the client has seen of them. */
#include "base/error.h"
#include "core/core.h"

#include <stdlib.h>

struct lithops__job *lithops__job_ref(struct lithops__job *job)
{
    atomic_fetch_add_explicit(&job->refs, 1, memory_order_relaxed);
    return job;
}

static void free_job(struct lithops__job *job)
{
    lithops_executor *fexec = job->fexec;
    for (uint64_t i = 0; job->handles && job->range != UINT32_MAX && i < lithops__job_count(job);
         i++)
        lithops_value_free(atomic_load(&job->handles[i].value));
    pthread_mutex_lock(&fexec->table.lock);
    if (job->range != UINT32_MAX)
        lithops__table_free_range(&fexec->table, job->range);
    pthread_mutex_unlock(&fexec->table.lock);
    struct lithops__job *maps = job->maps;
    pthread_mutex_destroy(&job->seen_lock);
    free(job->function);
    free(job->chunk_counts);
    free(job->submit_times);
    free(job->handles);
    free(job->seen_each);
    lithops_value_free(job->kept);
    free(job);
    if (maps)
        lithops__job_unref(maps);
    lithops__executor_unref(fexec);
}

void lithops__job_unref(struct lithops__job *job)
{
    if (!job || atomic_fetch_sub_explicit(&job->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (lithops__is_forked(job->fexec))
        return; /* a child's copy: the shared memory is the parent's */
    free_job(job);
}

int lithops__job_keep(lithops_executor *fexec, struct lithops__job *job, lithops_error *err)
{
    if (fexec->job_count == fexec->job_capacity) {
        size_t capacity = fexec->job_capacity ? fexec->job_capacity * 2 : 16;
        struct lithops__job **jobs = realloc(fexec->jobs, capacity * sizeof(struct lithops__job *));
        if (!jobs)
            return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
        fexec->jobs = jobs;
        fexec->job_capacity = capacity;
    }
    fexec->jobs[fexec->job_count++] = job;
    return 0;
}

void lithops__page_close(struct lithops__page_ref *page)
{
    if (page->job) {
        lithops__table_close_open(&page->job->fexec->table, page->job->range);
        atomic_store(&page->job->is_closed, true);
    }
    page->job = NULL; /* the executor's list of jobs has the reference */
}

uint32_t lithops__job_number(const struct lithops__job *job, uint64_t index)
{
    const struct lithops__range *range = lithops__job_range(job);
    if (!range->numbers)
        return job->number;
    const uint32_t *numbers = lithops__at(&job->fexec->table.area, range->numbers);
    return numbers[index];
}

/* ---- what the client has seen ---------------------------------------------------------------- */

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

/* One pair of times serves all calls of a job that was waited for as a whole; only when calls are
 * looked at one by one each gets its own. */
void lithops__job_saw(struct lithops__job *job, uint64_t begin, uint64_t end, bool result)
{
    uint64_t now = lithops__ticks();
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
    if (result && begin <= job->read_upto && end > job->read_upto)
        job->read_upto = end;
    pthread_mutex_unlock(&job->seen_lock);
}

struct lithops__host_times lithops__job_seen(struct lithops__job *job, uint64_t index)
{
    pthread_mutex_lock(&job->seen_lock);
    struct lithops__host_times seen = job->seen_each ? job->seen_each[index] : job->seen;
    pthread_mutex_unlock(&job->seen_lock);
    return seen;
}
