/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of 64 KiB. Blocks up to 16 KiB are cut from the current page one after the other; larger
 * ones are extents of their own, in four sizes to each power of two. An extent is free again when
 * as many of its blocks were given back as were published.
 *
 * What a dead process had allocated but not published is free by that rule too, so a new process
 * finds the region's state by walking the extents. (A process that dies between publishing a block
 * and finishing its call leaves that one extent used until the executor closes.) */
#include "ipc/region.h"

#include "base/clock.h"
#include "ipc/bell.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum {
    HEADER = 64,
    LARGE_LEAD = 2 * HEADER, /* from an extent's start to the data of a large block */
    SMALL_BLOCK = 16 << 10,
    LOOK_AT_MOST = 8,
    KEPT = 4096, /* of an extent whose memory was given back: its header */
};
/* Who holds an extent: nobody, when it is full or free; its worker, which allocates from it; or a
 * process that gives its memory back. If that one dies meanwhile, the extent stays held. */
enum { NOBODY, OWNER, TRIMMED };
enum { ADD_WRITTEN = 256 << 10 };
_Static_assert(sizeof(struct lithops__page) == HEADER, "data of an extent is 64-byte aligned");

static unsigned class_of(uint64_t pages)
{
    if (pages <= 4)
        return pages ? (unsigned)pages - 1 : 0;
    unsigned log = 63 - (unsigned)__builtin_clzll(pages);
    unsigned step = (unsigned)((pages - (1ull << log) + (1ull << (log - 2)) - 1) >> (log - 2));
    return (log - 1) * 4 + step - 1;
}

static uint64_t class_pages(unsigned index)
{
    if (index < 4)
        return index + 1;
    return (uint64_t)(5 + index % 4) << (index / 4 - 1);
}

static struct lithops__page *page_at(const struct lithops__region *region, uint64_t page)
{
    return lithops__at(region->area, region->base + page * LITHOPS__PAGE);
}

static bool is_free(const struct lithops__page *page)
{
    return atomic_load_explicit(&page->freed, memory_order_acquire) ==
           atomic_load_explicit(&page->allocated, memory_order_relaxed);
}

static int queue_push(struct lithops__region_queue *queue, uint64_t page)
{
    if (queue->count == queue->capacity) {
        size_t capacity = queue->capacity ? queue->capacity * 2 : 16;
        uint64_t *pages = malloc(capacity * sizeof *pages);
        if (!pages)
            return -1;
        for (size_t i = 0; i < queue->count; i++)
            pages[i] = queue->pages[(queue->head + i) % queue->capacity];
        free(queue->pages);
        *queue = (struct lithops__region_queue){pages, 0, queue->count, capacity};
    }
    queue->pages[(queue->head + queue->count++) % queue->capacity] = page;
    return 0;
}

static uint64_t queue_pop(struct lithops__region_queue *queue)
{
    uint64_t page = queue->pages[queue->head];
    queue->head = (queue->head + 1) % queue->capacity;
    queue->count--;
    return page;
}

int lithops__region_init(struct lithops__region *region, struct lithops__area *area,
                         unsigned worker)
{
    memset(region, 0, sizeof *region);
    region->area = area;
    region->worker = &area->control->workers[worker];
    region->base = area->control->regions + worker * area->control->region_bytes;
    region->most_pages = area->control->region_bytes / LITHOPS__PAGE;
    region->high_pages = atomic_load(&region->worker->region_high);
    for (uint64_t page = 0; page < region->high_pages;) {
        uint64_t pages = page_at(region, page)->pages;
        if (pages == 0 || pages > region->high_pages - page)
            break; /* torn by a process that died here: the rest stays unused */
        uint32_t dead = OWNER;
        atomic_compare_exchange_strong(&page_at(region, page)->held, &dead, NOBODY);
        if (queue_push(&region->retired[class_of(pages)], page) != 0)
            return -1;
        page += pages;
    }
    return 0;
}

static bool hold(struct lithops__page *page, uint32_t who)
{
    uint32_t nobody = NOBODY;
    return atomic_compare_exchange_strong(&page->held, &nobody, who);
}

static void let_go(struct lithops__page *page)
{
    atomic_store_explicit(&page->held, NOBODY, memory_order_release);
}

/* Another process is giving this memory back, perhaps much of it: wait, as the caller may find
 * enough then. (If that process has died, this costs a second.) */
static void await_trimmed(const struct lithops__page *page)
{
    uint64_t until_ns = lithops__now_ns() + 1000000000;
    while (atomic_load_explicit(&page->held, memory_order_acquire) == TRIMMED &&
           lithops__now_ns() < until_ns)
        sched_yield();
}

/* @param keep_bytes  so much free memory is kept; counts down */
static void trim(struct lithops__area *area, struct lithops__page *page, lithops__offset at,
                 uint64_t *keep_bytes)
{
    uint64_t size = (uint64_t)page->pages * LITHOPS__PAGE;
    if (!is_free(page))
        return;
    if (!atomic_load(&page->is_released) && size <= *keep_bytes) {
        *keep_bytes -= size;
        return;
    }
    if (!hold(page, TRIMMED)) {
        await_trimmed(page);
        return;
    }
    if (is_free(page) && !atomic_load(&page->is_released)) {
        atomic_store(&page->is_released, 1);
        lithops__area_decommit(area, at + KEPT, size - KEPT);
    }
    let_go(page);
}

