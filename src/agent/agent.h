/* SPDX-License-Identifier: Apache-2.0 */
/* A worker, as run by `lithops worker`: it gets calls over a link, has the worker processes of this
 * machine run them, and sends their outcomes. See docs/remote.md.
 *
 * It keeps the calls in its own table; its worker processes know nothing of the link. It has two
 * threads: the reader (agent.c, files.c, inputs.c, jobs.c) turns each activation into a range and
 * offers it; the reporter (report.c) sleeps until calls have landed, sends their outcomes and frees
 * what is done. If an activation will be done sooner than a thread wakes, the reader waits for it
 * and reports it itself. The table's lock guards what both use; reporting and writing have their
 * own locks. When the client is gone, everything ends. */
#ifndef LITHOPS_AGENT_H
#define LITHOPS_AGENT_H

#include "agent/cache.h"
#include "base/clock.h"
#include "compute/compute.h"
#include "function/code.h"
#include "wire/blobs.h"
#include "wire/intake.h"
#include "wire/message.h"

#include <lithops/function.h>
#include <lithops/storage.h>

/* Serve the client at the other end of these descriptors, which it takes over, with worker
 * processes of this backend: localhost. `storage` is where the client puts files that workers lack,
 * with the bounds of a carrier; NULL: they come over the link. Returns when the client is gone, or
 * with an error that it also sent to the client: ECANCELED once `stop_fd` is readable (-1: none
 * is), as it then ends although the client would go on. The program must have called
 * lithops_init(). */
int lithops__agent_serve(const struct lithops__compute_driver *driver, int read_fd, int write_fd,
                         int stop_fd, lithops_storage *storage, lithops_error *err);

struct lithops__agent_file {
    char sha256[65], *name;
    uint64_t size;
    int role; /* enum lithops__image_role */
    bool is_there;
};
/* A file of the cache that is being written: locked, or it would be taken for one of a worker that
 * died. */
struct lithops__partial {
    int fd; /* -1: none */
    char name[160];
};
/* How files come that the cache lacks. Where there is a storage they are looked for there, then the
 * client is asked to put them there, and what is not found even so comes over the link. */
enum lithops__files_way {
    LITHOPS__FILES_LOOKED_FOR, /* in the storage */
    LITHOPS__FILES_PUT,        /* the client is asked to put them there */
    LITHOPS__FILES_FOUND,      /* it has: they are looked for once more */
    LITHOPS__FILES_SENT,       /* the client is asked for them */
};
/* The files of the program, or of a job's library, which form one folder of the cache. */
struct lithops__agent_files {
    struct lithops__agent_file *files;
    size_t count, missing;
    char *folder; /* their absolute folder, once none is missing */
    int lock_fd;  /* of it; borrowed */
    enum lithops__files_way way;
    uint32_t stream;                         /* as in NEED */
    size_t next;                             /* the one being received */
    struct lithops__partial receiving;       /* what has come of it */
    struct lithops__agent_files *next_fetch; /* fetch.c */
};

struct lithops__agent_job {
    struct lithops__agent_job *next;
    uint32_t id;
    bool has_files;    /* [L] none is on its way */
    bool is_forgotten; /* [L] freed once nothing of it is here or on its way */
    uint32_t runs;     /* activations of it */
    char kind;
    uint32_t number, retries, chunk;
    uint64_t timeout_ticks, memory_bytes;
    lithops_value *map; /* owns the strings and bytes below */
    lithops_bytes spec;
    struct lithops__buffer moved_spec; /* owns `spec` if files were included */
    struct lithops__agent_files files;
    const char *library; /* file name, or NULL */
    char *library_path;  /* once it is there */
    lithops_function function;
    struct lithops_function_code *code;
};

/* What the client knows of a call. REPORTED_BACK: given back, which is still to be reported. */
enum lithops__reported {
    LITHOPS__REPORTED_NOTHING,
    LITHOPS__REPORTED_BEGUN,
    LITHOPS__REPORTED_HELD, /* it has begun, and has no memory before the client has some */
    LITHOPS__REPORTED_BACK,
    LITHOPS__REPORTED_DONE,
};

/* An activation. */
struct lithops__agent_run {
    struct lithops__agent_run *next;
    uint32_t id;
    struct lithops__agent_job *job;
    uint32_t range, count, left;
    uint32_t mirror;          /* range of the results that its reducer reads, plus 1; or 0 */
    uint32_t first;           /* calls before were reported */
    uint32_t wanted;          /* the client wants results of calls before, however large */
    bool is_offered;          /* its files are there, and a pool */
    lithops_error refusal;    /* code not 0: set-up failed, as does every call, with this */
    unsigned char reported[]; /* by call: enum lithops__reported */
};

