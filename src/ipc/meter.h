/* SPDX-License-Identifier: Apache-2.0 */
/* What the workers of an executor have used, for who reckons what that costs: how many were
 * started, how long they were there, and what was asked of the storage that connects them with the
 * client. Of workers elsewhere; those of this machine cost nothing. Thread-safe. */
#ifndef LITHOPS_IPC_METER_H
#define LITHOPS_IPC_METER_H

#include <lithops/error.h>

#include <pthread.h>

struct lithops__meter {
    pthread_mutex_t lock;             /* guards what follows */
    uint64_t rounding_ns, minimum_ns; /* of the time of each; 0: as it is */
    uint64_t most_starts;             /* 0: as many as are wanted */
    uint64_t starts;
    uint64_t live;          /* workers */
    uint64_t live_began;    /* the sum of when they began, modulo 2^64 */
    uint64_t ended_ns;      /* the time of those that are gone, as it is charged */
    uint64_t processes;     /* of a worker; 0: not known */
    uint64_t reads, writes; /* requests of the client's side of links through a storage */
    uint64_t worker_reads, worker_writes; /* and of the workers' */
};

/* What was used until now. */
struct lithops__used {
    uint64_t starts, processes, reads, writes;
    double seconds; /* of workers, those that are there included */
};

void lithops__meter_init(struct lithops__meter *meter);
void lithops__meter_deinit(struct lithops__meter *meter);
/* Before any worker is started. */
void lithops__meter_set(struct lithops__meter *meter, uint64_t most_starts, uint64_t rounding_ms,
                        uint64_t minimum_ms);

/* A worker is to be started. LITHOPS_EDENIED: as many were as may be. */
int lithops__meter_start(struct lithops__meter *meter, lithops_error *err);
/* None was made of that start, which does not count then. */
void lithops__meter_unstart(struct lithops__meter *meter);
/* One is there since `began_ns`, and runs so many calls at a time; one is gone. */
void lithops__meter_began(struct lithops__meter *meter, uint64_t began_ns);
void lithops__meter_has(struct lithops__meter *meter, uint32_t processes);
void lithops__meter_ended(struct lithops__meter *meter, uint64_t began_ns);
/* Requests of the client, in all; and of a worker, since it was last asked. */
void lithops__meter_requests(struct lithops__meter *meter, uint64_t reads, uint64_t writes);
void lithops__meter_worker_requests(struct lithops__meter *meter, uint64_t reads, uint64_t writes);

void lithops__meter_read(struct lithops__meter *meter, struct lithops__used *ret_used);

#endif
