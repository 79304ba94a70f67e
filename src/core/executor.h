/* SPDX-License-Identifier: Apache-2.0 */
/* An executor, as the files of this folder share it.
 *
 * Locks: `table.lock` guards the table and everything marked [L], here and in other headers.
 * Callbacks run without it. */
#ifndef LITHOPS_CORE_EXECUTOR_H
#define LITHOPS_CORE_EXECUTOR_H

#include "base/clock.h"
#include "compute/compute.h"
#include "config/config.h"
#include "core/costs.h"
#include "ipc/table.h"

#include <lithops/executor.h>
#include <lithops/storage.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

struct lithops__job;
struct lithops__detachment;
struct lithops__telemetry;
struct lithops__budget;

struct lithops__job_list {
    struct lithops__job *first, *last;
};

enum { LITHOPS__OPEN_PAGES = 8, LITHOPS__FIRST_PAGE = 16 }; /* calls of a page */

struct lithops__page_ref {
    const lithops_function *function;
    uint32_t function_index;
    struct lithops__job *job; /* NULL: none is open */
    uint32_t next_capacity;
};

struct lithops_executor {
    _Atomic uint32_t refs;
    struct lithops_executor *next; /* see fork.c */
    char id[32];
    struct lithops__config *config;
    const struct lithops__compute_driver *driver;
    void *compute;
    struct lithops__detachment *detachment; /* its jobs run without it; NULL: they do not */
    struct lithops__telemetry *telemetry;   /* or NULL */
    char *runtime;                          /* as it calls that */
    struct lithops__tick_clock clock;
    uint64_t timeout_ticks, memory_bytes; /* defaults of the configuration */
    int64_t chunksize;
    uint32_t retries;
    uint64_t data_limit_bytes; /* of the inputs of a job; 0: none */
    uint64_t most_ms, most_mb; /* of a call, by what its backend allows; 0: no limit */
    struct lithops__costs costs;
    double charged;                 /* [L] what the calls of forgotten jobs have cost */
    struct lithops__budget *budget; /* NULL: they may cost anything */
    void (*save_output)(lithops_executor *fexec, struct lithops__job *job);
    atomic_bool closed; /* set under [L] */

    pthread_mutex_t limits_lock; /* guards `compute` while it prepares; taken alone */
    atomic_bool limits_prepared; /* or never to be: it closes */

    struct lithops__table table; /* its lock guards what follows: [L] */
    uint32_t next_number;
    struct lithops__job_list jobs;            /* in the order in which they were started */
    struct lithops__job_list abandoned, past; /* those of a stage */
    struct lithops__job_list dropping;        /* pages with `is_dropping` */
    uint64_t look_delay_ns;                   /* until the next lithops__jobs_look() */
    uint64_t past_calls;
    struct lithops__job *doomed; /* without a reference: for lithops__unlock() */
    lithops_value *stored;       /* cloudobjects of results that were given back, or NULL */
    struct lithops__page_ref pages[LITHOPS__OPEN_PAGES];
    unsigned next_page;
    lithops_storage *storage; /* opened on first use */
    bool clean_on_exit;       /* with what follows as options */
    bool keep_cloudobjects;
    lithops_value *cloudobjects; /* more to delete then; a list, or NULL */
    pthread_t callback_thread;   /* started with the first callback */
    bool has_callback_thread;
    bool callbacks_end; /* every call is done: no callback is to come any more */
    struct lithops__callback *callbacks;
    size_t callbacks_start, callback_count, callback_capacity;

    pthread_mutex_t log_lock; /* guards kept output, see logfile.c: */
    FILE *log_file;           /* NULL: nothing was written yet */
    bool log_failed, log_full;
    uint64_t log_bytes; /* at most */
};

#endif
