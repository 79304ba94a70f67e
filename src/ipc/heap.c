/* SPDX-License-Identifier: Apache-2.0 */
/* Size classes, four to each power of two, with a last-in-first-out list of free blocks each;
 * nothing is split or merged.
 *
 * Last in, first out matters: the pages of a block that was just freed are mapped in client and
 * workers already, while each process pays 1 us or more for every page that it has not touched
 * yet. A second map of a million calls runs in the memory of the first one. Only what lies unused
 * beyond 256 MiB, or is in the way of an allocation that fails, is given back to the system. */
#include "ipc/heap.h"

#include "ipc/region.h"

#include <stdlib.h>
#include <string.h>

enum { MIN_BLOCK = 32, SMALL = 1024 };
static const uint64_t cache_bytes = 256u << 20;     /* at most, and an eighth of all there is */
static const uint64_t release_from_bytes = 1 << 20; /* smaller blocks are kept for good */

/* Classes 0..3 are 32, 40, 48, 56; then twice that, and so on. */
static uint64_t class_size(unsigned index)
{
    return (uint64_t)(4 + index % 4) << (3 + index / 4);
}

static unsigned class_of(uint64_t size)
{
    if (size <= MIN_BLOCK)
        return 0;
    unsigned log = 63 - (unsigned)__builtin_clzll(size - 1); /* size in (2^log, 2^(log+1)] */
    unsigned index = (log - 5) * 4;
    while (class_size(index) < size)
        index++;
    return index;
}

/* Bytes between the start of a block and its data: room for the struct lithops__block right
 * before the data. */
static uint64_t lead_of(uint64_t len)
{
    return len >= SMALL ? 64 : sizeof(struct lithops__block);
}

void lithops__heap_init(struct lithops__heap *heap, struct lithops__area *area)
{
    memset(heap, 0, sizeof *heap);
    heap->area = area;
    uint64_t share = area->control->memory_limit / 8;
    heap->cache_bytes = share < cache_bytes ? share : cache_bytes;
}

void lithops__heap_deinit(struct lithops__heap *heap)
{
    for (int i = 0; i < LITHOPS__HEAP_CLASSES; i++)
        free(heap->lists[i].blocks);
}

static void release_list(struct lithops__heap *heap, unsigned index)
{
    struct lithops__heap_list *list = &heap->lists[index];
    uint64_t size = class_size(index) / 4096 * 4096;
    for (; list->released < list->count; list->released++) {
        lithops__area_decommit(heap->area, list->blocks[list->released], size);
        heap->cached -= class_size(index);
    }
}

static void release_all(struct lithops__heap *heap)
{
    for (unsigned i = class_of(release_from_bytes); i < LITHOPS__HEAP_CLASSES; i++)
        release_list(heap, i);
}

/* Take memory up to `end`, ahead of need by as much as there is, within 64 KiB and 16 MiB. */
static int commit_to(struct lithops__heap *heap, uint64_t end)
{
    if (end <= heap->committed)
        return 0;
    uint64_t ahead = heap->committed;
    ahead = ahead < (64u << 10) ? 64u << 10 : ahead > (16u << 20) ? 16u << 20 : ahead;
    uint64_t target = (end + 4095) / 4096 * 4096, most = heap->area->control->heap_bytes;
    uint64_t wide = heap->committed + ahead > target ? heap->committed + ahead : target;
    if (wide > most)
        wide = target;
    if (wide > most)
        return -1;
    lithops__offset at = heap->area->control->heap + heap->committed;
    if (lithops__area_commit(heap->area, at, wide - heap->committed) == 0) {
        heap->committed = wide;
        return 0;
    }
    release_all(heap);
    lithops__regions_trim(heap->area);
    if (lithops__area_commit(heap->area, at, target - heap->committed) != 0)
        return -1;
    heap->committed = target;
    return 0;
}

/* A block of a class from its list; 0 when there is none. */
static lithops__offset take_cached(struct lithops__heap *heap, unsigned index)
{
    struct lithops__heap_list *list = &heap->lists[index];
    if (list->count == 0)
        return 0;
    lithops__offset block = list->blocks[list->count - 1];
    if (list->released == list->count) {
        uint64_t size = class_size(index) / 4096 * 4096;
        if (lithops__area_commit(heap->area, block, size) != 0) {
            release_all(heap);
            lithops__regions_trim(heap->area);
            if (lithops__area_commit(heap->area, block, size) != 0)
                return 0;
        }
        list->released--;
    } else {
        heap->cached -= class_size(index);
    }
    list->count--;
    return block;
}

lithops__offset lithops__heap_alloc(struct lithops__heap *heap, uint64_t len)
{
    uint64_t lead = lead_of(len);
    if (len > heap->area->control->heap_bytes - lead)
        return 0;
    unsigned index = class_of(lead + len);
    lithops__offset block = take_cached(heap, index);
    if (block == 0) {
        uint64_t start = heap->top, size = class_size(index);
        if (size >= release_from_bytes)
            start = (start + 4095) / 4096 * 4096; /* whole pages can be given back */
        else
            start = (start + 63) / 64 * 64;
        if (size > heap->area->control->heap_bytes ||
            start > heap->area->control->heap_bytes - size || commit_to(heap, start + size) != 0)
            return 0;
        heap->top = start + size;
        block = heap->area->control->heap + start;
    }
    struct lithops__block *header = lithops__at(heap->area, block + lead - sizeof *header);
    header->len = len;
    header->class_index = index;
    return block + lead;
}

void lithops__heap_free(struct lithops__heap *heap, lithops__offset offset)
{
    if (offset == 0)
        return;
    const struct lithops__block *header = lithops__at(heap->area, offset - sizeof *header);
    unsigned index = (unsigned)header->class_index;
    struct lithops__heap_list *list = &heap->lists[index];
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 16;
        lithops__offset *blocks = realloc(list->blocks, capacity * sizeof *blocks);
        if (!blocks)
            return; /* the block is lost until the executor closes; nothing else breaks */
        list->blocks = blocks;
        list->capacity = capacity;
    }
    list->blocks[list->count++] = offset - lead_of(header->len);
    heap->cached += class_size(index);
    if (heap->cached > heap->cache_bytes && class_size(index) >= release_from_bytes)
        release_list(heap, index);
}
