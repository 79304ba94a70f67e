/* SPDX-License-Identifier: Apache-2.0 */
/* What a compute backend implements whose workers are reached over links.
 *
 * A link is an ordered stream of bytes to one worker that lives long: a pipe, an SSH channel, or
 * objects in a storage. At its other end `lithops worker` runs. The engine does the rest: it claims
 * calls, sends them, takes outcomes, notices loss and starts again (docs/remote.md). A backend says
 * how many workers there are and makes links to them.
 *
 * A driver is a constant table. Slots return 0 or a lithops_code and fill `err`. Those that concern
 * one worker are called by one thread at a time for it, and by several for different workers. */
#ifndef LITHOPS_PLUGIN_COMPUTE_H
#define LITHOPS_PLUGIN_COMPUTE_H

#include <lithops/value.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LITHOPS_COMPUTE_ABI 8

/** What is particular about one worker. */
typedef struct lithops_worker {
    uint32_t worker_processes; /* calls at a time; 0: as many as it has CPUs */
    double weight;             /* its share of a long map, relative to the others'; above 0 */
} lithops_worker;

/** How much there is to reach. Zeroed when open is called. */
typedef struct lithops_workers {
    uint32_t workers;           /* links to make; at least 1 */
    uint32_t min_workers;       /* calls fail when fewer than this can be reached; 0: as 1 */
    uint32_t lost_timeout_ms;   /* a worker that is silent for so long is lost; 0: 15 s */
    uint32_t worker_processes;  /* of each of them, unless `each` says it; as above */
    const lithops_worker *each; /* one per worker, lives until close; NULL: all are alike */
    /* Where workers come and go with the calls, `workers` is the most there are at a time: they are
     * started as calls wait for them, and ended when they have had none for so long. 0: all are
     * started at once, and stay. */
    uint32_t idle_timeout_ms;
    uint32_t kept_workers; /* of them, that are started at once and stay though idle */
    /* Nothing but the configured storage reaches the workers: `invoke` starts them. They come and
     * go then; idle_timeout_ms is at most 4 minutes, and 0 is 10 s. lost_timeout_ms is four times
     * what it says, since signs of life take longer. */
    bool through_storage;
    /* Workers have credentials of their own: nothing of the configuration that is secret is sent to
     * them. What `invoke` is given has it nevertheless. */
    bool keeps_secrets;
    /* With through_storage: when disconnect returns the worker may not have ended yet, which it
     * does when the engine tells it to. So the engine tells it before, and waits at its end, for
     * some seconds at most, until all have been told. */
    bool ends_when_told;
} lithops_workers;

/** A link. The engine reads, writes and closes both descriptors, which may be one. */
typedef struct lithops_link {
    int read_fd, write_fd; /* from the worker, and to it; close-on-exec */
    int64_t id;            /* the backend's own, for disconnect */
    int64_t time_left_ms;  /* until the worker is ended, whatever it runs; 0: it is not */
    char program[256];     /* where the runtime's program was found there; "": as it is called */
} lithops_link;

struct lithops_link_driver;

typedef struct lithops_link_ops {
    /* open - make `state` (zeroed, state_size bytes) usable. Required. `driver` is the one that has
     * this table, which several may share. `settings` is the backend's checked section, borrowed
     * for the call. `program` is what workers run besides the engine, as "python3.11", or NULL.
     * Nothing is connected yet, and it does not block. ECONFIG. */
    int (*open)(const struct lithops_link_driver *driver, void *state,
                const lithops_value *settings, const char *program, lithops_workers *ret_workers,
                lithops_error *err);
    /* close - release what open made; all links are gone. Required. Returns within some seconds, in
     * which it may end what was started. */
    void (*close)(void *state);
    /* name - what the worker is called in messages: "host7". Required. Thread-safe. */
    void (*name)(void *state, uint32_t worker, char *buf, size_t size);
    /* connect - start worker number `worker` (from 0) and make a link to it. Required, unless
     * invoke takes its place. May block, up to a limit of its own: each start has a thread, up to
     * 128 of them run at the same time, and no worker waits for another one. Returns at once, with
     * ECANCELED, when `cancel_fd` becomes readable; nothing is read from that. EBACKEND and others;
     * `err->retryable` where the same may succeed in a second, else it is not tried again (where
     * workers come and go, not before a minute). The message names the worker. */
    int (*connect)(void *state, uint32_t worker, int cancel_fd, lithops_link *ret_link,
                   lithops_error *err);
    /* invoke - instead of connect, where workers are reached through the storage: start worker
     * number `worker` with the arguments `worker --through KEY`, and with `config`, which is JSON
     * and may hold secrets, as its LITHOPS_CONFIG. Of `ret_link`, id and time_left_ms are read. All
     * else is as with connect. */
    int (*invoke)(void *state, uint32_t worker, const char *key, const char *config, int cancel_fd,
                  lithops_link *ret_link, lithops_error *err);
    /* has_ended - whether the worker that was invoked has ended, by itself or not, as far as the
     * backend knows: a killed process, a pod that its control plane calls failed or gone. Optional.
     * Without it the worker is lost when it has been silent for four times lost_timeout_ms; with it
     * its last words are read, and its calls run elsewhere, within a second or two. Asked twice a
     * second, while the worker has calls or has not yet said anything, so it never blocks: a
     * backend that has to ask a control plane does so in a thread of its own, for all workers at a
     * time, and answers from what that has heard last. Where the plane does not answer, or knows
     * nothing of the worker yet, the answer is false. */
    bool (*has_ended)(void *state, const lithops_link *link);
    /* abandon - the worker does not answer: end at once what was started for the link, without
     * waiting. Optional; disconnect follows. Never blocks. */
    void (*abandon)(void *state, const lithops_link *link);
    /* disconnect - the link is over, its descriptors are closed. Required. Returns within a second
     * or two, when nothing of it is left on this machine. Of a worker that was idle for too long it
     * runs in a thread of its own, as connect does.
     * @param ret_how  how it ended, as in "killed by signal 9: what it said last"; or "" */
    void (*disconnect)(void *state, const lithops_link *link, char *ret_how, size_t size);
} lithops_link_ops;

typedef struct lithops_link_driver {
    uint32_t abi; /* LITHOPS_COMPUTE_ABI */
    const char *name;
    bool is_elsewhere; /* workers have none of this machine's files, nor its interpreters */
    size_t state_size;
    const lithops_link_ops *ops;
} lithops_link_driver;

#ifdef __cplusplus
}
#endif
#endif
