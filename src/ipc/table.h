/* SPDX-License-Identifier: Apache-2.0 */
/* The client's side of the shared memory: ranges made, offered, given outcomes, freed.
 *
 * Core makes jobs with it, and a compute backend settles through it the calls whose worker is gone.
 * Functions marked [L] need the table's lock held. */
#ifndef LITHOPS_IPC_TABLE_H
#define LITHOPS_IPC_TABLE_H

#include "ipc/area.h"
#include "ipc/heap.h"
#include "ipc/meter.h"

#include <lithops/value.h>

#include <pthread.h>

struct lithops__table_range {
    uint64_t last_position; /* of the spans that offered it; UINT64_MAX: none yet */
    uint64_t open_position; /* of its open span; UINT64_MAX: none */
    uint64_t swept;         /* calls below have no input any more */
};

/* A slot whose process is not one of this machine. */
struct lithops__table_worker {
    char name[64];
    uint32_t processes; /* calls that run there at a time; 0: it is not there now */
};

struct lithops__table {
    struct lithops__area area;
    pthread_mutex_t lock;
    struct lithops__heap heap;           /* under lock, like all below */
    struct lithops__table_range *ranges; /* of the ids below control->ranges_high */
    size_t ranges_capacity;
    uint64_t unswept_bytes; /* of inputs that came since the last sweep */
    uint32_t *free_ids;
    size_t free_count;
    uint32_t *retired; /* free as soon as no worker looks at them */
    size_t retired_count;
    uint32_t function_count; /* slots that were used at least once */
    uint32_t *function_uses; /* ranges per slot */
    size_t function_capacity;
    uint32_t *free_functions; /* slots of code that no range uses any more, and of no code */
    size_t free_function_count;
    int *log_fds;                          /* see slotlog.h; NULL: none yet */
    struct lithops__table_worker *workers; /* by slot; NULL: all are processes of this machine */
    uint64_t ring_trimmed;                 /* memory of spans before this position was given back */

    uint64_t freed_bytes;     /* of results and errors, since `trim_ns` was set last */
    uint64_t trim_ns;         /* when unused memory goes back to the system; 0: nothing is due */
    uint64_t look_ns;         /* when `look` is to be called; 0: nothing is due */
    void (*look)(void *user); /* core's: what nobody asks for any more can go; without the lock */
    void *look_user;
    void (*freed)(void *user, uint32_t range); /* [L] the backend's: the job is gone; may be NULL */
    void (*wake)(void *user); /* something is due for the backend; must not block */
    void *wake_user;

    struct lithops__meter meter; /* of workers elsewhere; has a lock of its own */
    /* Not NULL: why nothing may go on. What is cancelled while it runs fails with it instead. */
    const lithops_error *stop;

    /* While a backend opens: a list of the modules that a runtime elsewhere has; NULL: not known.
     */
    const lithops_value *installed;

    bool has_service; /* see service.h; set once */
    const struct lithops__service *service;
    void *service_user;
    unsigned service_uses;       /* by threads, now */
    pthread_cond_t service_left; /* none is left, after its end */
};

int lithops__table_open(struct lithops__table *table, const char *executor_id, uint32_t max_workers,
                        uint64_t memory_limit, lithops_error *err);
/* The key of the configuration that limits its memory, for errors that say what to raise. */
void lithops__table_name_memory(struct lithops__table *table, const char *key);
/* Before anybody asks: what a slot stands for. LITHOPS_ENOMEM. */
int lithops__table_name_worker(struct lithops__table *table, uint32_t slot, const char *name,
                               lithops_error *err);
/* [L] It is there, or (0) is not. */
void lithops__table_set_processes(struct lithops__table *table, uint32_t slot, uint32_t processes);
/* The name of a slot; NULL: it is a process of this machine. */
const char *lithops__table_worker_name(const struct lithops__table *table, uint32_t slot);
/* Workers elsewhere that are there. @return how many; 0 too where all are of this machine */
uint32_t lithops__table_workers(struct lithops__table *table, uint32_t *ret_processes);
void lithops__table_close(struct lithops__table *table);

/* How the calls of a range are named in keys, ids and logs: "<executor_id>-M007-00042" is call
 * 42 of that executor's map 7. A range may hold a part of a job that was started elsewhere. */
