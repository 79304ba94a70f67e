/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the relay: its links, and the activations on them. */
#ifndef LITHOPS_RELAY_LINK_H
#define LITHOPS_RELAY_LINK_H

#include "carrier/carrier.h"
#include "function/image.h"
#include "ipc/gate.h"
#include "ipc/region.h"
#include "ipc/service.h"
#include "relay/pipes.h"
#include "relay/relay.h"
#include "wire/blobs.h"
#include "wire/intake.h"
#include "wire/message.h"

#include <poll.h>
#include <unistd.h>

enum lithops__link_state {
    LITHOPS__LINK_DOWN,       /* none, or lost: connect again at `retry_ns` */
    LITHOPS__LINK_CONNECTING, /* a thread is connecting */
    LITHOPS__LINK_ENDING,     /* the same, at the end of one that is not needed any more */
    LITHOPS__LINK_STARTING,   /* hello was sent */
    LITHOPS__LINK_READY,      /* hello was answered: it may have credit */
};

/* What a call of an activation is marked with: by the relay's thread, and [L] by who cancels. */
enum {
    LITHOPS__MARK_BEGUN = 1,
    LITHOPS__MARK_DONE = 2,
    LITHOPS__MARK_ASKED = 4, /* to be back */
    LITHOPS__MARK_PARKED = 8,
    LITHOPS__MARK_HELD = 16, /* the worker waits for room for its result, too */
};
enum { LITHOPS__CANCEL_ASKED = 1, LITHOPS__CANCEL_TOLD = 2 };

/* Calls [begin, begin + count) of a range, on their way. Its index in the link is its number. It is
 * made and freed [L]; a cancel reads the first five members and `cancels`, the rest is the relay's
 * thread's. */
struct lithops__activation {
    bool in_use, is_reducer;
    uint32_t range, count;
    uint64_t begin;
    bool cancel;            /* [L] some call is to end, and the worker does not know yet */
    unsigned char *cancels; /* [L] one per call; behind the marks */
    unsigned char *marks;   /* one per call */
    uint32_t generation, left;
    uint32_t wanted; /* the worker may not hold the results of calls below */
    uint64_t sent_ns;
};

/* What is to be sent, in order: pieces of long bytes or of a file, then a frame. */
struct lithops__long_bytes {
    uint32_t number;
    const void *ptr;
    size_t len;
};
struct lithops__parcel {
    struct lithops__parcel *next;
    struct lithops__long_bytes *blobs;
    size_t blob_count, blob, at;
    struct lithops__buffer own; /* what a blob may lie in */
    uint32_t reader;            /* the activation whose reducer reads it, plus 1; or 0 */
    int fd;                     /* of a file; -1: none */
    uint32_t stream;
    struct lithops__buffer frame;
};

/* A connect on its way, or an end: the thread's until `is_done`. */
struct lithops__start {
    pthread_t thread;
    int cancel_fd; /* readable when it is not wanted any more */
    _Atomic bool is_done;
    int rc;
    lithops_link wire;
    lithops_error err;
};

/* Files that a worker lacks, which go through the storage: the oldest first. */
struct lithops__need {
    struct lithops__need *next;
    uint32_t stream;
    struct lithops__wish *wish;
};

struct lithops__link {
    struct lithops__relay *relay;
    uint32_t worker; /* its number, and its slot in the table */
    struct lithops__worker *line;
    struct lithops__region region;
    lithops_link wire;
    struct lithops__start start;
    enum lithops__link_state state;
    bool has_ended;  /* its worker, as the backend says */
    bool is_stopped; /* somebody there does not want it: others are taken while there are any */
    bool was_ready;  /* so its loss is not a failed start */
    bool has_run;    /* an outcome came since it was connected */
    char name[64];
    uint64_t ask_ns;             /* when to ask the backend whether its worker has ended */
    uint64_t retry_ns, state_ns; /* when to connect; since when it is in its state */
    uint32_t failures;           /* in a row; LITHOPS__LINK_HOPELESS: not tried again */
    uint64_t ready_ns;           /* since when it is ready */
    uint64_t end_ns;             /* when its worker is ended; UINT64_MAX: never */
    uint64_t idle_ns;            /* since when it has had no calls; 0: it has some */
    bool is_leaving;             /* it gets no more calls, and ends with its last one */
    lithops_error loss;          /* why it last went down */
    lithops_error broken;        /* code not 0: it must go down */

