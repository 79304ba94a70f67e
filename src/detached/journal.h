/* SPDX-License-Identifier: Apache-2.0 */
/* The file of a detached job: what was submitted, and the outcome of each call.
 *
 *     header, 4096 bytes | record | record | ...
 *     record: length 8 | CRC-32 4 | type 4 || bytes || padding to 8
 *
 * Records are appended and never changed. They are the truth; the second half of the header is
 * counters that say the same sooner, shared by all processes that have the file mapped. The client
 * makes the file, with PLAN and INPUTS, under another name, and renames it: so there is a whole job
 * or none. From then on the supervisor alone appends. A record that is cut or whose checksum is
 * wrong is the end of the journal: who appends cuts it off. Numbers are little-endian, as those of
 * the machine are.
 *
 * A writer or a reader belongs to one thread at a time; the header is for all. */
#ifndef LITHOPS_DETACHED_JOURNAL_H
#define LITHOPS_DETACHED_JOURNAL_H

#include "base/buffer.h"

#include <lithops/error.h>

#include <stdatomic.h>

enum {
    LITHOPS__JOURNAL_VERSION = 1, /* readers refuse any other one */
    LITHOPS__JOURNAL_HEADER = 4096,
    LITHOPS__JOURNAL_RECORD = 16, /* bytes before those of a record */
};

enum lithops__journal_type {
    LITHOPS__JOURNAL_PLAN = 1,   /* a map in MessagePack: what was submitted */
    LITHOPS__JOURNAL_INPUTS,     /* of all calls */
    LITHOPS__JOURNAL_SUPERVISED, /* a supervisor has taken it up */
    LITHOPS__JOURNAL_OUTCOMES,   /* as lithops__outcome_write(), one after the other */
};

enum lithops__journal_flag {
    LITHOPS__JOURNAL_FEEDS = 1,      /* its results are those of the reduce job of its number */
    LITHOPS__JOURNAL_GIVES_LIST = 2, /* get_result gives a list, also for one call */
    LITHOPS__JOURNAL_FAIL_REST = 4,  /* without its supervisor it ends */
};

struct lithops__journal_header {
    /* What the job is; constant, and covered by `crc`. */
    char magic[8];
    uint32_t version, uid;
    uint64_t token;                       /* random: tells it from one that had its name before */
    uint64_t boot;                        /* when the machine was started, in a way */
    uint64_t created_wall_ns, created_ns; /* the latter by CLOCK_BOOTTIME */
    uint64_t calls;
    uint64_t expiry_ns; /* how long it stays when it is done */
    uint32_t number, flags;
    char kind; /* 'A', 'M', 'R' */
    char executor_id[31];
    char function[128];
    uint32_t pad, crc;
    /* What has become of it so far. */
    _Atomic uint64_t end; /* of the records */
    _Atomic uint64_t success, failed, canceled;
    _Atomic uint64_t ended_wall_ns, ended_ns; /* 0: it has not ended */
    _Atomic uint32_t stop;                    /* all its calls are to be cancelled */
    _Atomic int32_t trouble;                  /* errno: outcomes cannot be written at the moment */
};

struct lithops__journal {
    int fd;
    struct lithops__journal_header *header; /* mapped, shared */
    uint64_t at;                            /* where the next record is read or appended */
    struct lithops__buffer buffer;          /* of a reader */
};
#define LITHOPS__JOURNAL_INIT                                                                      \
    {                                                                                              \
        -1, NULL, 0, LITHOPS__BUFFER_INIT                                                          \
    }

/* How a moment is written down, so that setting the clock does no harm. */
uint64_t lithops__boot(void);    /* the same until the machine is started again */
uint64_t lithops__boot_ns(void); /* CLOCK_BOOTTIME */
/* How long ago that was; 0 where the clock says that it is yet to come. */
uint64_t lithops__age_ns(uint64_t boot, uint64_t then_ns, uint64_t then_wall_ns);

uint32_t lithops__crc32(uint32_t crc, const void *data, size_t len);

/* Make a file at `name` in the folder, which must not be there, with this header; its constant half
 * is completed. ENOSPACE, EIO. */
int lithops__journal_create(struct lithops__journal *journal, int folder, const char *name,
                            const struct lithops__journal_header *header, lithops_error *err);
/* Open one; `at` is behind the header. ENOTFOUND; EDENIED: another user's; EPARSE: it is none, or
 * of another version. */
int lithops__journal_open(struct lithops__journal *journal, int folder, const char *name,
                          lithops_error *err);
void lithops__journal_close(struct lithops__journal *journal);

/* Append a record at `at`. Nothing of it is left on failure: ENOSPACE, EIO. */
int lithops__journal_append(struct lithops__journal *journal, enum lithops__journal_type type,
                            lithops_bytes bytes, lithops_error *err);
/* The same in two steps: readers see it only after the second. */
int lithops__journal_write(struct lithops__journal *journal, enum lithops__journal_type type,
                           lithops_bytes bytes, lithops_error *err);
void lithops__journal_show(struct lithops__journal *journal);
/* The next record, whose bytes are borrowed until the next read. 1; 0: there is none yet;
 * LITHOPS_ENOMEM, LITHOPS_EIO. `all`: also what the header does not count yet. */
int lithops__journal_read(struct lithops__journal *journal, bool all, uint32_t *ret_type,
                          lithops_bytes *ret_bytes, lithops_error *err);
/* Cut off what is behind `at`: the rest of a record whose writer is dead. */
int lithops__journal_cut(struct lithops__journal *journal, lithops_error *err);

static inline uint64_t lithops__journal_done(const struct lithops__journal_header *header)
{
    return atomic_load(&header->success) + atomic_load(&header->failed) +
           atomic_load(&header->canceled);
}

#endif
