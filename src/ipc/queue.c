/* SPDX-License-Identifier: Apache-2.0 */
/* The span ring.
 *
 * A range's memory is reused when its job is gone, so a worker announces the range that it is
 * about to touch, and looks again whether the range is still the one it wanted: a hazard pointer.
 * The client frees a range in the other order: it makes the generation odd, and waits until no
 * worker announces the range. Both sides have a full fence between their store and their load, so
 * one of the two sees the other. */
#include "ipc/queue.h"

#include <fcntl.h>

enum { PAGE_BYTES = 4096, SPANS_PER_PAGE = PAGE_BYTES / sizeof(struct lithops__span) };
_Static_assert(PAGE_BYTES % sizeof(struct lithops__span) == 0, "pages hold whole spans");

uint64_t lithops__queue_push(struct lithops__area *area, uint32_t range, uint64_t begin,
                             uint64_t end, bool open)
{
    struct lithops__control *control = area->control;
    uint64_t position = atomic_load_explicit(&control->tail, memory_order_relaxed);
    if (position - atomic_load(&control->head) >= LITHOPS__MAX_SPANS)
        return UINT64_MAX;
    struct lithops__span *span = lithops__span_at(area, position);
    uint64_t lap = position / LITHOPS__MAX_SPANS << LITHOPS__SPAN_INDEX_BITS;
    /* A reader that still holds this slot's previous span, or looks before the new one is complete,
     * must find it empty. */
    atomic_store(&span->next, lap | LITHOPS__SPAN_INDEX_MASK);
    span->range = range;
    span->generation = atomic_load(&area->ranges[range].generation);
    atomic_store(&span->end, open ? UINT64_MAX : end);
    atomic_store(&span->open, open);
    atomic_store(&span->next, lap | begin);
    atomic_store(&control->tail, position + 1);
    return position;
}

void lithops__queue_close_span(struct lithops__area *area, uint64_t position)
{
    if (position >= atomic_load(&area->control->head))
        atomic_store(&lithops__span_at(area, position)->open, 0);
}

static uint64_t span_end(const struct lithops__area *area, const struct lithops__span *span)
{
    uint64_t end = atomic_load_explicit(&span->end, memory_order_acquire);
    if (end == UINT64_MAX)
        end = atomic_load_explicit(&area->ranges[span->range].count, memory_order_acquire);
    return end;
}

uint64_t lithops__queue_left(const struct lithops__area *area, const struct lithops__span *span)
{
    uint64_t next =
        atomic_load_explicit(&span->next, memory_order_acquire) & LITHOPS__SPAN_INDEX_MASK;
    uint64_t end = span_end(area, span);
    return next < end ? end - next : 0;
}

void lithops__queue_drop(struct lithops__area *area)
{
    uint64_t tail = atomic_load(&area->control->tail);
    for (uint64_t at = atomic_load(&area->control->head); at < tail; at++) {
        struct lithops__span *span = lithops__span_at(area, at);
        uint64_t left = lithops__queue_left(area, span);
        atomic_fetch_add(&span->next, left); /* an open one may still grow */
    }
    lithops__queue_advance(area);
}

/* Nothing can come of the span any more. */
static bool is_spent(const struct lithops__area *area, const struct lithops__span *span)
{
    if (atomic_load(&area->ranges[span->range].generation) != span->generation)
        return true;
    return !atomic_load(&span->open) && lithops__queue_left(area, span) == 0;
}

void lithops__queue_advance(struct lithops__area *area)
{
    struct lithops__control *control = area->control;
    uint64_t head = atomic_load_explicit(&control->head, memory_order_acquire);
    while (head < atomic_load_explicit(&control->tail, memory_order_acquire) &&
           is_spent(area, lithops__span_at(area, head)))
        if (atomic_compare_exchange_strong(&control->head, &head, head + 1))
            head++;
}