    bool may_be_lent; /* whoever writes to it gets no signal when it is closed */
    struct lithops__intake in;
    struct lithops__buffer out;
    size_t out_begin;
    struct lithops__pipe *pipe; /* an answer that goes when what is before `pipe_at` has; or NULL */
    size_t pipe_at;
    struct lithops__parcel *parcels, *last_parcel;
    struct answer *answers, *last_answer; /* under the lock of objects.c, with */
    size_t answer_bytes;                  /* that wait, or are being read */
    struct lithops__need *needs;
    struct lithops__blob *arrivals; /* in the region, published */
    uint32_t next_blob;
    uint64_t held_bytes; /* it was told to hold results of this size and larger */

    uint64_t granted, sent;                  /* calls: allowed, and sent */
    struct lithops__activation *activations; /* [L] */
    uint32_t capacity;                       /* [L] */
    uint32_t free_hint;                      /* [L] the members below are in use */
    uint32_t in_flight;                      /* calls */
    struct lithops__feed *feeds;             /* its reducers whose map calls are not all done */
    uint32_t feed_count;
    uint32_t processes;              /* of the worker */
    uint64_t rest_ns, rest_until_ns; /* back.c: how long, and until when */
    uint32_t *jobs;                  /* per range: the generation that was sent, plus 1 */
    size_t job_capacity;
    uint64_t beat_ns, heard_ns;      /* when the worker last said anything */
    uint64_t hello_ns;               /* when hello was sent */
    int64_t offset_low, offset_high; /* bounds of its clock minus ours, ns */
    uint64_t began_ns;               /* since when it is paid for */
    uint64_t reads, writes;          /* its requests to the storage, as it has said */
};

/* An outcome whose result waits for room; its bytes follow, or are an arrival. */
struct lithops__parked {
    struct lithops__parked *next;
    struct lithops__link *link;
    struct lithops__outcome outcome;
    uint64_t bytes; /* of the result */
};

struct lithops__file_hash {
    char *path;
    ino_t inode;
    int64_t size, mtime_ns;
    char sha256[65];
};

/* Of a relay whose workers come and go. */
struct lithops__size {
    uint32_t failures;   /* starts that have failed, in a row */
    uint64_t retry_ns;   /* no start before that */
    uint64_t surplus_ns; /* since when more are on their way than are wanted; 0: not so */
    lithops_error loss;  /* why the last one failed */
};

struct lithops__relay {
    const lithops_link_driver *driver;
    void *state;
    struct lithops__table *table;
    const struct lithops__config *config;
    char **command;
    lithops_value *kit; /* what a runtime needs where this machine's files are not; or NULL */
    lithops_workers workers;
    struct lithops__carrier *carrier; /* of links through a storage; or NULL */
    struct lithops__link *links;
    uint32_t link_count;
    int event_fd;
    pthread_t thread;
    /* Whoever has the helm serves the links; all but what is marked otherwise is theirs. */
    pthread_mutex_t helm;
    pthread_cond_t helm_back;
    bool is_lent;     /* to threads that wait: the relay's only looks after them */
    bool has_guest;   /* one of them is at it, which may be asleep */
    bool is_guest;    /* nothing that takes long is to be begun */
    bool is_wanted;   /* something was not begun therefore */
    uint64_t visits;  /* of guests */
    uint64_t lend_ns; /* not to be lent before */
    struct pollfd *guest_fds;
    _Atomic bool may_lend; /* it was calm when the relay's thread went to sleep */
    uint32_t starting;     /* links that a thread connects */
    bool has_begun;        /* as many links were ready as must be */
    bool has_given_up;     /* too few links are there, and none is tried until calls come */
    struct lithops__size size;
    uint64_t usual_timeout_ms; /* of calls, that nobody has set; 0: somebody has */
    _Atomic bool closing;
    uint32_t *freed; /* [L] ranges that are gone, of which workers may know */
    size_t freed_count, freed_capacity;
    bool has_cancel; /* [L] some activation has one */
    uint32_t stops;  /* by other processes, as far as they were looked at */
    struct lithops__gate_look look;
    struct lithops__parked *parked; /* the oldest call first */
    struct lithops__objects *objects;
    struct lithops__pipes pipes;
    struct lithops__file_hash *hashes;
    size_t hash_count;
    bool has_hashed; /* the program, or has tried to */
    uint64_t program_size;
};

