/* SPDX-License-Identifier: Apache-2.0 */
/* The compute backend of a client whose jobs run under a supervisor, whatever that runs them on.
 *
 * To core the calls run on a link: each is RUNNING in slot 0 from its start. A thread reads the
 * journals of the jobs and publishes what it finds there. So everything above, futures, waits,
 * callbacks, statistics, plots, is the same as with calls of one's own. Closing it leaves the jobs
 * alone. */
#ifndef LITHOPS_DETACHED_FOLLOW_H
#define LITHOPS_DETACHED_FOLLOW_H

#include "compute/compute.h"
#include "detached/home.h"
#include "detached/journal.h"

struct lithops__handle_job;

/* Of lithops__compute_driver; `capacity` is not among them. */
extern const struct lithops__compute_ops lithops__follow_ops;
size_t lithops__follow_size(void);

/* The folder of the jobs; NULL: there is none yet. */
struct lithops__home *lithops__follow_home(void *state);
/* Where it is from now on; takes it over, also on failure. Once, before the first job. */
int lithops__follow_start(void *state, struct lithops__home *home, lithops_error *err);
/* [L] Follow the job that is `range` here; takes the journal over, also on failure. */
int lithops__follow_job(void *state, uint32_t range, struct lithops__journal *journal,
                        lithops_error *err);
/* Tell the supervisor that there is something to do. False: there is none that hears. */
bool lithops__follow_tell(const void *state);
/* [L] What a handle says of a job that is followed, but for its part. False: it is not. */
bool lithops__follow_name(void *state, uint32_t range, struct lithops__handle_job *ret);

#endif
