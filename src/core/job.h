/* SPDX-License-Identifier: Apache-2.0 */
/* A job is a range of the table and what only the client needs to know of it. Jobs are counted:
 * each future and each sequence of futures holds a reference, a page that is open, a reducer one of
 * its map, and the executor one of each job in its list; a job holds one of its executor. So
 * futures stay readable after the executor was closed, and shared memory goes when the last of
 * them does.
 *
 *     NAMED --last name dropped, calls not done--> ABANDONED --done--> PAST --many more--> gone
 *       '---------------- done ------------------------------------->'
 *
 * That calls are done, nobody tells: what is abandoned is looked at whenever a job is started, and
 * some times a second by a thread of the backend, as long as there is any. A wait for all calls of
 * an executor refers to abandoned jobs too; those stay as they are until it lets go.
 *
 * What is PAST has given its results, errors and inputs back; its times and output are there for
 * plots, tables and logs. See docs/memory.md. [L]: under the table's lock. */
#ifndef LITHOPS_CORE_JOB_H
#define LITHOPS_CORE_JOB_H

#include "core/executor.h"
#include "core/marks.h"
#include "core/seen.h"
#include "ipc/area.h"

#include <lithops/future.h>

#include <stdatomic.h>

enum lithops__job_stage {
    LITHOPS__JOB_NAMED,     /* somebody can ask for its results */
    LITHOPS__JOB_ABANDONED, /* nobody can, and some calls are not done */
    LITHOPS__JOB_PAST,
};

struct lithops__draft;
struct lithops__scope;

struct lithops__job_links {
    struct lithops__job *next, *previous;
};

struct lithops__job {
    _Atomic uint32_t refs;
    lithops_executor *fexec;
    uint32_t range;
    char kind;             /* 'A', 'M', 'R' */
    uint32_t number;       /* of a page of single calls: of the first */
    bool is_page;          /* single calls, started one by one: `handles` has a future for each */
    atomic_bool is_closed; /* a page that gets no more calls */
    bool gives_list;       /* a map: get_result returns a list even for one call */
    char *function;
    int64_t memory_mb;
    bool feeds_reducer;        /* its results are the reducer's, not the caller's */
    struct lithops__job *maps; /* of a reduce job: whose results it reads; a reference */
    uint64_t *chunk_counts;    /* of a job over objects: chunks per object */
    size_t object_count;

    uint64_t created, partitioned, serialized, submitted; /* ticks */
    uint64_t data_bytes, image_bytes;
    uint64_t *submit_times; /* of a page: ticks per call */
    uint32_t *data_sizes;   /* of a page: bytes of each input, UINT32_MAX: so many or more */
    struct lithops_future *handles;
    struct lithops__marks marks;
    struct lithops__scope *scope; /* where it is counted, under the telemetry's lock; or NULL */
    uint32_t retries_counted;
    uint64_t charged;             /* [L] calls before are in `charged_cost`; see charge.c */
    double charged_cost;          /* [L] USD */
    struct lithops__draft *draft; /* of a detached job that is yet to be submitted; or NULL */

    /* [L] */
    struct lithops__job_links links, stage_links; /* in lists of the executor */
    enum lithops__job_stage stage;
    bool is_listed;          /* the executor has a reference */
    bool is_forgotten;       /* cleaned, or never started: nothing is kept of it */
    bool is_held;            /* its futures were not asked for: another reference of the executor */
    bool saves_output;       /* no longer remembered: its output goes to the log first */
    bool is_dropping;        /* a page: handles were dropped of calls that were not done */
    uint32_t readers;        /* calls of other jobs that have yet to read its results */
    uint64_t *release_later; /* a bit per call: release when there are no readers; or NULL */

    pthread_mutex_t seen_lock;             /* guards what follows */
    struct lithops__host_times seen;       /* of all calls */
    struct lithops__host_times *seen_each; /* when they differ */
    bool is_counted;                       /* to the end: nothing more is */
    lithops_value *kept;                   /* values that get_result gave pointers into */
};

/* With one reference; its range and marks are yet to be made. NULL: out of memory. */
struct lithops__job *lithops__job_new(lithops_executor *fexec, char kind, const char *function);
struct lithops__job *lithops__job_ref(struct lithops__job *job);
void lithops__job_unref(struct lithops__job *job);
/* [L] The same; the job may be gone after lithops__unlock(). */
void lithops__job_unref_locked(struct lithops__job *job);
/* Release the table's lock, and free the jobs that ended under it. */
void lithops__unlock(lithops_executor *fexec);
/* [L] Put the job in the executor's list, which holds a reference. */
void lithops__job_keep(struct lithops__job *job);
/* [L] Take it out for good: nothing is kept after its last reference. */
void lithops__job_forget(struct lithops__job *job);
/* Jobs and single calls that nobody can ask for: what is done gives its results back. Takes the
 * lock. For table.look. */
void lithops__jobs_look(void *fexec);
bool lithops__job_is_finished(const struct lithops__job *job);
/* [L] Free the result of a call, noting the cloudobjects it stored. */
void lithops__job_release(struct lithops__job *job, uint64_t index);
/* [L] One of `readers` has read. */
void lithops__job_was_read(struct lithops__job *job);
/* A future of a page gains a reference, or loses one. */
void lithops__handle_ref(lithops_future *handle);
void lithops__handle_unref(lithops_future *handle);
static inline struct lithops__range *lithops__job_range(const struct lithops__job *job)
{
    return &job->fexec->table.area.ranges[job->range];
}
static inline uint64_t lithops__job_count(const struct lithops__job *job)
{
    return atomic_load_explicit(&lithops__job_range(job)->count, memory_order_acquire);
}
static inline uint16_t lithops__job_state(const struct lithops__job *job, uint64_t index)
{
    return atomic_load_explicit(
        &lithops__range_states(&job->fexec->table.area, lithops__job_range(job))[index],
        memory_order_acquire);
}
static inline struct lithops__record *lithops__job_record(const struct lithops__job *job,
                                                          uint64_t index)
{
    return &lithops__range_records(&job->fexec->table.area, lithops__job_range(job))[index];
}
/* Bytes of a result; -1: there is none, or it was given back. */
static inline int64_t lithops__job_result_size(const struct lithops__job *job, uint64_t index)
{
    const struct lithops__record *record = lithops__job_record(job, index);
    enum lithops__content content = lithops__record_content(record);
    if (lithops__state_of(lithops__job_state(job, index)) != LITHOPS__SUCCESS ||
        content == LITHOPS__CONTENT_GONE)
        return -1;
    if (content <= LITHOPS__CONTENT_INLINE)
        return content == LITHOPS__CONTENT_NULL ? 0 : 8;
    return record->payload == 0
               ? 0
               : (int64_t)lithops__payload_bytes(&job->fexec->table.area, record->payload).len;
}
/* The handle of a call; a reference. NULL: out of memory. */
lithops_future *lithops__future_of(struct lithops__job *job, uint64_t index);
uint32_t lithops__job_number(const struct lithops__job *job, uint64_t index);

#endif
