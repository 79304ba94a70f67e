/* SPDX-License-Identifier: Apache-2.0 */
/* What client and worker processes share: one memory file, mapped whole by all of them.
 *
 *     control block | span ring | table of call ranges | client heap | region of worker 0 | 1 | ...
 *
 * The file is sparse: virtual sizes are generous, memory is taken as it is touched. Everything
 * refers to everything else by offset from the start of the file, 0 meaning "none".
 *
 * A *range* is the calls of one job (or of many single calls of one function): for each call a
 * state and a record. The state is the truth about a call, and the only one:
 *
 *     PENDING --worker, CAS--> RUNNING by w --w, store--> SUCCESS or FAILED
 *      ^ |                      |   '----client, CAS, after w has died--> FAILED or CANCELED
 *      | '--client, CAS--> CANCELED (or FAILED)
 *      '-----client, after w has died, where the call may be run again (retries)
 *
 * A worker process owns a call only from its CAS on; everything that leads it there (spans, the
 * claims that it stakes in them) is a hint, may name a call twice, and can be lost with a
 * process without harm, as whoever survives offers the calls again. This is what makes "exactly
 * one outcome" hold when a process dies at any instruction. See docs/engine.md. */
#ifndef LITHOPS_IPC_LAYOUT_H
#define LITHOPS_IPC_LAYOUT_H

#include <lithops/base.h>

#include <stdatomic.h>
#include <sys/types.h>

#define LITHOPS__LINE 128 /* two cache lines: the unit that CPUs prefetch */
#define LITHOPS__ALIGNED_LINE _Alignas(LITHOPS__LINE)

#define LITHOPS__IPC_MAGIC 0x31637069736f6c6cu
#define LITHOPS__IPC_ABI 8

enum {
    LITHOPS__MAX_WORKERS = 1024,
    LITHOPS__MAX_FUNCTIONS = 1 << 16,
    LITHOPS__MAX_SPANS = 1 << 20,  /* in the ring at one time */
    LITHOPS__MAX_RANGES = 1 << 20, /* open at one time */
    LITHOPS__PAGE = 1 << 16,       /* unit of a worker's region */
};

typedef uint64_t lithops__offset; /* from the start of the memory file */

/* ---- calls ----------------------------------------------------------------------------------- */

/* A state: what it is in the low bits, and the worker that runs (or ran) the call. */
typedef _Atomic uint16_t lithops__state;
enum {
    LITHOPS__PENDING = 0,
    LITHOPS__DEFERRED = 1, /* its input is not known yet; the client makes it PENDING */
    LITHOPS__RUNNING = 2,
    LITHOPS__SUCCESS = 3,
    LITHOPS__FAILED = 4,
    LITHOPS__CANCELED = 5,
    LITHOPS__STATE_MASK = 7,
    LITHOPS__STATE_WORKER_SHIFT = 3,
    LITHOPS__NO_WORKER = 0x1fff,
};
static inline unsigned lithops__state_of(uint16_t state)
{
    return state & LITHOPS__STATE_MASK;
}
static inline unsigned lithops__state_worker(uint16_t state)
{
    return state >> LITHOPS__STATE_WORKER_SHIFT;
}
static inline uint16_t lithops__state_make(unsigned what, unsigned worker)
{
    return (uint16_t)(what | worker << LITHOPS__STATE_WORKER_SHIFT);
}
/* Cancelled before a worker took it: such a call has no record. */
#define LITHOPS__NEVER_RAN lithops__state_make(LITHOPS__CANCELED, LITHOPS__NO_WORKER)
static inline bool lithops__state_is_done(uint16_t state)
{
    return lithops__state_of(state) >= LITHOPS__SUCCESS;
}

/* How the bytes of an input or result are to be read. Up to DOUBLE the payload itself is the
 * value; the others are at offset `payload`, with their length in the 8 bytes 16 before it. */