struct lithops__job_name {
    const char *executor_id; /* up to 31 bytes */
    char kind;               /* 'A', 'M' or 'R' */
    uint32_t number;         /* of job "M007": 7 */
    uint64_t first_id;       /* of the range's call 0 */
};

/* [L] A range of `capacity` calls of a function, of which `count` exist; all PENDING (or
 * `first_state`). The caller fills the rest of the struct before it offers them.
 * LITHOPS_ENOSPACE; then code that no range uses is forgotten. */
int lithops__table_new_range(struct lithops__table *table, uint32_t function, uint64_t count,
                             uint64_t capacity, unsigned first_state,
                             const struct lithops__job_name *name, uint32_t *ret_range,
                             lithops_error *err);
/* [L] The struct is complete: workers may enter the range from now on. */
void lithops__table_publish_range(struct lithops__table *table, uint32_t range);
/* [L] The job is gone: free the range, its inputs and results, as soon as no worker uses it. All
 * its calls must be done. */
void lithops__table_free_range(struct lithops__table *table, uint32_t range);
/* [L] Free the retired ranges that no worker uses any more. @return how many are still used; they
 * soon will not be */
size_t lithops__table_reclaim(struct lithops__table *table);

/* [L] Offer calls to workers; the caller rings the bell. LITHOPS_ENOSPACE. */
int lithops__table_offer(struct lithops__table *table, uint32_t range, uint64_t begin, uint64_t end,
                         lithops_error *err);
/* [L] The same for a growing range of single calls: offers later ones too. */
int lithops__table_offer_open(struct lithops__table *table, uint32_t range, lithops_error *err);
void lithops__table_close_open(struct lithops__table *table, uint32_t range);

/* An outcome that comes from the client and not from a worker. */
struct lithops__settlement {
    lithops_error error;                     /* LITHOPS_ECANCELED: CANCELED, else FAILED */
    lithops_bytes data;                      /* of the runtime */
    uint64_t start;                          /* ticks since the epoch; 0: was not started */
    const struct lithops__call_extra *extra; /* may be NULL */
};
/* [L] Give a call such an outcome, if its state is (still) `from`. Waiters are not woken. */
bool lithops__table_settle(struct lithops__table *table, uint32_t range, uint64_t index,
                           uint16_t from, const struct lithops__settlement *settlement);
/* [L] Calls of the range were settled from outside: offer the reducers that may wait for them. */
void lithops__table_kick_dependents(struct lithops__table *table, uint32_t range);

/* [L] Give unused memory beyond a small stock back to the system, now. */
void lithops__table_trim(struct lithops__table *table);
/* [L] A backend's thread: do what is due (`look_ns`, `trim_ns`), for which the lock may be released
 * meanwhile. @return when more will be, by lithops__now_ns(); UINT64_MAX: never */
uint64_t lithops__table_tend(struct lithops__table *table);
/* [L] Have `look` called after this time, if not before. */
void lithops__table_look_later(struct lithops__table *table, uint64_t delay_ns);

/* [L] Bytes into shared memory, for lithops__heap_free(). 0 when memory is out. */
lithops__offset lithops__table_store(struct lithops__table *table, const void *ptr, size_t len);

/* [L] Memory for a job; sweeps inputs if there is none left. 0: none. */
lithops__offset lithops__table_alloc(struct lithops__table *table, uint64_t len);
/* [L] The same for an input; from time to time it sweeps. */
lithops__offset lithops__table_alloc_input(struct lithops__table *table, uint64_t len);
/* [L] Free the inputs of done calls: no worker reads them again. True: none is left.
 */
bool lithops__table_sweep_inputs(struct lithops__table *table);

/* What was noted about a call besides its record, or NULL. */
const struct lithops__call_extra *lithops__table_extra(const struct lithops__area *area,
                                                       const struct lithops__range *range,
                                                       uint64_t index);
/* [L] Such a note, in the heap: for the array of extras. 0: there is none, or no memory. */
uint32_t lithops__table_store_extra(struct lithops__table *table,
                                    const struct lithops__call_extra *extra);

/* [L] The index of a function in the function table; enters it when it is new. */
struct lithops_function;
int lithops__table_function(struct lithops__table *table, const struct lithops_function *function,
                            uint32_t *ret_index, lithops_error *err);
bool lithops__table_is_function(const struct lithops__table *table, uint32_t index,
                                const struct lithops_function *function);

#endif
