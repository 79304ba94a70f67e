/* SPDX-License-Identifier: Apache-2.0 */
/* Processes that functions have started and left running.
 *
 * A worker process leads a process group and has a mark in its environment, LITHOPS_WORKER_OF;
 * processes that a function starts inherit both. When a worker dies its client kills the group, and
 * finds by the mark those that have left the group but not the session (`timeout 60 ...` makes its
 * own group). When the client was killed, the guard does the same (guard.c), or else `lithops
 * clean`. Processes in their own session, such as daemons, are meant to stay. One that has dropped
 * its environment is found if it writes to a worker's output and its group has no leader. */
#ifndef LITHOPS_WORKER_LEFTOVERS_H
#define LITHOPS_WORKER_LEFTOVERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define LITHOPS__MARK "LITHOPS_WORKER_OF="

/* What a client that closes its executor writes to the guard: look at the processes of the guard's
 * session, or at all. */
enum { LITHOPS__GUARD_LOOK = 'c', LITHOPS__GUARD_LOOK_AT_ALL = 'a' };

/* Who started a process: the `start`th worker that the executor has started. */
struct lithops__origin {
    char executor_id[32]; /* empty: not known, and the group's leader is gone */
    uint32_t start;
    pid_t session;
};

/* "LITHOPS_WORKER_OF=<executor id>/<start>/<session>". The session is the caller's. */
void lithops__mark_write(char *buf, size_t size, const char *executor_id, uint32_t start);
/* This process is not to be found by its mark any more. */
void lithops__mark_remove(void);

/* Kill all processes whose origin `is_over`; with `dry_run` they are only counted.
 * @param session  look only at processes of this session, which is quick; -1: at all
 * @return how many process groups they are in */
uint64_t lithops__leftovers_kill(pid_t session,
                                 bool (*is_over)(const struct lithops__origin *origin, void *user),
                                 void *user, bool dry_run);

#endif
