/* SPDX-License-Identifier: Apache-2.0 */
/* Size classes, four to each power of two. Blocks of the large ones have a last-in-first-out list
 * of free blocks each; small ones are cut from slabs of 64 KiB, which are free as a whole when the
 * last of their blocks is. The smallest are cut from 16 KiB: a program whose first call takes four
 * slabs pays for their pages as it starts.
 *
 * Last in, first out matters: the pages of a block that was just freed are mapped in client and
 * workers already, while each process pays 1 us or more for every page that it has not touched
 * yet. A second map of a million calls runs in the memory of the first one. While the client works,
 * up to 256 MiB may lie unused; the excess goes back to the system at once, as does memory that a
 * failing allocation needs, and all but a small stock when the client rests (table.h). */
#include "ipc/heap.h"

#include "ipc/region.h"

#include <stdlib.h>
#include <string.h>

enum { MIN_BLOCK = 32, WIDE_LEAD = 1024, SLAB = LITHOPS__HEAP_SLAB, QUARTER = SLAB / 4 };
static const uint64_t cache_bytes = 256u << 20; /* at most, and an eighth of all there is */

struct lithops__heap_slab {
    struct lithops__heap_slab *next, *previous; /* in the list of those with room */
    lithops__offset base;
    uint32_t class_index, count, used;
    uint32_t hint;    /* no block is free in the words of `taken` before this one */
    uint64_t taken[]; /* a bit per block */
};

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
    return len >= WIDE_LEAD ? 64 : sizeof(struct lithops__block);
}

/* From one block of a slab to the next. */
static uint64_t stride_of(unsigned class_index)
{
    return (class_size(class_index) + 15) / 16 * 16;
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
    for (size_t i = 0; i < heap->slab_capacity; i++)
        if (i == 0 || heap->slabs[i] != heap->slabs[i - 1]) /* a slab may cover four places */
            free(heap->slabs[i]);
    free(heap->slabs);
    for (int i = 0; i < 2; i++)
        free(heap->empty[i].blocks);
}

/* ---- memory from the system, and back -------------------------------------------------------- */

static void release_list(struct lithops__heap *heap, struct lithops__heap_list *list, uint64_t size,
                         uint64_t keep_bytes)
{
    for (; list->released < list->count && heap->cached > keep_bytes; list->released++) {
        lithops__area_decommit(heap->area, list->blocks[list->released], size / 4096 * 4096);
        heap->cached -= size;
    }
}

void lithops__heap_trim(struct lithops__heap *heap, uint64_t keep_bytes)
{
    for (unsigned i = LITHOPS__HEAP_CLASSES; i-- > LITHOPS__HEAP_SMALL_CLASSES;)
        release_list(heap, &heap->lists[i], class_size(i), keep_bytes);
    release_list(heap, &heap->empty[1], SLAB, keep_bytes);
    release_list(heap, &heap->empty[0], QUARTER, keep_bytes);
}

/* Commit, if need be with memory that is free elsewhere. */
static int commit(struct lithops__heap *heap, lithops__offset at, uint64_t size)
{
    if (lithops__area_commit(heap->area, at, size) == 0)
        return 0;
    lithops__heap_trim(heap, 0);
    lithops__regions_trim(heap->area, 0);
    return lithops__area_commit(heap->area, at, size);
}

/* Take memory up to `end`, ahead of need by as much as there is, within 16 KiB and 16 MiB. */
static int commit_to(struct lithops__heap *heap, uint64_t end)
{
    if (end <= heap->committed)
        return 0;
    uint64_t ahead = heap->committed;
    ahead = ahead < QUARTER ? QUARTER : ahead > (16u << 20) ? 16u << 20 : ahead;
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
    if (commit(heap, at, target - heap->committed) != 0)
        return -1;
    heap->committed = target;
    return 0;
}

/* A free block of a list; 0 when there is none. */
static lithops__offset take_cached(struct lithops__heap *heap, struct lithops__heap_list *list,
                                   uint64_t size)
{
    if (list->count == 0)
        return 0;
    lithops__offset block = list->blocks[list->count - 1];
    if (list->released == list->count) {
        if (commit(heap, block, size / 4096 * 4096) != 0)
            return 0;
        list->released--;
    } else {
        heap->cached -= size;
    }
    list->count--;
    return block;
}

/* A block of `size` bytes from the end of the heap, at a multiple of `alignment`. */
static lithops__offset take_new(struct lithops__heap *heap, uint64_t size, uint64_t alignment)
{
    uint64_t most = heap->area->control->heap_bytes;
    uint64_t start = (heap->top + alignment - 1) / alignment * alignment;
    if (size > most || start > most - size || commit_to(heap, start + size) != 0)
        return 0;
    heap->top = start + size;
    return heap->area->control->heap + start;
}

/* False: the block is lost until the executor closes; nothing else breaks. */
static bool keep_free(struct lithops__heap *heap, struct lithops__heap_list *list,
                      lithops__offset block, uint64_t size)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 16;
        lithops__offset *blocks = realloc(list->blocks, capacity * sizeof *blocks);
        if (!blocks)
            return false;
        list->blocks = blocks;
        list->capacity = capacity;
    }
    list->blocks[list->count++] = block;
    heap->cached += size;
    if (heap->cached > heap->cache_bytes)
        release_list(heap, list, size, heap->cache_bytes);
    return true;
}

