/* SPDX-License-Identifier: Apache-2.0 */
/* The client's side of the shared memory: ranges made, offered, given outcomes, freed.
 *
 * Core makes jobs with it, and a compute backend reports through it what became of calls whose
 * worker is gone. Functions marked [L] want the table's lock held. */
#ifndef LITHOPS_IPC_TABLE_H
#define LITHOPS_IPC_TABLE_H

#include "ipc/area.h"
#include "ipc/heap.h"

#include <pthread.h>

struct lithops__table_range {
    uint64_t last_position; /* of the spans that offered it; UINT64_MAX: none yet */
    uint64_t open_position; /* of its open span; UINT64_MAX: none */
    uint64_t swept;         /* calls below have no input any more */
};

struct lithops__table {
    struct lithops__area area;
    pthread_mutex_t lock;
    struct lithops__heap heap;           /* under lock, like all below */
    struct lithops__table_range *ranges; /* of the ids below control->ranges_high */
    size_t ranges_capacity;
    uint64_t unswept_bytes; /* of inputs that came since the last sweep */
    uint32_t *free_ids;
    size_t free_count, free_capacity;
    uint32_t *retired; /* free as soon as no worker looks at them */
    size_t retired_count, retired_capacity;
    uint32_t function_count; /* slots that were used at least once */
    uint32_t *function_uses; /* ranges per slot */
    size_t function_capacity;
    uint32_t *free_functions; /* slots of code that no range uses any more, and of no code */
    size_t free_function_count, free_function_capacity;
};

int lithops__table_open(struct lithops__table *table, const char *executor_id, uint32_t max_workers,
                        uint64_t memory_limit, lithops_error *err);
void lithops__table_close(struct lithops__table *table);

/* [L] A range of `capacity` calls of a function, of which `count` exist; all PENDING (or
 * `first_state`). The caller fills the rest of the struct before it offers them.
 * LITHOPS_ENOSPACE; then code that no range uses is forgotten. */
int lithops__table_new_range(struct lithops__table *table, uint32_t function, uint64_t count,
                             uint64_t capacity, unsigned first_state, uint32_t *ret_range,
                             lithops_error *err);
/* [L] The caller has filled the struct: workers may come upon the range from now on. */
void lithops__table_publish_range(struct lithops__table *table, uint32_t range);
/* [L] The job is gone: free the range, its inputs and results, as soon as no worker looks. All its
 * calls must be done. */
void lithops__table_free_range(struct lithops__table *table, uint32_t range);
/* [L] Free those ranges that no worker looks at any more. @return how many a worker does look at;
 * it will be done with them in a moment */
size_t lithops__table_reclaim(struct lithops__table *table);

/* [L] Offer calls to workers; the caller rings the bell. LITHOPS_ENOSPACE. */
int lithops__table_offer(struct lithops__table *table, uint32_t range, uint64_t begin, uint64_t end,
                         lithops_error *err);
/* [L] The same, for a range of single calls that may grow: offers all that come. */
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

/* [L] Bytes into shared memory, for lithops__heap_free(). 0 when memory is out. */
lithops__offset lithops__table_store(struct lithops__table *table, const void *ptr, size_t len);

/* [L] Memory for what a job needs; when there is none left, inputs are swept. 0: there is none. */
lithops__offset lithops__table_alloc(struct lithops__table *table, uint64_t len);
/* [L] The same for an input; from time to time it sweeps. */
lithops__offset lithops__table_alloc_input(struct lithops__table *table, uint64_t len);
/* [L] Give the inputs of calls that are done back: no worker reads them again. */
void lithops__table_sweep_inputs(struct lithops__table *table);

/* Give one result back (of a record that no other thread reads). [L] */
void lithops__table_release_result(struct lithops__table *table, struct lithops__record *record);

/* What was noted about a call besides its record, or NULL. */
const struct lithops__call_extra *lithops__table_extra(const struct lithops__area *area,
                                                       const struct lithops__range *range,
                                                       uint64_t index);

/* [L] The index of a function in the function table; enters it when it is new. */
struct lithops_function;
int lithops__table_function(struct lithops__table *table, const struct lithops_function *function,
                            uint32_t *ret_index, lithops_error *err);
bool lithops__table_is_function(const struct lithops__table *table, uint32_t index,
                                const struct lithops_function *function);

#endif