struct lithops__fetch;
struct lithops__agent_objects;
struct lithops__agent_reports;

struct lithops__agent {
    int read_fd, write_fd; /* do not block */
    int stop_fd;           /* readable: it is to end; or -1 */
    int end_fd;            /* an event: the worker ends, do not wait for the client any more */
    pthread_mutex_t write_lock;
    struct lithops__table table;
    bool has_table;
    struct lithops__config *config;
    struct lithops__tick_clock clock;
    const struct lithops__compute_driver *driver;
    void *pool;     /* NULL: not open yet */
    char **command; /* command of the worker processes; NULL: the program that the client sent */
    struct lithops__agent_files program;
    uint32_t processes;
    char executor_id[32]; /* the client's */
    struct lithops__cache cache;
    uint64_t most_cache_bytes;
    lithops_storage *storage;     /* that the link goes through, or NULL */
    struct lithops__fetch *fetch; /* NULL: no storage */
    pthread_t reporter;
    bool has_reporter;
    bool is_stopped; /* the reader's: it is to end */
    bool has_news;   /* the reader's: an activation came */
    bool watches;    /* the reader's: it holds the lock of `reports` */
    struct lithops__agent_reports *reports;
    struct lithops__agent_objects *objects;
    uint64_t said_ns;    /* when it last answered bytes */
    size_t unsaid_bytes; /* that came since then */
    uint64_t ahead_us;   /* of work that a worker process has before it */
    uint64_t silent_ns;  /* a client that waits for calls and is silent for this long is gone */

    /* [L], all of it */
    bool is_closing;
    struct lithops__agent_job *jobs;
    struct lithops__agent_run *runs, *last_run;
    struct lithops__blob *blobs; /* in the heap */
    uint64_t received;           /* calls, so far */
    uint64_t reported;           /* of them, that are done or given back */
    uint64_t granted;            /* calls that the client may have sent, so far */
    bool look_again;             /* calls that came a moment ago are still here */
    uint64_t hold_bytes; /* results of this size and larger stay here: the client has no room */
};

/* send.c: write out the buffer; either thread may. False: the client is gone. */
bool lithops__agent_send(struct lithops__agent *agent, const struct lithops__buffer *buffer);
/* The same, followed by bytes that lie elsewhere. False with ETIMEDOUT in errno: the client took
 * nothing for so long, and a part of it may be sent. */
bool lithops__agent_send_with(struct lithops__agent *agent, const struct lithops__buffer *buffer,
                              lithops_bytes more, uint64_t patience_ns);

/* files.c */
/* Read the list of files from the map. */
int lithops__files_read(struct lithops__agent_files *files, const lithops_value *map,
                        lithops_error *err);
void lithops__files_deinit(struct lithops__agent_files *files);
/* Look for the files and see to it that those missing come; `stream` as in NEED. Sets `folder`. */
int lithops__files_ask(struct lithops__agent *agent, struct lithops__agent_files *files,
                       uint32_t stream, lithops_error *err);
/* They were looked for in the storage. If some are missing even so, ask the client. */
int lithops__files_fetched(struct lithops__agent *agent, struct lithops__agent_files *files,
                           lithops_error *err);
/* A piece of the next file that was asked for; or they are in the storage now. */
int lithops__files_receive(struct lithops__agent *agent, struct lithops__agent_files *files,
                           const struct lithops__frame *frame, lithops_error *err);

/* image.c */
enum { LITHOPS__FILE_NAME = 1024 };
const struct lithops__crypto_api *lithops__crypto_module(lithops_error *err);
/* Why nothing can be written there, and what to do. */
int lithops__cache_fail(const struct lithops__cache *cache, int failed, lithops_error *err);
/* 1: the image has the file, with the right hash; 0: it must come. */
int lithops__files_look_for(const struct lithops__agent *agent,
                            const struct lithops__agent_files *files,
                            const struct lithops__agent_file *file, lithops_error *err);
/* A new one of this name. */
int lithops__partial_begin(const struct lithops__agent *agent, const char *sha256,
                           struct lithops__partial *partial, lithops_error *err);
/* If the disk is full, the cache is trimmed. */
int lithops__partial_write(const struct lithops__agent *agent,
                           const struct lithops__partial *partial, lithops_bytes piece,
                           lithops_error *err);
/* 1: it has this hash; 0: it has not. */
int lithops__partial_is_right(const struct lithops__partial *partial, const char *sha256,
                              lithops_error *err);