/* Who still looks at such a span finds it empty, and cannot move `head` because of it. */
uint64_t lithops__queue_trim(struct lithops__area *area, uint64_t from)
{
    struct lithops__control *control = area->control;
    uint64_t to = atomic_load(&control->head) / SPANS_PER_PAGE * SPANS_PER_PAGE;
    uint64_t tail = atomic_load(&control->tail) + SPANS_PER_PAGE;
    if (tail > LITHOPS__MAX_SPANS && from < tail - LITHOPS__MAX_SPANS) /* in use again, a lap on */
        from = (tail - LITHOPS__MAX_SPANS) / SPANS_PER_PAGE * SPANS_PER_PAGE;
    while (from < to) {
        uint64_t at = from % LITHOPS__MAX_SPANS, count = to - from;
        if (count > LITHOPS__MAX_SPANS - at)
            count = LITHOPS__MAX_SPANS - at;
        (void)fallocate(area->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                        (off_t)(control->spans + at * sizeof(struct lithops__span)),
                        (off_t)(count * sizeof(struct lithops__span)));
        from += count;
    }
    return from;
}

bool lithops__queue_enter(struct lithops__area *area, struct lithops__worker *worker,
                          uint32_t range, uint32_t generation)
{
    atomic_store(&worker->range, range + 1); /* sequentially consistent: a full fence */
    return atomic_load(&area->ranges[range].generation) == generation && !(generation & 1);
}

struct lithops__span *lithops__queue_find(struct lithops__area *area,
                                          struct lithops__worker *worker, uint64_t *ret_position)
{
    struct lithops__control *control = area->control;
    lithops__queue_advance(area);
    uint64_t at = atomic_load_explicit(&control->head, memory_order_acquire);
    uint64_t tail = atomic_load_explicit(&control->tail, memory_order_acquire);
    for (; at < tail; at++) {
        struct lithops__span *span = lithops__span_at(area, at);
        uint32_t range = span->range, generation = span->generation;
        if (lithops__queue_left(area, span) > 0 &&
            lithops__queue_enter(area, worker, range, generation)) {
            if (at >= atomic_load(&control->head) && lithops__queue_left(area, span) > 0) {
                *ret_position = at;
                return span;
            }
        }
    }
    lithops__queue_leave(worker);
    return NULL;
}

bool lithops__queue_join(struct lithops__area *area, struct lithops__worker *worker, uint32_t range)
{
    uint32_t generation = atomic_load(&area->ranges[range].generation);
    if (lithops__queue_enter(area, worker, range, generation))
        return true;
    lithops__queue_leave(worker);
    return false;
}

void lithops__queue_leave(struct lithops__worker *worker)
{
    if (atomic_load_explicit(&worker->range, memory_order_relaxed) != 0)
        atomic_store_explicit(&worker->range, 0, memory_order_release);
}

uint64_t lithops__queue_claim(struct lithops__area *area, struct lithops__worker *worker,
                              struct lithops__span *span, uint64_t position, uint64_t most,
                              uint64_t *ret_begin)
{
    uint64_t lap = position / LITHOPS__MAX_SPANS << LITHOPS__SPAN_INDEX_BITS;
    uint64_t next = atomic_load_explicit(&span->next, memory_order_acquire);
    atomic_store_explicit(&worker->claiming, 1, memory_order_relaxed);
    for (;;) {
        uint64_t begin = next & LITHOPS__SPAN_INDEX_MASK, end = span_end(area, span);
        if ((next & ~LITHOPS__SPAN_INDEX_MASK) != lap || begin >= end) {
            atomic_store_explicit(&worker->claiming, 0, memory_order_relaxed);
            return 0;
        }
        uint64_t count = end - begin < most ? end - begin : most;
        if (atomic_compare_exchange_weak(&span->next, &next, lap | (begin + count))) {
            atomic_store_explicit(&worker->begin, begin, memory_order_relaxed);
            atomic_store_explicit(&worker->current, begin, memory_order_relaxed);
            atomic_store_explicit(&worker->end, begin + count, memory_order_relaxed);
            atomic_store_explicit(&worker->claiming, 0, memory_order_release);
            *ret_begin = begin;
            return count;
        }
    }
}

bool lithops__queue_is_past(const struct lithops__area *area, uint32_t range,
                            uint64_t last_position)
{
    const struct lithops__control *control = area->control;
    if (atomic_load(&control->head) <= last_position && atomic_load(&control->tail) > last_position)
        return false;
    atomic_thread_fence(memory_order_seq_cst);
    for (uint32_t w = 0; w < control->max_workers; w++)
        if (atomic_load(&control->workers[w].range) == range + 1)
            return false;
    return true;
}
