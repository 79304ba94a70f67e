/* SPDX-License-Identifier: Apache-2.0 */
/* The worker processes of this machine, as their supervisor sees them. */
#ifndef LITHOPS_LOCALHOST_POOL_H
#define LITHOPS_LOCALHOST_POOL_H

#include "compute/compute.h"
#include "compute/watch.h"

enum { LITHOPS__MOST_COMMAND = 64 }; /* words of a worker command */

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

/* A call that is to end, because it ran since `busy` or was cancelled. */
struct lithops__doom {
    enum lithops__kill_reason reason; /* NONE: no such call */
    uint32_t range, generation;
    uint64_t index, busy;
};

/* One slot: at most one process at a time. */
struct lithops__slot_process {
    struct lithops__watch watch;
    enum lithops__kill_reason reason; /* its process was killed for it */
    struct lithops__doom doom;        /* of the call that it runs */
    bool is_stopping;
    uint32_t start;         /* it was the pool's n-th */
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
    pid_t session;   /* of the client when it opened the executor */
    char **command;  /* NULL-terminated, what worker processes are; NULL: the program itself */
    uint32_t count;  /* slots */
    uint32_t wanted; /* processes that should run */
    uint32_t alive;
    uint32_t failed_starts;  /* in a row, of KILLED_STARTS */
    uint64_t start_again_ns; /* no start before this, after failed ones */
    uint64_t own_end_ns;     /* the own end is not awaited before this */
    int event_fd;
    int lifeline[2]; /* the guard and the worker processes have the reading end; see worker/guard.c
                      */
    uint32_t starts; /* of processes, so far */
    bool closing;
    bool was_idle;             /* when it looked last */
    uint64_t look_ns;          /* when the supervisor looks at deadlines next; UINT64_MAX: never */
    uint64_t shortest_ns;      /* timeout of the jobs since it last was idle */
    lithops_error start_error; /* error of the last process that could not be started */
    pthread_t thread;
    struct pollfd *fds; /* the supervisor's own: of event_fd, then of the processes */
    uint32_t *slot_of;  /* their slots */
};

/* spawn.c: start a worker process in a slot; `command` as in struct lithops__pool. Blocks for some
 * 100 us; without the lock. */
int lithops__spawn_worker(const struct lithops__area *area, uint32_t slot, int log_fd, int lifeline,
                          uint32_t start, char *const *command, struct lithops__watch *ret_watch,
                          lithops_error *err);

/* deadline.c [L] */
/* Doom calls that have run too long. @return when to look next, by lithops__now_ns() */
uint64_t lithops__pool_check_deadlines(struct lithops__pool *pool);
/* Doom the running calls among them. False: none runs. */
bool lithops__pool_doom_canceled(struct lithops__pool *pool, uint32_t range, uint64_t begin,
                                 uint64_t end);
/* End doomed calls. The lock is released while their processes are stopped. For the supervisor
 * only. False: there were none. */
bool lithops__pool_end_doomed(struct lithops__pool *pool);

/* death.c [L]: the process of the slot is dead; `status` as waitid() gave it (si_pid 0: the program
 * reaped it). Settles its call, offers the others again. */
void lithops__pool_bury(struct lithops__pool *pool, uint32_t slot, const siginfo_t *status);

/* group.c: find a folder in which memory groups can be made; empty: there is none. */
void lithops__group_find(const char *executor_id, char *buf, size_t size);
/* Processes that the slot's group lost to the kernel, in all. */
uint64_t lithops__group_oom_kills(const struct lithops__control *control, uint32_t slot);
/* How many processes the kernel has killed for lack of memory in the client's own group (a
 * container, most often), or, if that has no counter, on the whole machine. UINT64_MAX: unknown. */
uint64_t lithops__own_oom_kills(void);
void lithops__group_remove(const struct lithops__control *control, uint32_t slot);
/* Remove the groups of executors that are gone. @return how many there were */
uint64_t lithops__group_tidy(bool (*is_alive)(const char *executor_id), bool dry_run);

#endif
