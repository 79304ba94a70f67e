/* SPDX-License-Identifier: Apache-2.0 */
/* One end of a link through a storage, the same on both sides: two threads, which turn bytes into
 * objects, and objects into bytes.
 *
 * Objects are numbered from 0 and written one after the other, so whoever has read number n waits
 * for n + 1 only. They lie in a folder per direction, which changes once:
 * docs/jobs-through-storage.md says why. */
#ifndef LITHOPS_CARRIER_END_H
#define LITHOPS_CARRIER_END_H

#include "carrier/carrier.h"
#include "carrier/pace.h"
#include "storage/storage.h"

#include <pthread.h>
#include <stdatomic.h>

enum { LITHOPS__CARRIER_FOLDER = 64, LITHOPS__CARRIER_LINK = 24 };
/* Of the folder for what the client says before it knows which worker has come. */
#define LITHOPS__CARRIER_HELLO "hello"

struct lithops__end {
    lithops_storage *storage; /* borrowed */
    struct lithops__pace pace;
    bool asks; /* it looks for objects itself; else it is told */
    int fd;    /* ours of the pair; blocks */
    /* After an object was put, which is borrowed. */
    void (*was_put)(struct lithops__end *end, uint32_t number, lithops_bytes object, void *user);
    void *user;
    pthread_t sender, receiver;

    pthread_mutex_t lock;
    pthread_cond_t news;
    char out[LITHOPS__CARRIER_KEY], in[LITHOPS__CARRIER_KEY]; /* [lock] folders, with their "/" */
    char hello[LITHOPS__CARRIER_KEY]; /* as `in` until has_put; "": as it is */
    bool has_put;                     /* [lock] an object is out */
    /* The sender's: the last object, whose request failed without a clear answer; "": none was. */
    char cut_off[LITHOPS__CARRIER_KEY + 16];
    _Atomic uint64_t ending_ns; /* [lock] to change it: when the end began; 0: not yet */
    bool is_last;               /* [lock] the other side has ended: nothing more is written */
    uint32_t there;             /* [lock] objects that are known to be there */
    uint64_t missed_ns;         /* [lock] when one was looked for in vain; 0: look at once */
    void *handed;               /* [lock] an object that came with a notice; NULL: none */
    size_t handed_len;          /* [lock] of it */
    uint32_t handed_number;     /* [lock] of it */
    uint64_t heard_ns;          /* the receiver's: when the last object came */
    uint64_t gap_ns;            /* the receiver's: since when one is missing; 0: none is */
    uint64_t probed_ns;         /* the receiver's: when it last looked for a gap */
    bool is_orphan;             /* the receiver's: no more came for too long */
    atomic_bool was_told;       /* a worker's: the client has said BYE, and reads no more */
    /* Key of the last object that it has put, "": none; and of one that it was told BYE by. */
    char last[LITHOPS__CARRIER_KEY + 16];
    lithops_error broken;        /* [lock] why the storage failed; code 0: it has not */
    atomic_bool has_notices;     /* of the last object: so looks may be rare */
    _Atomic uint64_t noticed_ns; /* when the last notice came; 0: none did */
    _Atomic uint32_t taken;      /* objects that are read */
    _Atomic uint32_t requests;   /* of both threads */
    _Atomic uint64_t traffic_ns; /* of news, either way */
};

/* Make `end`, which has storage, pace, asks, was_put, user and folders, and start it. *ret_fd is
 * the caller's end of the pair, which does not go to programs that are started. */
int lithops__end_start(struct lithops__end *end, int *ret_fd, lithops_error *err);
/* The caller's end is closed: send what is left, but not for longer than a second or two, and stop
 * its threads. Whoever tells it anything may still do so. */
void lithops__end_finish(struct lithops__end *end);
void lithops__end_deinit(struct lithops__end *end);

/* A list has shown that objects below `there` are in the storage. */
void lithops__end_tell(struct lithops__end *end, uint32_t there);
/* A notice says so of object `number`, which may come along. */
void lithops__end_notice(struct lithops__end *end, uint32_t number, lithops_bytes object);
/* What a look gives notices that come, if late. Without it each object could be found before its
 * notice for as long as there is traffic. */
uint64_t lithops__end_grace(const struct lithops__end *end);
/* No notices come any more. */
void lithops__end_unnoticed(struct lithops__end *end);
/* The other side has ended: when what it has written is read, the link ends. */
void lithops__end_last(struct lithops__end *end);
/* The requests that this thread makes through a storage bounded by the function below end a second
 * after the time that is set there, which is 0 for as long as there is none. NULL: no such time. */
void lithops__carrier_heed(const _Atomic uint64_t *ending_ns);
int lithops__carrier_bound(lithops_storage *storage, lithops_error *err);
/* The intervals that are configured. */
void lithops__carrier_pace(const struct lithops__config *config, struct lithops__pace *ret);
/* Delete all objects with this prefix. */
int lithops__carrier_sweep(lithops_storage *storage, const char *prefix, lithops_error *err);
/* LITHOPS__CARRIER_TOKEN random digits. */
enum { LITHOPS__CARRIER_TOKEN = 8 };
int lithops__carrier_token(char token[LITHOPS__CARRIER_TOKEN + 1], lithops_error *err);

#endif