/* send.c */
/* Write as much as the link takes. */
void lithops__link_write(struct lithops__link *link);
bool lithops__link_has_output(const struct lithops__link *link);
struct lithops__parcel *lithops__parcel_new(void);
void lithops__parcel_free(struct lithops__parcel *parcel);
/* Send after what is queued; takes the parcel. */
void lithops__link_send(struct lithops__link *link, struct lithops__parcel *parcel);
/* What was to be sent to this reader is not needed. */
void lithops__link_unsend(struct lithops__link *link, uint32_t reader);
/* Long bytes, which live until they were sent, go before the parcel's frame. @return their number;
 * 0: out of memory */
uint32_t lithops__parcel_add(struct lithops__link *link, struct lithops__parcel *parcel,
                             const void *ptr, size_t len);
void lithops__link_drop_bytes(struct lithops__link *link);
/* Out of the list, and freed. */
void lithops__parked_free(struct lithops__parked **at);
/* Mark it as unable to go on: whoever serves it calls lithops__link_lost(). */
void lithops__link_break(struct lithops__link *link, int os_errno, const char *what);
/* [L] A place for calls that were just owned: from now on a cancel finds them. Takes `marks`,
 * 2 * count of them, which
 * are zero. UINT32_MAX: no memory. */
uint32_t lithops__link_add_activation(struct lithops__link *link, uint32_t range, uint64_t begin,
                                      uint32_t count, unsigned char *marks);
/* [L] Settle calls that are owned and cannot be sent. */
void lithops__link_fail_calls(struct lithops__link *link, uint32_t range, uint64_t begin,
                              uint64_t count, const lithops_error *error);
/* [L] All its calls are settled. */
void lithops__link_free_activation(struct lithops__link *link,
                                   struct lithops__activation *activation);
/* Its clock minus ours is at least `low`, and at most `high`, ns; INT64_MIN, INT64_MAX: not known.
 */
void lithops__link_note_clock(struct lithops__link *link, int64_t low, int64_t high);

/* connect.c: may take long */
/* As `connect` of lithops_link_ops, or `invoke` where a carrier has the bytes. */
int lithops__link_connect(struct lithops__link *link, lithops_link *ret_wire, lithops_error *err);
/* BYE was written to it. */
void lithops__link_told(const struct lithops__link *link);
/* What was connected is over, and its descriptors are closed. */
void lithops__link_disconnect(struct lithops__link *link, const lithops_link *wire, char *ret_how,
                              size_t size);

/* starter.c: connecting, in threads as it may take long */
enum { LITHOPS__LINK_HOPELESS = 3, LITHOPS__MOST_STARTS = 128 };
/* Begin to connect: CONNECTING, or DOWN again if that fails. */
void lithops__link_start(struct lithops__link *link);
/* Take the result of connecting, if it is done. */
void lithops__link_end_start(struct lithops__link *link);
/* One that is on its way is not wanted any more. */
void lithops__link_cancel_start(struct lithops__link *link);
/* Give up all connections being made. */
void lithops__relay_cancel_starts(struct lithops__relay *relay);
/* A worker that has no calls is not needed any more: ENDING, then DOWN. */
void lithops__link_finish(struct lithops__link *link);