/* Close it, and remove it where it is not placed. */
void lithops__partial_end(const struct lithops__agent *agent, struct lithops__partial *partial);
/* Move it into the image, which is held; from then on other images may link it. Thread-safe. */
int lithops__files_place(const struct lithops__agent *agent,
                         const struct lithops__agent_files *files,
                         const struct lithops__agent_file *file, struct lithops__partial *partial,
                         lithops_error *err);

/* forget.c */
/* [L] The job of this number that is not forgotten. */
struct lithops__agent_job *lithops__agent_find_job(struct lithops__agent *agent, uint32_t id);
/* The job whose files are asked for in this way under this number, forgotten or not. */
struct lithops__agent_job *lithops__agent_receiving_job(struct lithops__agent *agent, uint32_t id,
                                                        enum lithops__files_way way);
/* The client will not speak of it any more. */
void lithops__agent_forget_job(struct lithops__agent *agent, uint32_t id);
/* [L] Free it if it is forgotten and nothing of it is here or on its way. */
void lithops__agent_drop_job(struct lithops__agent *agent, struct lithops__agent_job *job);
void lithops__agent_free_job(struct lithops__agent_job *job);

/* jobs.c: one function per message. Negative: the link cannot go on. */
int lithops__agent_job_came(struct lithops__agent *agent, const struct lithops__frame *frame,
                            lithops_error *err);
int lithops__agent_run_came(struct lithops__agent *agent, const struct lithops__frame *frame,
                            lithops_error *err);
int lithops__agent_cancel_came(struct lithops__agent *agent, const struct lithops__frame *frame,
                               lithops_error *err);
int lithops__agent_hold_came(struct lithops__agent *agent, const struct lithops__frame *frame,
                             lithops_error *err);
int lithops__agent_want_came(struct lithops__agent *agent, const struct lithops__frame *frame,
                             lithops_error *err);
/* [L] Offer what was waiting for files or the pool. */
void lithops__agent_offer(struct lithops__agent *agent);
void lithops__agent_free_jobs(struct lithops__agent *agent);

/* inputs.c: one function per message. Negative: the link cannot go on. */
int lithops__agent_blob_came(struct lithops__agent *agent, const struct lithops__frame *frame,
                             lithops_error *err);
int lithops__agent_blob_began(struct lithops__agent *agent, const struct lithops__frame *frame,
                              size_t left, struct lithops__rest *ret_rest, lithops_error *err);
int lithops__agent_mirror_came(struct lithops__agent *agent, const struct lithops__frame *frame,
                               lithops_error *err);
/* [L] Its reducer is over, or does not begin. */
void lithops__agent_free_mirror(struct lithops__agent *agent, struct lithops__agent_run *run);
/* [L] Take a complete blob. *ret_at is 0 if there was no room for it. */
int lithops__agent_take_blob(struct lithops__agent *agent, uint64_t number, lithops__offset *ret_at,
                             lithops_error *err);
/* [L] Put the inputs of an activation into its range. */
int lithops__agent_store_inputs(struct lithops__agent *agent, struct lithops__agent_run *run,
                                const struct lithops__run *message, lithops_error *err);
/* ENOSPACE, with the key to raise. */
int lithops__agent_fail_space(const struct lithops__agent *agent, lithops_error *err);

/* objects.c: the client's objects, for worker processes, which find the socket by an environment
 * variable that open sets. _answer: an answer of the client has come. */
int lithops__objects_open(struct lithops__agent *agent, lithops_error *err);
void lithops__objects_close(struct lithops__agent *agent);
void lithops__objects_answer_came(struct lithops__agent *agent, const struct lithops__frame *frame);
/* Its beginning has come; the rest is passed on without being read, where that is possible. */
void lithops__objects_answer_began(struct lithops__agent *agent, const struct lithops__frame *frame,
                                   size_t left, struct lithops__rest *ret_rest);

/* report.c */
struct lithops__agent_reports *lithops__reports_new(struct lithops__agent *agent);
void lithops__reports_free(struct lithops__agent_reports *reports);
void *lithops__agent_report(void *agent);
/* [L] The reader, before it offers an activation whose calls will soon be done: it reports them
 * itself, and nobody need wake the reporter. */
void lithops__agent_begin_watch(struct lithops__agent *agent, const struct lithops__agent_run *run);
/* The reader, when all is offered: report what it watches, once it is done or a short time has
 * passed. False: the client takes nothing any more. */
bool lithops__agent_end_watch(struct lithops__agent *agent);

#endif