/* Where a walk through the extents of a worker's region is. */
struct walk {
    struct lithops__area *area;
    lithops__offset at, end;
};

static struct walk walk_of(struct lithops__area *area, uint32_t worker)
{
    const struct lithops__control *control = area->control;
    uint64_t high =
        atomic_load_explicit(&control->workers[worker].region_high, memory_order_acquire);
    lithops__offset base = control->regions + worker * control->region_bytes;
    return (struct walk){area, base, base + high * LITHOPS__PAGE};
}

/* NULL: there are no more, or what follows is torn, as in lithops__region_init(). */
static struct lithops__page *next_extent(struct walk *walk, lithops__offset *ret_at)
{
    struct lithops__page *page = walk->at < walk->end ? lithops__at(walk->area, walk->at) : NULL;
    if (!page || page->pages == 0 || page->pages > (walk->end - walk->at) / LITHOPS__PAGE)
        return NULL;
    *ret_at = walk->at;
    walk->at += (uint64_t)page->pages * LITHOPS__PAGE;
    return page;
}

void lithops__regions_trim(struct lithops__area *area, uint64_t keep_bytes)
{
    for (uint32_t w = 0; w < area->control->max_workers; w++) {
        struct walk walk = walk_of(area, w);
        struct lithops__page *page;
        lithops__offset at;
        while ((page = next_extent(&walk, &at)) != NULL)
            trim(area, page, at, &keep_bytes);
    }
}

/* Take memory; if that fails, again after giving back unused memory. */
static int commit(struct lithops__region *region, lithops__offset offset, uint64_t len)
{
    if (lithops__area_commit(region->area, offset, len) == 0)
        return 0;
    lithops__regions_trim(region->area, 0);
    return lithops__area_commit(region->area, offset, len);
}

/* Make a free extent usable again. */
static bool revive(struct lithops__region *region, uint64_t at)
{
    struct lithops__page *page = page_at(region, at);
    if (atomic_load(&page->is_released) &&
        commit(region, region->base + at * LITHOPS__PAGE + KEPT,
               (uint64_t)page->pages * LITHOPS__PAGE - KEPT) != 0)
        return false;
    atomic_store(&page->is_released, 0);
    return true;
}

/* One of those `looks` that have been full for longest and came free. */
static struct lithops__page *take_retired(struct lithops__region *region, unsigned index,
                                          size_t looks, uint64_t *ret_page)
{
    struct lithops__region_queue *queue = &region->retired[index];
    for (size_t i = 0; i < looks && i < queue->count; i++) {
        uint64_t page = queue_pop(queue);
        if (is_free(page_at(region, page)) && hold(page_at(region, page), OWNER)) {
            if (!revive(region, page)) {
                let_go(page_at(region, page));
                (void)queue_push(queue, page);
                return NULL;
            }
            *ret_page = page;
            return page_at(region, page);
        }
        (void)queue_push(queue, page); /* there is room: one was just taken out */
    }
    return NULL;
}

/* An extent that came free, or a new one. */
static struct lithops__page *take_extent(struct lithops__region *region, unsigned index,
                                         uint64_t *ret_page)
{
    struct lithops__page *extent = take_retired(region, index, LOOK_AT_MOST, ret_page);
    uint64_t pages = class_pages(index);
    if (extent)
        return extent;
    if (pages > region->most_pages - region->high_pages)
        return take_retired(region, index, SIZE_MAX, ret_page);
    if ((region->before_growth &&
         region->before_growth(region->user, pages * LITHOPS__PAGE) != 0) ||
        commit(region, region->base + region->high_pages * LITHOPS__PAGE, pages * LITHOPS__PAGE) !=
            0)
        return NULL;
    extent = page_at(region, region->high_pages);
    extent->pages = (uint32_t)pages;
    atomic_store(&extent->is_released, 0);
    atomic_store(&extent->held, OWNER);
    atomic_store(&extent->allocated, 0);
    atomic_store(&extent->freed, 0);
    *ret_page = region->high_pages;
    region->high_pages += pages;
    atomic_store_explicit(&region->worker->region_high, region->high_pages, memory_order_release);
    return extent;
}

static lithops__offset alloc_small(struct lithops__region *region, uint64_t size)
{
    if (!region->current || region->current_used + size > LITHOPS__PAGE) {
        if (region->current && queue_push(&region->retired[0], region->current_at) != 0)
            return 0;
        if (region->current)
            let_go(region->current);
        region->current = take_extent(region, 0, &region->current_at);
        if (!region->current)
            return 0;
        region->current_used = HEADER;
    }
    lithops__offset block =
        region->base + region->current_at * LITHOPS__PAGE + region->current_used;
    region->current_used += size;
    return block + sizeof(struct lithops__block);
}