/* pause.c: starts that fail again and again */
/* A start has failed, or a worker before it ran anything. */
void lithops__relay_start_failed(struct lithops__relay *relay, const lithops_error *err);
/* Starts have failed too often: none for a while. */
bool lithops__relay_is_paused(const struct lithops__relay *relay);
/* Calls came after that: once more. */
void lithops__relay_unstick(struct lithops__relay *relay);

/* size.c: workers that come and go */
static inline bool lithops__relay_is_elastic(const struct lithops__relay *relay)
{
    return relay->workers.idle_timeout_ms > 0;
}
/* As many are started as the calls need, and those that are not needed end. @return when to look
 * again */
uint64_t lithops__relay_tend_size(struct lithops__relay *relay);
/* No worker is there, and none is started for now. */
bool lithops__relay_is_stuck(const struct lithops__relay *relay);
/* There may be more workers than there are. */
bool lithops__relay_may_grow(const struct lithops__relay *relay);

/* life.c */
/* Whether a call of the range, if it begins now, ends before its worker is ended. */
bool lithops__link_has_time(const struct lithops__link *link, const struct lithops__range *range);
/* It gets no more calls; those that it has not begun are asked for. */
void lithops__link_leave(struct lithops__link *link);

/* wires.c */
static inline bool lithops__link_is_up(const struct lithops__link *link)
{
    return link->state >= LITHOPS__LINK_STARTING;
}
/* `wire` is connected: say hello. */
void lithops__link_connected(struct lithops__link *link);
void lithops__link_read(struct lithops__link *link);
/* Close it, and forget what was to be sent. */
void lithops__link_hang_up(struct lithops__link *link);
/* Close the link for this reason, and settle its calls. */
void lithops__link_lost(struct lithops__link *link, const lithops_error *why);

/* hello.c: hello and jobs */
/* Read the files that hello names: it may take a while. Hello tells what fails. */
void lithops__relay_hash_program(struct lithops__relay *relay);
int lithops__link_hello(struct lithops__link *link, lithops_error *err);
int lithops__link_hello_came(struct lithops__link *link, const struct lithops__frame *frame,
                             lithops_error *err);
/* Tell the link of the job that a range belongs to, if it does not know it yet. */
int lithops__link_job(struct lithops__link *link, uint32_t range, lithops_error *err);

/* need.c: files that a worker lacks */
int lithops__link_need_came(struct lithops__link *link, const struct lithops__frame *frame,
                            lithops_error *err);
/* Tell workers that what they lacked is in the storage now. */
void lithops__relay_answer_needs(struct lithops__relay *relay);
void lithops__link_drop_needs(struct lithops__link *link);

/* loop.c */
void *lithops__relay_run(void *relay);

/* turn.c */
/* In turns, so that each link gets its share. True: some were claimed. */
bool lithops__relay_claim(struct lithops__relay *relay);
/* @return whether a link has no more to send: it may be given calls again, for which nothing else
 * would wake the relay */
bool lithops__relay_write(struct lithops__relay *relay);
/* A link has credit, or calls are to be looked for. */
bool lithops__relay_wants_calls(const struct lithops__relay *relay);
bool lithops__relay_do_calls_wait(struct lithops__relay *relay);
bool lithops__link_is_dead(const struct lithops__link *link);
/* What to wait for: the event, then two per link, to read and to write. @return how many */
nfds_t lithops__relay_list_fds(const struct lithops__relay *relay, struct pollfd *fds);
/* Milliseconds for poll(), rounded up. */
int lithops__relay_timeout_ms(uint64_t until_ns);

/* lend.c */
extern const struct lithops__service lithops__relay_service;
/* Nothing is going on but a few calls. */
bool lithops__relay_is_calm(const struct lithops__relay *relay);
/* The relay's thread, at the helm: until the links are its own again. */
void lithops__relay_await_helm(struct lithops__relay *relay);