enum lithops__content {
    LITHOPS__CONTENT_NULL,
    LITHOPS__CONTENT_BOOL,
    LITHOPS__CONTENT_INT,
    LITHOPS__CONTENT_DOUBLE,
    LITHOPS__CONTENT_STRING,
    LITHOPS__CONTENT_BYTES,
    LITHOPS__CONTENT_PACKED, /* a list or map in MessagePack */
    LITHOPS__CONTENT_PICKLE, /* a Python object */
    LITHOPS__CONTENT_ERROR,  /* a struct lithops__call_error */
    LITHOPS__CONTENT_GATE,   /* input of a reducer: a struct lithops__gate */
    LITHOPS__CONTENT_GONE,   /* the result was given back */
};
#define LITHOPS__CONTENT_INLINE LITHOPS__CONTENT_DOUBLE
#define LITHOPS__CONTENT_MASK 0x7f
#define LITHOPS__CONTENT_COLD 0x80 /* flag: the first calls of a fresh worker process */

/* 24 bytes; with the state and `extra` a future costs 30. Times are ticks since the control
 * block's epoch: 56 bits last for 166 days at 5 GHz. Calls that take well under a microsecond are
 * timed in groups, and share out the group's time. */
struct lithops__record {
    uint64_t payload;
    uint64_t start_and_content; /* start << 8 | enum lithops__content */
    uint64_t end;
};
static inline enum lithops__content lithops__record_content(const struct lithops__record *record)
{
    return (enum lithops__content)(record->start_and_content & LITHOPS__CONTENT_MASK);
}
static inline uint64_t lithops__record_start(const struct lithops__record *record)
{
    return record->start_and_content >> 8;
}

/* In front of every block that a payload points to. */
struct lithops__block {
    uint64_t len;
    uint64_t class_index; /* of the client heap's allocator */
};

/* More about one call: only for calls that ran long enough to be asked about, or wrote output. */
struct lithops__call_extra {
    uint64_t user_us, system_us; /* CPU time */
    uint64_t peak_start_kb, peak_end_kb, rss_kb, vms_kb, uss_kb;
    uint64_t net_sent, net_received; /* on all interfaces of the machine */
    uint64_t log_begin, log_end;     /* in the log file of the worker slot */
};

/* The outcome of a call that failed; strings follow the struct, each NUL-terminated, and then the
 * runtime's data. */
struct lithops__call_error {
    int32_t code, signal, os_errno;
    uint32_t message_len, traceback_len;
    uint64_t data_len;
};

/* Bits beside the number of a single call: its result can no longer be asked for; another process
 * wants it stopped. */
#define LITHOPS__NUMBER_UNWANTED (1u << 31)
#define LITHOPS__NUMBER_STOPPED (1u << 30)
#define LITHOPS__NUMBER_MASK (LITHOPS__NUMBER_STOPPED - 1)

/* One input, where inputs differ in type or length. */
struct lithops__slot {
    uint64_t payload;
    uint64_t content; /* enum lithops__content */
};

/* What a reducer consumes: the results of calls [begin, end) of a range. */
struct lithops__gate {
    uint32_t range;
    uint32_t percent; /* of them must be done before it may start */
    uint64_t begin, end;
};

enum lithops__input_kind {
    LITHOPS__INPUT_RANGE,   /* input_start + i */
    LITHOPS__INPUT_INTS,    /* int64_t[n] at `inputs` */
    LITHOPS__INPUT_DOUBLES, /* double[n] */
    LITHOPS__INPUT_ITEMS,   /* input_bytes each */
    LITHOPS__INPUT_SLOTS,   /* struct lithops__slot[n] */
};

/* In place of a job's kind, A, M or R: its calls run elsewhere, see agent/inputs.c. */
#define LITHOPS__JOB_MIRROR '='

/* The calls of one job. Written by the client before its span is pushed; after that only the
 * atomics change. `generation` is odd while the slot is free: a worker that holds a range says so
 * in its line, and then checks that the generation is still the one it wanted. */
