/* SPDX-License-Identifier: Apache-2.0 */
/* Executors, jobs and futures, as the files of this folder share them.
 *
 * A job is a range of the table and what only the client needs to know of it. Jobs are counted:
 * the executor holds one reference until it is cleaned or closed, each future and each sequence of
 * futures one; a job holds one of its executor. So futures stay readable after the executor was
 * closed, and shared memory goes when the last of them does.
 *
 * Locks: `table.lock` guards the table and everything marked [L]. Callbacks run without it. */
#ifndef LITHOPS_CORE_H
#define LITHOPS_CORE_H

#include "base/clock.h"
#include "compute/compute.h"
#include "config/config.h"
#include "ipc/table.h"

#include <lithops/executor.h>
#include <lithops/storage.h>

struct lithops__job;

struct lithops_future {
    _Atomic uint32_t refs;
    bool embedded; /* in its job's `handles`; else allocated */
    struct lithops__job *job;
    uint64_t index;
    _Atomic(lithops_value *) value; /* the result, once somebody asked for it as a value */
};

/* When the client learnt of things; ticks, 0: not yet. */
struct lithops__host_times {
    uint64_t status_done, result_done;
};

struct lithops__job {
    _Atomic uint32_t refs;
    lithops_executor *fexec;
    uint32_t range;
    char kind;             /* 'A', 'M', 'R' */
    uint32_t number;       /* of a page of single calls: of the first */
    bool is_page;          /* single calls, started one by one: `handles` has a future for each */
    atomic_bool is_closed; /* a page that gets no more calls */
    bool gives_list;       /* get_result gives a list even if there is one call: a map */
    char *function;
    int64_t memory_mb;
    bool feeds_reducer;        /* its results are the reducer's, not the caller's */
    struct lithops__job *maps; /* of a reduce job: whose results it reads; a reference */
    uint64_t *chunk_counts;    /* of a job over objects: chunks per object */
    size_t object_count;

    uint64_t created, partitioned, serialized, submitted; /* ticks */
    uint64_t data_bytes, image_bytes;
    uint64_t *submit_times; /* of a page: ticks per call */

    struct lithops_future *handles;
    pthread_mutex_t seen_lock;
    struct lithops__host_times seen;       /* of all calls */
    struct lithops__host_times *seen_each; /* when they differ */
    uint64_t read_upto;                    /* calls below were read by get_result */
    lithops_value *kept;                   /* values that get_result gave pointers into */
};

enum { LITHOPS__OPEN_PAGES = 8 };

struct lithops__page_ref {
    const lithops_function *function;
    uint32_t function_index;
    struct lithops__job *job; /* NULL: none is open */
    uint32_t next_capacity;
};

struct lithops__callback {
    lithops_future *future;
    void (*done)(lithops_future *future, void *user);
    void *user;
};

struct lithops_executor {
    _Atomic uint32_t refs;
    struct lithops_executor *next; /* see fork.c */
    char id[32];
    struct lithops__config *config;
    const struct lithops__compute_driver *driver;
    void *compute;
    struct lithops__table table;
    struct lithops__tick_clock clock;
    atomic_bool closed;                   /* set under [L] */
    bool limits_prepared;                 /* [L] */
    uint64_t timeout_ticks, memory_bytes; /* defaults of the configuration */
    int64_t chunksize;
    uint32_t retries;
    uint64_t data_limit_bytes;  /* of the inputs of a job; 0: none */
    uint32_t next_number;       /* [L] */
    struct lithops__job **jobs; /* [L] in the order in which they were started */
    size_t job_count, job_capacity;
    struct lithops__page_ref pages[LITHOPS__OPEN_PAGES]; /* [L] */
    unsigned next_page;
    lithops_storage *storage; /* [L] opened on first use */
    bool clean_on_exit;       /* [L] with what follows as options */
    bool keep_cloudobjects;
    lithops_value *cloudobjects; /* more to delete then; a list, or NULL */

    pthread_t callback_thread; /* started with the first callback */
    bool has_callback_thread;  /* [L] */
    bool callbacks_end;        /* [L] every call is done: no callback is to come any more */
    struct lithops__callback *callbacks; /* [L] */
    size_t callback_count, callback_capacity;
};

/* A sequence of calls: pieces of jobs. */
struct lithops__segment {
    struct lithops__job *job; /* a reference */
    uint64_t begin, end;      /* calls of the job */
    uint64_t first;           /* index of the first one in the sequence */
};
struct lithops_futures {
    _Atomic uint32_t refs;
    size_t count;                     /* segments */
    uint64_t size;                    /* calls */
    size_t reduce_segment;            /* results are those of segments from here on; 0: all */
    pthread_mutex_t lock;             /* what follows: as_completed */
    uint64_t *given;                  /* a bit per call: was found */
    struct lithops__completed *ready; /* found, not given yet, in the order of their ends */
    uint64_t ready_next, ready_count;
    uint64_t given_count, given_start; /* all before given_start were given */
    struct lithops__segment segments[];
};

/* fork.c: the executor belongs to this process. */
void lithops__fork_mark(void);
/* Its memory is to be private in children, from now on or no more. */
void lithops__fork_watch(lithops_executor *fexec);
void lithops__fork_forget(const lithops_executor *fexec);
bool lithops__is_forked(const lithops_executor *fexec);
int lithops__executor_check(const lithops_executor *fexec, lithops_error *err);

