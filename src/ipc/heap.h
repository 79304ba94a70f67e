/* SPDX-License-Identifier: Apache-2.0 */
/* The client's allocator for shared memory: inputs, call tables, error records.
 *
 * Only the client allocates here, and its bookkeeping is in private memory, so a worker that dies
 * cannot damage it. One thread at a time: the executor's lock guards it. */
#ifndef LITHOPS_IPC_HEAP_H
#define LITHOPS_IPC_HEAP_H

#include "ipc/area.h"

enum {
    LITHOPS__HEAP_CLASSES = 240,      /* the largest that 64 bits can say */
    LITHOPS__HEAP_SLAB = 64 << 10,    /* where small blocks come from; aligned to its size */
    LITHOPS__HEAP_SMALL_CLASSES = 40, /* blocks up to 28 KiB */
    LITHOPS__HEAP_FINE_CLASSES = 24,  /* blocks up to 1792 bytes, from slabs of a quarter */
};

struct lithops__heap_list {
    lithops__offset *blocks;
    size_t count, capacity;
    size_t released; /* the first so many were given back to the system */
};

struct lithops__heap_slab; /* heap.c */

struct lithops__heap {
    struct lithops__area *area;
    uint64_t top, committed; /* offsets into the heap: handed out below, memory taken below */
    uint64_t cached;         /* bytes of free blocks and slabs that still hold memory */
    uint64_t cache_bytes;    /* how many there may be while the client works */
    struct lithops__heap_list lists[LITHOPS__HEAP_CLASSES]; /* of large blocks */
    struct lithops__heap_list empty[2]; /* slabs without a block in use: the smaller ones first */
    struct lithops__heap_slab **slabs;  /* by the quarters that they cover; NULL: no slab */
    size_t slab_capacity;
    struct lithops__heap_slab *open[LITHOPS__HEAP_SMALL_CLASSES]; /* lists of those with room */
};

void lithops__heap_init(struct lithops__heap *heap, struct lithops__area *area);
void lithops__heap_deinit(struct lithops__heap *heap);
/* `len` bytes, 16-byte aligned, 64-byte aligned from 1 KiB on; not zeroed. 0 when memory is out. */
lithops__offset lithops__heap_alloc(struct lithops__heap *heap, uint64_t len);
void lithops__heap_free(struct lithops__heap *heap, lithops__offset offset); /* 0 is fine */
/* Give free memory back to the system, down to `keep_bytes`. */
void lithops__heap_trim(struct lithops__heap *heap, uint64_t keep_bytes);

#endif
