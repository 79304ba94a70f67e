/* SPDX-License-Identifier: Apache-2.0 */
/* The worker processes of this machine, as their supervisor sees them. */
#ifndef LITHOPS_LOCALHOST_POOL_H
#define LITHOPS_LOCALHOST_POOL_H

#include "compute/compute.h"

#include <sys/wait.h>

#define LITHOPS__LOG_NAME "lithops-log" /* of the memory files that take the output of calls */
enum { LITHOPS__MOST_COMMAND = 64 };    /* words of a worker command */

enum lithops__kill_reason {
    LITHOPS__KILL_NONE,
    LITHOPS__KILL_TIMEOUT,
    LITHOPS__KILL_CANCEL,
};

/* A call that is running, and since when: ticks since the epoch. */
struct lithops__seen_call {
    uint32_t range;
    uint64_t index, busy, since;
};

/* One slot: at most one process at a time. */
struct lithops__slot_process {
    pid_t pid; /* 0: none */
    int pidfd;
    int log_fd; /* memory file; -1 until the first process */
    enum lithops__kill_reason reason;
    uint64_t oom_kills;     /* of its memory group, when it was started */
    uint64_t own_oom_kills; /* of the client's */
    uint64_t started_ns, log_start;
    struct lithops__seen_call seen; /* by the supervisor, when it looked last */
};

/* The supervisor thread sleeps in poll() on the processes and on `event_fd`. Everything is under
 * the table's lock, except what is set in open(). */
struct lithops__pool {
    struct lithops__table *table;
    struct lithops__slot_process *slots;
    char **command;  /* NULL-terminated, what worker processes are; NULL: the program itself */
    uint32_t count;  /* slots */
    uint32_t wanted; /* processes that should run */
    uint32_t alive;
    uint32_t failed_starts;  /* in a row, of KILLED_STARTS */
    uint64_t start_again_ns; /* not before, after failed starts */
    int event_fd;
    bool closing;
    bool group_tried;
    bool was_idle;        /* when it looked last */
    uint64_t look_ns;     /* when the supervisor looks at deadlines next; UINT64_MAX: not */
    uint64_t shortest_ns; /* timeout of the jobs since it last was idle */
    struct lithops__cancel *cancels; /* asked for, not carried out */
    size_t cancel_count, cancel_capacity;
    lithops_error start_error; /* of the last process that could not be started */
    pthread_t thread;
};
struct lithops__cancel {
    uint32_t range, generation;
    uint64_t begin, end;
};

/* spawn.c: the same descriptor at 10 or above, close-on-exec; closes `fd`. The program may have
 * closed 0, 1 or 2, and would read and write ours there. -1 and errno. */
int lithops__high_fd(int fd);
/* Start a worker process in a slot; `command` as in struct lithops__pool. Blocks for some 100 us;
 * without the lock. *ret_pidfd is -1 when the process has ended meanwhile, and the program has
 * reaped it. */
int lithops__spawn_worker(const struct lithops__area *area, uint32_t slot, int log_fd,
                          char *const *command, pid_t *ret_pid, int *ret_pidfd, lithops_error *err);

/* death.c [L]: the process of the slot is dead; `status` as waitid() gave it (si_pid 0: somebody
 * else reaped it). Settles its call, offers the others again. */
void lithops__pool_bury(struct lithops__pool *pool, uint32_t slot, const siginfo_t *status);
/* [L] No worker process runs and none can be started: fail everything that waits. */
void lithops__pool_fail_all(struct lithops__pool *pool, const lithops_error *error);

/* group.c: find a place for memory groups, put it into the control block. */
void lithops__group_prepare(struct lithops__control *control);
/* Processes that the slot's group lost to the kernel, in all. */
uint64_t lithops__group_oom_kills(const struct lithops__control *control, uint32_t slot);
/* How many processes of the client's own group (a container, most often) the kernel has ended for
 * want of memory; of the whole machine, where the group does not tell. UINT64_MAX: nothing tells.
 */
uint64_t lithops__own_oom_kills(void);
void lithops__group_remove(const struct lithops__control *control, uint32_t slot);
/* Remove the groups of executors that are gone; how many there were. */
uint64_t lithops__group_tidy(bool (*is_alive)(const char *executor_id));

/* orphans.c: kill process groups that workers of killed clients have left; how many there were. */
uint64_t lithops__orphans_kill(void);

#endif
