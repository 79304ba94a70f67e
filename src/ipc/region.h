/* SPDX-License-Identifier: Apache-2.0 */
/* A worker's allocator for results, in its own region of the shared memory.
 *
 * Only the worker allocates; only the client frees, by counting up in the page that holds the
 * block. They share no lock and no list, so neither can damage the other by dying. */
#ifndef LITHOPS_IPC_REGION_H
#define LITHOPS_IPC_REGION_H

#include "ipc/area.h"

enum { LITHOPS__REGION_CLASSES = 128 };

/* At the start of each extent (one or more pages). */
struct lithops__page {
    uint32_t pages;               /* length of the extent */
    _Atomic uint32_t is_released; /* free, and its memory was given back but for the first 4 KiB */
    _Atomic uint64_t allocated;   /* blocks that were published; written by the worker */
    _Atomic uint64_t freed;       /* blocks that were given back; written by the client */
    _Atomic uint32_t held;        /* its holder may change the lines above; enum in region.c */
    uint32_t pad[9];
};

/* Extents of one class that are full: they come free in about the order in which they filled. */
struct lithops__region_queue {
    uint64_t *pages; /* ring of page numbers */
    size_t head, count, capacity;
};

struct lithops__region {
    struct lithops__area *area;
    struct lithops__worker *worker;
    lithops__offset base;
    uint64_t high_pages, most_pages;
    struct lithops__page *current; /* where small blocks come from */
    uint64_t current_at, current_used;
    uint64_t written;    /* bytes published, not yet added to those of all workers */
    uint64_t pending_at; /* extent of the large block that is not published yet */
    struct lithops__region_queue retired[LITHOPS__REGION_CLASSES];
    int (*before_growth)(void *user, uint64_t bytes); /* room in the memory group; may be NULL */
    void *user;
};

/* Take over the region of `worker`, with whatever an earlier process left there. */
int lithops__region_init(struct lithops__region *region, struct lithops__area *area,
                         unsigned worker);
/* Room for `len` bytes: its offset; 0 when memory is out. Publish it before it goes into a record,
 * or undo it with lithops__region_undo(), before the next allocation.
 */
lithops__offset lithops__region_alloc(struct lithops__region *region, uint64_t len);
/* Would room for `len` bytes, and as much once more, take memory that may not be there? Cheap; true
 * too often, never too rarely. */
bool lithops__region_is_scarce(const struct lithops__region *region, uint64_t len);
/* Is there room for `count` blocks of `len` bytes, here and now? */
bool lithops__region_has_room(const struct lithops__region *region, uint64_t len, unsigned count);
/* Might there be room once other blocks, of any region, are freed? */
bool lithops__region_could_hold(const struct lithops__region *region, uint64_t len);
/* The block is used, with its first `len` bytes. */
void lithops__region_publish(struct lithops__region *region, lithops__offset offset, uint64_t len);
/* The block, the last one allocated, is not used. */
void lithops__region_undo(struct lithops__region *region, lithops__offset offset);

/* Client: give a block back. */
void lithops__region_release(struct lithops__area *area, lithops__offset offset);

/* Client or worker: give the memory of free extents, of all regions, back to the system, all but
 * `keep_bytes`. Other sizes or another worker need it, or it is idle. */
void lithops__regions_trim(struct lithops__area *area, uint64_t keep_bytes);

#endif