/* executor.c */
lithops_executor *lithops__executor_ref(lithops_executor *fexec);
void lithops__executor_unref(lithops_executor *fexec);
lithops_storage *lithops__executor_storage(lithops_executor *fexec, lithops_error *err);

/* job.c */
struct lithops__job *lithops__job_ref(struct lithops__job *job);
void lithops__job_unref(struct lithops__job *job);
/* [L] The executor keeps the job (takes the reference). */
int lithops__job_keep(lithops_executor *fexec, struct lithops__job *job, lithops_error *err);
void lithops__page_close(struct lithops__page_ref *page);
void lithops__pages_retire(lithops_executor *fexec);
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
uint32_t lithops__job_number(const struct lithops__job *job, uint64_t index);
/* What the client learnt, and when. */
void lithops__job_saw(struct lithops__job *job, uint64_t begin, uint64_t end, bool result);
struct lithops__host_times lithops__job_seen(struct lithops__job *job, uint64_t index);

/* start.c: what call_async, map and map_reduce share */
struct lithops__job_plan {
    char kind;
    const lithops_function *function;
    lithops_value *inputs;           /* a list; consumed */
    const lithops_value *extra_args; /* may be NULL */
    const lithops_value *extra_env;
    int64_t runtime_memory_mb, timeout_ms, chunksize;
    const char *const *include_modules, *const *exclude_modules;
    const struct lithops__job *maps; /* of a reduce job: whose number it takes */
    uint64_t created, partitioned;   /* ticks */
    uint64_t count;                  /* of a job without `inputs`: slots are filled later */
    unsigned first_state;
};
/* Check options, encode inputs, make the range and the job; it is not offered yet. [L] is taken
 * inside. */
int lithops__job_start(lithops_executor *fexec, struct lithops__job_plan *plan,
                       struct lithops__job **ret_job, lithops_error *err);
/* [L] Encode a value into a slot. */
int lithops__slot_fill(struct lithops__table *table, struct lithops__slot *slot,
                       const lithops_value *value, lithops_error *err);
/* Offer all calls of a job and ring the bell. */
int lithops__job_submit(struct lithops__job *job, lithops_error *err);
/* [L] Take back what was started and not offered. */
void lithops__job_abandon(struct lithops__job *job);

/* futures.c */
lithops_futures *lithops__futures_alloc(size_t segments);
void lithops__futures_add(lithops_futures *futures, struct lithops__job *job, uint64_t begin,
                          uint64_t end);
lithops_futures *lithops__futures_of_job(struct lithops__job *job);
/* All calls that an executor has started and not cleaned; `unread`: whose results were not read.*/
lithops_futures *lithops__futures_of_executor(lithops_executor *fexec, bool unread);
/* The segment and call of an index. */
const struct lithops__segment *lithops__futures_find(const lithops_futures *futures, uint64_t index,
                                                     uint64_t *ret_call);
lithops_future *lithops__future_of(struct lithops__job *job, uint64_t index);

/* outcome.c: reading results and errors */
void lithops__call_key(const struct lithops__job *job, uint64_t index, char *buf, size_t size);
int lithops__outcome_error(const struct lithops__job *job, uint64_t index,
                           lithops_error *ret_error);
/* What the runtime said of a failed call; borrowed. */
lithops_bytes lithops__outcome_data(const struct lithops__job *job, uint64_t index);
lithops_value *lithops__outcome_value(const struct lithops__job *job, uint64_t index,
                                      lithops_error *err);

/* wait.c */
struct lithops__wait {
    lithops_futures *futures;
    uint64_t target; /* calls that must be done */
    bool throw_except;
    uint64_t deadline_ns;
    bool progress;
    bool (*interrupted)(void *user); /* as in lithops_wait_options */
    void *user;
};
int lithops__wait(const struct lithops__wait *wait, lithops_error *err);
/* 0, LITHOPS_ETIMEDOUT. */
int lithops__wait_for_call(struct lithops__job *job, uint64_t index, uint64_t deadline_ns);
/* Somebody is interested in calls that are not done: see that no worker sleeps while calls wait.
 * @return when who waits should do it again, by lithops__now_ns(); UINT64_MAX: never */
uint64_t lithops__wake_more_workers(struct lithops__table *table);
uint64_t lithops__deadline_ns(int64_t timeout_ms);
/* What lithops_wait() and lithops_get_result() share: check options, wait. `*ret_futures` is the
 * caller's, also on failure; NULL when nothing was waited for. */
int lithops__wait_checked(lithops_executor *fexec, lithops_futures *fs,
                          const lithops_wait_options *options, bool unread,
                          lithops_futures **ret_futures, lithops_error *err);

/* clean.c */
void lithops__clean_at_close(lithops_executor *fexec);

/* callback.c */
void lithops__callbacks_stop(lithops_executor *fexec);

/* cancel.c */
bool lithops__cancel_call(struct lithops__job *job, uint64_t index);
uint64_t lithops__cancel_job(struct lithops__job *job, uint64_t begin, uint64_t end);

#endif