struct lithops__range {
    LITHOPS__ALIGNED_LINE _Atomic uint32_t generation;
    uint32_t function;      /* index in the function table */
    _Atomic uint64_t count; /* calls; grows in a range of single calls, up to `capacity` */
    uint64_t capacity;
    lithops__offset states, records, extras;
    enum lithops__input_kind input_kind;
    uint32_t input_bytes;
    int64_t input_start;
    lithops__offset inputs;
    lithops__offset spec; /* MessagePack map: extra_args, env, modules, ...; 0: nothing special */
    uint64_t spec_len;
    uint64_t timeout_ticks;
    uint64_t memory_bytes; /* limit of the worker process; 0: none */
    uint32_t chunk;        /* calls per claim; 0: adapts */
    uint32_t retries;      /* a failed call is run again so often; its `extra` counts meanwhile */
    uint32_t dependents;   /* range of the reducers that read this one, plus 1; 0: none */
    uint32_t dependents_generation;
    /* How its calls are named: see struct lithops__job_name. */
    char executor_id[32];
    char job_kind;
    uint32_t job_number;
    uint64_t first_id;
    lithops__offset numbers; /* a range of single calls: the job number of each, atomic uint32_t */
    uint64_t submit_ticks;

    /* Who waits. Workers look here after each call. */
    LITHOPS__ALIGNED_LINE _Atomic uint32_t want_each; /* waiters that want to hear of each call */
    _Atomic uint32_t want_any;                        /* of these, who take whatever is done */
    _Atomic uint32_t want_end;                        /* ... of the last one */
    _Atomic uint64_t want_call;                       /* ... of this one, plus 1; a single waiter */
    _Atomic uint32_t failed; /* calls that have failed, about: never 0 when there is one */
    _Atomic uint32_t canceled;
    _Atomic uint32_t recount;    /* a worker died here: done_hint may be too low */
    _Atomic uint32_t wrote;      /* some call has written output */
    _Atomic uint32_t has_blocks; /* some result, error or note of a call takes memory of its own */
    _Atomic uint32_t unwanted;   /* results can no longer be asked for: they are not kept */
    _Atomic uint32_t retried;    /* how often calls were run again after a failure */

    LITHOPS__ALIGNED_LINE _Atomic uint64_t done_hint;
};

/* A piece of a range that is offered to workers: calls [next, end). `end` UINT64_MAX means the
 * range's count, which may still grow: `open`. */
struct lithops__span {
    _Atomic uint64_t next;
    _Atomic uint64_t end;
    uint32_t range;
    uint32_t generation; /* of the range */
    _Atomic uint32_t open;
};

/* ---- processes ------------------------------------------------------------------------------- */

enum lithops__worker_state {
    LITHOPS__WORKER_NONE,
    LITHOPS__WORKER_STARTING,
    LITHOPS__WORKER_READY,
};

/* One line per worker slot. The worker writes it; the client reads it, above all when the worker is
 * dead. */
struct lithops__worker {
    LITHOPS__ALIGNED_LINE _Atomic uint32_t parked; /* futex; 1: sleeps or is about to */
    _Atomic uint32_t state;                        /* enum lithops__worker_state */
    _Atomic int32_t pid;

    LITHOPS__ALIGNED_LINE _Atomic uint32_t range; /* it may touch this range; plus 1; 0: none */
    _Atomic uint32_t claiming;    /* between staking a claim and announcing it in begin, end */
    _Atomic uint64_t begin, end;  /* the claim */
    _Atomic uint64_t current;     /* the call that it runs, or tries to take */
    _Atomic uint64_t busy_since;  /* ticks; 0: runs no call */
    _Atomic uint64_t busy_first;  /* the call that began then; later ones of its group have not */
    _Atomic uint64_t lacks_bytes; /* its call waits for so much memory; 0: it does not */
    _Atomic uint64_t log_size;    /* of its log file, before the call that it runs */
    _Atomic uint64_t log_gone;    /* what was written before is not kept any more */
    uint64_t log_half, log_kept;  /* what goes next: up to here; bytes kept from there on */

    /* The signal handler's note about the worker's end. */
    LITHOPS__ALIGNED_LINE _Atomic uint32_t crash_signal;
    uint32_t crash_memory; /* memory was at its limit */
    uint64_t crash_address;
    char crash_text[1000]; /* backtrace */

    /* The worker's region: pages below `high` were handed out at least once. */
    LITHOPS__ALIGNED_LINE _Atomic uint64_t region_high;
    _Atomic uint64_t region_committed;
};