lithops__offset lithops__region_alloc(struct lithops__region *region, uint64_t len)
{
    lithops__offset offset;
    if (len <= SMALL_BLOCK) {
        uint64_t size = sizeof(struct lithops__block) + (len + 15) / 16 * 16;
        offset = alloc_small(region, size);
    } else {
        if (len > (region->most_pages - 1) * LITHOPS__PAGE)
            return 0;
        uint64_t pages = (LARGE_LEAD + len + LITHOPS__PAGE - 1) / LITHOPS__PAGE;
        if (!take_extent(region, class_of(pages), &region->pending_at))
            return 0;
        offset = region->base + region->pending_at * LITHOPS__PAGE + LARGE_LEAD;
    }
    if (offset) {
        struct lithops__block *block = lithops__at(region->area, offset - sizeof *block);
        block->len = len;
    }
    return offset;
}

/* Of the extent for a block; 1, shared with others, for a small one. */
static uint64_t pages_for(uint64_t len)
{
    if (len <= SMALL_BLOCK)
        return 1;
    return class_pages(class_of((LARGE_LEAD + len + LITHOPS__PAGE - 1) / LITHOPS__PAGE));
}

bool lithops__region_is_scarce(const struct lithops__region *region, uint64_t len)
{
    const struct lithops__control *control = region->area->control;
    uint64_t limit = control->memory_limit;
    if (len <= SMALL_BLOCK && region->current &&
        region->current_used + sizeof(struct lithops__block) + len + 15 <= LITHOPS__PAGE)
        return false;
    return len > limit || atomic_load_explicit(&control->lacking, memory_order_relaxed) > 0 ||
           atomic_load_explicit(&control->committed, memory_order_relaxed) +
                   2 * pages_for(len) * LITHOPS__PAGE >
               limit;
}

/* Bytes of free extents of a worker's region, which any worker can have; stops at `enough`. */
static uint64_t free_bytes(struct lithops__area *area, uint32_t worker, uint64_t enough)
{
    struct walk walk = walk_of(area, worker);
    const struct lithops__page *page;
    lithops__offset at;
    uint64_t bytes = 0;
    while (bytes < enough && (page = next_extent(&walk, &at)) != NULL)
        if (!atomic_load(&page->is_released) && is_free(page) && atomic_load(&page->held) != OWNER)
            bytes += (uint64_t)page->pages * LITHOPS__PAGE - KEPT;
    return bytes;
}

bool lithops__region_has_room(const struct lithops__region *region, uint64_t len, unsigned count)
{
    const struct lithops__control *control = region->area->control;
    uint64_t need = count * (pages_for(len) * LITHOPS__PAGE - KEPT);
    uint64_t taken = atomic_load(&control->committed);
    uint64_t found = taken < control->memory_limit ? control->memory_limit - taken : 0;
    for (uint32_t w = 0; w < control->max_workers && found < need; w++)
        found += free_bytes(region->area, w, need - found);
    return found >= need;
}

bool lithops__region_could_hold(const struct lithops__region *region, uint64_t len)
{
    uint64_t most = region->area->control->memory_limit / LITHOPS__PAGE;
    if (len > most * LITHOPS__PAGE)
        return false;
    uint64_t pages = pages_for(len);
    return pages <= most && (pages <= region->most_pages - region->high_pages ||
                             region->retired[class_of(pages)].count > 0);
}

static struct lithops__page *page_of(struct lithops__area *area, lithops__offset offset)
{
    return lithops__at(area, offset / LITHOPS__PAGE * LITHOPS__PAGE);
}

static bool is_small(const struct lithops__region *region, lithops__offset offset)
{
    return region->current && page_of(region->area, offset) == region->current;
}

/* An extent waits out of the queue while its block is not published: there it would look free. */
static void retire_pending(struct lithops__region *region)
{
    struct lithops__page *extent = page_at(region, region->pending_at);
    let_go(extent);
    (void)queue_push(&region->retired[class_of(extent->pages)], region->pending_at); /* or lost */
}

void lithops__region_publish(struct lithops__region *region, lithops__offset offset, uint64_t len)
{
    struct lithops__block *block = lithops__at(region->area, offset - sizeof *block);
    block->len = len;
    struct lithops__page *page = page_of(region->area, offset); /* nobody else writes it */
    uint64_t allocated = atomic_load_explicit(&page->allocated, memory_order_relaxed);
    atomic_store_explicit(&page->allocated, allocated + 1, memory_order_relaxed);
    region->written += len;
    if (region->written >= ADD_WRITTEN) {
        atomic_fetch_add_explicit(&region->area->control->results_written, region->written,
                                  memory_order_relaxed);
        region->written = 0;
    }
    if (!is_small(region, offset))
        retire_pending(region);
}

void lithops__region_undo(struct lithops__region *region, lithops__offset offset)
{
    if (is_small(region, offset))
        region->current_used = offset - sizeof(struct lithops__block) - region->base -
                               region->current_at * LITHOPS__PAGE;
    else
        retire_pending(region);
}

void lithops__region_release(struct lithops__area *area, lithops__offset offset)
{
    atomic_fetch_add(&page_of(area, offset)->freed, 1); /* the fence that the bell needs */
    lithops__bell_freed(area->control);
}