/* hello.c: it was told of the job that a range belongs to. */
bool lithops__link_knows_job(const struct lithops__link *link, uint32_t range);
/* Tell the links which jobs are gone. */
void lithops__relay_forget_jobs(struct lithops__relay *relay);

/* claim.c: take calls for a link that has credit. True: some were taken. */
bool lithops__link_claim(struct lithops__link *link);

/* reduce.c */
/* Send those of reducers [begin, end) that may start; their range is announced. */
void lithops__relay_take_reducers(struct lithops__relay *relay, uint32_t range, uint64_t begin,
                                  uint64_t end);
/* Map calls [begin, end) were taken or published, which this range of reducers, if it is still
 * there, reads: those that may start now are sent, those that run get results. */
void lithops__relay_reducers(struct lithops__relay *relay, uint32_t range, uint32_t generation,
                             uint64_t begin, uint64_t end);
/* Send reducers the outcomes that map calls were given by others than workers. */
void lithops__relay_feed_settled(struct lithops__relay *relay);
/* Whether reducers run whose map calls are not all done. */
bool lithops__relay_is_feeding(const struct lithops__relay *relay);

/* back.c: calls that one worker has not begun, for one that has nothing to do */
/* Ask for some, if there is a reason. @return when to look again */
uint64_t lithops__relay_take_back(struct lithops__relay *relay);
/* Ask for all that it has not begun. */
void lithops__link_ask_all(struct lithops__link *link);
/* It gave calls back: prefer others for a while. */
void lithops__link_rest(struct lithops__link *link);
/* It runs calls: no longer prefer others. */
void lithops__link_end_rest(struct lithops__link *link);
/* Whether it gets no calls now because others are preferred. */
bool lithops__link_is_resting(const struct lithops__link *link);

/* The relay's thread has something to do. Thread-safe. */
static inline void lithops__relay_wake(const struct lithops__relay *relay)
{
    uint64_t one = 1;
    (void)!write(relay->event_fd, &one, sizeof one);
}

/* settle.c */
int lithops__link_outcomes_came(struct lithops__link *link, const struct lithops__frame *frame,
                                lithops_error *err);
int lithops__link_blob_came(struct lithops__link *link, const struct lithops__frame *frame,
                            lithops_error *err);
int lithops__link_blob_began(struct lithops__link *link, const struct lithops__frame *frame,
                             size_t left, struct lithops__rest *ret_rest, lithops_error *err);

/* Once more: an outcome that was parked. 0: it is published; 1: there is no room yet */
int lithops__link_place(struct lithops__link *link, const struct lithops__outcome *outcome,
                        bool impatient);

/* park.c: results that find no room */
/* Room for the result of a call, if it is its turn; 0: not now.
 * @param impatient  the last look: room for others need not be left */
lithops__offset lithops__link_room(struct lithops__link *link,
                                   const struct lithops__activation *activation, uint32_t call,
                                   uint64_t len, bool impatient);
/* Its result of so many bytes has no room: keep it until it has. ENOMEM */
int lithops__link_park(struct lithops__link *link, const struct lithops__outcome *outcome,
                       uint64_t bytes, lithops_error *err);
/* What workers are to hold, and which of it to send. */
void lithops__relay_tell_parked(struct lithops__relay *relay);

/* place.c */
/* Publish what there is room for, or what is tired of waiting. @return when to look again */
uint64_t lithops__relay_place(struct lithops__relay *relay);

/* loss.c */
/* Its calls run elsewhere, run again, or end with `why`. */
void lithops__link_settle_all(struct lithops__link *link, const lithops_error *why);
/* Mark as cancelled what other processes have stopped. */
void lithops__relay_find_stops(struct lithops__relay *relay);
/* [L] Send the marked cancels. */
void lithops__link_tell_cancels(struct lithops__link *link);

#endif
