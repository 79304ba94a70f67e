/* SPDX-License-Identifier: Apache-2.0 */
/* A sequence of calls: pieces of jobs. */
#ifndef LITHOPS_CORE_FUTURES_H
#define LITHOPS_CORE_FUTURES_H

#include <lithops/executor.h>
#include <lithops/future.h>

#include <pthread.h>
#include <stdatomic.h>

struct lithops__job;

struct lithops__segment {
    struct lithops__job *job; /* a reference */
    uint64_t begin, end;      /* calls of the job */
    uint64_t first;           /* index of the first one in the sequence */
};

struct lithops_futures {
    _Atomic uint32_t refs;
    size_t count;          /* segments */
    uint64_t size;         /* calls */
    size_t reduce_segment; /* results are those of segments from here on; 0: all */

    pthread_mutex_t lock;             /* guards what follows: as_completed */
    uint64_t *given;                  /* a bit per call: was found */
    struct lithops__completed *ready; /* found, not given yet, in the order of their ends */
    uint64_t ready_next, ready_count;
    uint64_t given_count, given_start; /* all before given_start were given */

    struct lithops__segment segments[]; /* constant */
};

lithops_futures *lithops__futures_alloc(size_t segments);
void lithops__futures_add(lithops_futures *futures, struct lithops__job *job, uint64_t begin,
                          uint64_t end);
lithops_futures *lithops__futures_of_job(struct lithops__job *job);
/* Calls that an executor has started and not cleaned: all of them; those not past; those whose
 * results can still be asked for and were not read. */
enum lithops__which { LITHOPS__ALL_CALLS, LITHOPS__LIVE_CALLS, LITHOPS__UNREAD_CALLS };
lithops_futures *lithops__futures_of_executor(lithops_executor *fexec, enum lithops__which which);
/* The segment and call of an index. */
const struct lithops__segment *lithops__futures_find(const lithops_futures *futures, uint64_t index,
                                                     uint64_t *ret_call);

#endif
