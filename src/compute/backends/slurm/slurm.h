/* SPDX-License-Identifier: Apache-2.0 */
/* The backend slurm: workers in allocations.
 *
 * A worker is one allocation of one node, and the `srun` that requested it: its standard input and
 * output are the link. So nodes reach the client over Slurm's own connections, no port is opened,
 * the client learns at once of a granted allocation, and whatever ends the step ends the link. A
 * guard around srun releases the allocation however the client ends (src/cli/guard.c). This calls
 * Slurm's programs, as a user would, and not its library.
 *
 *     options.c   the section of the configuration, as arguments of srun
 *     programs.c  Slurm's programs as children
 *     queue.c     what squeue says of our allocations, for all at once
 *     explain.c   Slurm's messages, as errors that say what to do
 *     ask.c       a command on the nodes where workers run
 *     slurm.c     the driver */
#ifndef LITHOPS_SLURM_H
#define LITHOPS_SLURM_H

#include "compute/child.h"
#include "compute/compute.h"

#include <lithops/value.h>

#include <pthread.h>

/* ---- options.c ------------------------------------------------------------------------------- */

enum { LITHOPS__SLURM_NAME = 32 };

struct lithops__slurm_options {
    char **arguments; /* of srun; ends with NULL */
    uint32_t max_workers, min_workers, worker_processes, idle_timeout_ms;
    const char *python;             /* borrowed of the settings */
    char name[LITHOPS__SLURM_NAME]; /* prefix of our jobs' names */
};
/* `settings` is the section, and lives as long as the options. ECONFIG */
int lithops__slurm_read_options(const lithops_value *settings,
                                struct lithops__slurm_options *ret_options, lithops_error *err);
void lithops__slurm_options_deinit(struct lithops__slurm_options *options);
/* The words of a command: `first`, those of the options, `last`. For free(), but not the words. */
char **lithops__slurm_words(const char *const *first, const struct lithops__slurm_options *options,
                            const char *const *last);

/* ---- programs.c ------------------------------------------------------------------------------ */

/* Start one as a child; *ret_fd is its standard input and output. EBACKEND says that there is no
 * such program. */
int lithops__slurm_start(char *const *words, struct lithops__child *child, int *ret_fd,
                         lithops_error *err);
/* Run one and keep what it writes: standard output in `out`, standard error in `said`, whole lines
 * as far as there is room.
 * @return its exit status; ECANCELED; ETIMEDOUT, when it was ended; or as above */
int lithops__slurm_run(char *const *words, int cancel_fd, uint32_t timeout_ms, char *out,
                       size_t out_size, char *said, size_t said_size, lithops_error *err);

/* ---- queue.c --------------------------------------------------------------------------------- */

struct lithops__slurm_queue {
    pthread_mutex_t lock;
    char *text; /* of squeue */
    uint64_t asked_ns;
};
struct lithops__slurm_state {
    bool is_there;
    char id[32], state[32], reason[128]; /* as squeue has them */
    int64_t left_s;                      /* of its wall time; -1: no limit, or not known */
};
void lithops__slurm_queue_init(struct lithops__slurm_queue *queue);
void lithops__slurm_queue_deinit(struct lithops__slurm_queue *queue);
/* The job of this name, and of this number unless that is NULL, from an answer of squeue no older
 * than `age_ms`. Thread-safe. */
int lithops__slurm_queue_find(struct lithops__slurm_queue *queue, const char *name, const char *id,
                              uint32_t age_ms, int cancel_fd,
                              struct lithops__slurm_state *ret_state, lithops_error *err);

/* ---- explain.c ------------------------------------------------------------------------------- */

/* Make an error of Slurm's messages before a worker ran.
 * @param said  by srun, on any number of lines
 * @param how   how it ended, if nothing in `said` is known */
int lithops__slurm_refuse(const char *said, const char *how, lithops_error *err);
/* Why an allocation ended, by what srun said, or by the job's state and reason as squeue has them;
 * else NULL. */
const char *lithops__slurm_end(const char *said);
const char *lithops__slurm_end_state(const char *state, const char *reason);
/* Whether an allocation that waits for this reason, in squeue's words, will never be granted. */
bool lithops__slurm_is_hopeless(const char *reason, const char **ret_advice);

/* ---- ask.c ----------------------------------------------------------------------------------- */

/* As `ask` of struct lithops__compute_ops; a machine is a node that runs a worker of this user. */
int lithops__slurm_ask(const char *machine, const char *arguments, lithops__probe_say say,
                       void *user, lithops_error *err);

#endif