struct lithops__function_slot {
    char name[200];                             /* "square" or "libmath.so:square" */
    lithops__offset library, symbol, signature; /* strings; 0: none. See function/function.h */
    uint64_t code_id; /* code of a runtime; 0: none. Its slot is used again when no range is left */
    lithops__offset code;
    uint64_t code_len;
    _Atomic uint64_t average_ps;  /* time of a call, lately, in picoseconds; 0: not known */
    _Atomic uint64_t clean_ticks; /* of a call that did nothing to its process; 0: not known */
    _Atomic uint32_t
        writes; /* its calls write past stdio's buffers: groups of one, to tell whose */
};

enum lithops__elsewhere {
    LITHOPS__ELSEWHERE = 1, /* the client is on the other side of a link, and files are its */
    LITHOPS__FOLLOWS,       /* the calls are: these only follow them, see detached/follow.h */
};

struct lithops__control {
    uint64_t magic;
    uint32_t abi;
    uint32_t max_workers;
    pid_t client_pid;
    int client_fd;        /* where the client has this file open */
    int wake_fd;          /* of the client: written to wake what takes calls there; 0: none is */
    char executor_id[32]; /* this memory file's; its ranges may hold calls of another executor */
    uint64_t total_bytes;
    lithops__offset spans, ranges, functions, heap, regions;
    uint64_t heap_bytes, region_bytes; /* region_bytes per worker */
    uint64_t memory_limit;             /* for `committed` */
    char memory_key[64];               /* of the configuration: what limits it */
    uint64_t epoch_ticks;              /* times in records count from here */
    uint64_t spin_ticks;               /* 0: do not spin, as with a single CPU */
    uint64_t ticks_per_ms;
    uint64_t calls_per_process; /* then a fresh one follows; 0: no limit */
    lithops__offset config;     /* MessagePack: the checked configuration, for storage in workers */
    uint64_t config_len;
    uint32_t is_elsewhere; /* 0, or one of enum lithops__elsewhere */
    char cgroup[256];      /* folder for the workers' memory groups; empty: rlimits are used */

    uint64_t log_call_bytes, log_slot_bytes; /* kept of a call's output, and of all in a slot */
    _Atomic uint32_t has_guard;              /* or had */
    _Atomic int32_t guard_pid;               /* 0: not yet */
    _Atomic uint32_t has_watch_pipes;        /* the client hears of a worker's end by a pipe */

    LITHOPS__ALIGNED_LINE _Atomic uint32_t doorbell; /* counts submissions */
    _Atomic uint32_t shutdown;
    _Atomic uint32_t stops; /* counts how often another process has stopped calls on links */
    LITHOPS__ALIGNED_LINE _Atomic uint32_t spinner;     /* slot of the worker that spins, plus 1 */
    _Atomic uint64_t parked[LITHOPS__MAX_WORKERS / 64]; /* bits: workers that sleep */
    LITHOPS__ALIGNED_LINE _Atomic uint32_t landed;      /* futex of waiters: counts wake-ups */
    _Atomic uint32_t waiting;                           /* a waiter sleeps, or is about to */
    _Atomic uint32_t waiters; /* waiting threads of the client, except those of callbacks */
    LITHOPS__ALIGNED_LINE _Atomic uint64_t head; /* of the span ring */
    LITHOPS__ALIGNED_LINE _Atomic uint64_t tail;
    LITHOPS__ALIGNED_LINE _Atomic uint64_t committed; /* bytes of memory taken */
    _Atomic uint64_t ranges_high;                     /* ranges below were used at least once */
    LITHOPS__ALIGNED_LINE _Atomic uint32_t freed;     /* futex of workers that lack memory */
    _Atomic uint32_t memory_wanted;                   /* one of them sleeps, or is about to */
    _Atomic uint32_t lacking;        /* how many there are; after deaths perhaps more than that */
    _Atomic uint64_t short_since_ns; /* memory lacks since then, and none came back; 0: enough */
    _Atomic uint64_t
        results_written; /* bytes of results so far, less what a worker has not added */

    struct lithops__worker workers[]; /* max_workers of them */
};

#endif
