/* SPDX-License-Identifier: Apache-2.0 */
/* One job of a supervisor: between its journal and its range. One thread at a time, the main one
 * until it is started and the reporter from then on. */
#ifndef LITHOPS_CORE_SUPERVISED_H
#define LITHOPS_CORE_SUPERVISED_H

#include "base/buffer.h"
#include "base/clock.h"
#include "detached/home.h"
#include "detached/journal.h"

#include <lithops/executor.h>

struct lithops__job;

struct lithops__supervised {
    struct lithops__supervised *next;
    struct lithops__journal journal;
    struct lithops__job *job; /* a reference; NULL: not started */
    lithops_value *plan;      /* until it is started, with */
    struct lithops__buffer inputs;
    bool was_supervised;         /* by a process that is gone */
    bool is_stopped;             /* its calls were cancelled */
    uint64_t count, left, first; /* calls; without outcome; before this one all have one */
    uint64_t *written;           /* a bit per call */
    /* What is to be written next. */
    struct lithops__buffer out, indices;
    uint64_t success, failed, canceled;
};

/* Open the journal of that name. */
int lithops__supervised_open(const struct lithops__home *home, const char *name,
                             struct lithops__supervised **ret, lithops_error *err);
void lithops__supervised_free(struct lithops__supervised *job);
/* Read all of it; what is damaged at its end goes. */
int lithops__supervised_read(struct lithops__supervised *job, lithops_error *err);
/* Make its range, and that of its reducers (NULL: none), with the outcomes that there are. */
int lithops__supervised_start(lithops_executor *fexec, struct lithops__supervised *job,
                              struct lithops__supervised *reduce, lithops_error *err);
/* Note in its journal that its calls may have begun; on failure it is not started any more.
 * ENOSPACE, EIO: it may be opened and started again. */
int lithops__supervised_claim(struct lithops__supervised *job, struct lithops__supervised *reduce,
                              lithops_error *err);
/* Let the calls run. */
int lithops__supervised_offer(struct lithops__supervised *job, struct lithops__supervised *reduce,
                              lithops_error *err);
/* Write the same outcome for all calls that have none. ENOMEM, ENOSPACE, EIO: not all are written;
 * it may be called again. */
int lithops__supervised_refuse(struct lithops__supervised *job, const lithops_error *why,
                               lithops_error *err);
/* Put outcomes of calls that are done into `out`. True: there are more; where it is empty all the
 * same, there is no memory for the next one. */
bool lithops__supervised_collect(struct lithops__supervised *job,
                                 const struct lithops__tick_clock *clock);
/* Write what was collected, and release the results. On failure all of it is kept. */
int lithops__supervised_write(struct lithops__supervised *job, lithops_error *err);
/* All its calls have an outcome. */
void lithops__supervised_end(struct lithops__supervised *job);

#endif