/* ---- slabs ----------------------------------------------------------------------------------- */

static bool is_whole(unsigned class_index)
{
    return class_index >= LITHOPS__HEAP_FINE_CLASSES;
}

static uint64_t slab_bytes(unsigned class_index)
{
    return is_whole(class_index) ? SLAB : QUARTER;
}

static size_t slab_place(const struct lithops__heap *heap, lithops__offset offset)
{
    return (size_t)((offset - heap->area->control->heap) / QUARTER);
}

static void set_places(struct lithops__heap *heap, const struct lithops__heap_slab *slab,
                       struct lithops__heap_slab *to)
{
    size_t first = slab_place(heap, slab->base);
    for (size_t i = 0; i < slab_bytes(slab->class_index) / QUARTER; i++)
        heap->slabs[first + i] = to;
}

static void link_slab(struct lithops__heap *heap, struct lithops__heap_slab *slab)
{
    struct lithops__heap_slab **first = &heap->open[slab->class_index];
    slab->previous = NULL;
    slab->next = *first;
    if (*first)
        (*first)->previous = slab;
    *first = slab;
}

static void unlink_slab(struct lithops__heap *heap, struct lithops__heap_slab *slab)
{
    if (slab->next)
        slab->next->previous = slab->previous;
    if (slab->previous)
        slab->previous->next = slab->next;
    else
        heap->open[slab->class_index] = slab->next;
}

static bool make_place(struct lithops__heap *heap, size_t place)
{
    if (place < heap->slab_capacity)
        return true;
    size_t capacity = (place + 1) * 2;
    struct lithops__heap_slab **slabs = realloc(heap->slabs, capacity * sizeof(void *));
    if (!slabs)
        return false;
    memset(slabs + heap->slab_capacity, 0, (capacity - heap->slab_capacity) * sizeof(void *));
    heap->slabs = slabs;
    heap->slab_capacity = capacity;
    return true;
}

static struct lithops__heap_slab *new_slab(struct lithops__heap *heap, unsigned class_index)
{
    const uint64_t bytes = slab_bytes(class_index);
    struct lithops__heap_list *empty = &heap->empty[is_whole(class_index)];
    uint32_t count = (uint32_t)(bytes / stride_of(class_index));
    struct lithops__heap_slab *slab = calloc(1, sizeof *slab + (count + 63) / 64 * 8);
    lithops__offset base = slab ? take_cached(heap, empty, bytes) : 0;
    if (slab && !base)
        base = take_new(heap, bytes, bytes);
    if (!base || !make_place(heap, slab_place(heap, base + bytes - 1))) {
        if (base)
            (void)keep_free(heap, empty, base, bytes);
        free(slab);
        return NULL;
    }
    slab->base = base;
    slab->class_index = class_index;
    slab->count = count;
    set_places(heap, slab, slab);
    link_slab(heap, slab);
    return slab;
}

static lithops__offset alloc_small(struct lithops__heap *heap, unsigned class_index)
{
    struct lithops__heap_slab *slab = heap->open[class_index];
    if (!slab && !(slab = new_slab(heap, class_index)))
        return 0;
    while (slab->taken[slab->hint] == UINT64_MAX)
        slab->hint++;
    unsigned bit = (unsigned)__builtin_ctzll(~slab->taken[slab->hint]);
    slab->taken[slab->hint] |= 1ull << bit;
    if (++slab->used == slab->count)
        unlink_slab(heap, slab);
    return slab->base + (slab->hint * 64 + bit) * stride_of(class_index);
}

static void free_small(struct lithops__heap *heap, struct lithops__heap_slab *slab,
                       lithops__offset block)
{
    uint32_t index = (uint32_t)((block - slab->base) / stride_of(slab->class_index));
    slab->taken[index / 64] &= ~(1ull << index % 64);
    if (index / 64 < slab->hint)
        slab->hint = index / 64;
    if (slab->used-- == slab->count)
        link_slab(heap, slab);
    /* Keep the last one of its class: a series of single calls comes here. */
    if (slab->used > 0 || (heap->open[slab->class_index] == slab && !slab->next))
        return;
    unlink_slab(heap, slab);
    set_places(heap, slab, NULL);
    (void)keep_free(heap, &heap->empty[is_whole(slab->class_index)], slab->base,
                    slab_bytes(slab->class_index));
    free(slab);
}

/* ---- blocks ---------------------------------------------------------------------------------- */

lithops__offset lithops__heap_alloc(struct lithops__heap *heap, uint64_t len)
{
    uint64_t lead = lead_of(len);
    if (len > heap->area->control->heap_bytes - lead)
        return 0;
    unsigned index = class_of(lead + len);
    lithops__offset block;
    if (index < LITHOPS__HEAP_SMALL_CLASSES) {
        block = alloc_small(heap, index);
    } else {
        block = take_cached(heap, &heap->lists[index], class_size(index));
        if (!block) /* whole pages can be given back */
            block = take_new(heap, class_size(index), 4096);
    }
    if (!block)
        return 0;
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
    lithops__offset block = offset - lead_of(header->len);
    unsigned index = (unsigned)header->class_index;
    if (index < LITHOPS__HEAP_SMALL_CLASSES)
        free_small(heap, heap->slabs[slab_place(heap, block)], block);
    else
        (void)keep_free(heap, &heap->lists[index], block, class_size(index));
}
