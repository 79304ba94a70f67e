/* SPDX-License-Identifier: Apache-2.0 */
/* The span ring: how calls are offered to workers, and how workers take them.
 *
 * One producer (the client, under the executor's lock), many consumers. Workers look from `head`
 * to `tail` for a span that has calls left and move `head` over spans that have none. A span may
 * be offered to many workers, and a call by many spans: taking a call is a CAS on its state. */
#ifndef LITHOPS_IPC_QUEUE_H
#define LITHOPS_IPC_QUEUE_H

#include "ipc/area.h"

/* `next` of a span also holds the lap of the ring, so that a CAS by a worker that slept for a
 * whole lap fails. */
#define LITHOPS__SPAN_INDEX_BITS 40
#define LITHOPS__SPAN_INDEX_MASK ((1ull << LITHOPS__SPAN_INDEX_BITS) - 1)

/* Client: offer calls [begin, end) of a range. `open`: up to the range's count, which may grow.
 * @return the span's position; UINT64_MAX when a million spans are waiting */
uint64_t lithops__queue_push(struct lithops__area *area, uint32_t range, uint64_t begin,
                             uint64_t end, bool open);
/* Client: the span will not grow any more. */
void lithops__queue_close_span(struct lithops__area *area, uint64_t position);

/* Client: withdraw all offers; no worker may run. */
void lithops__queue_drop(struct lithops__area *area);

/* Any process: move `head` over spans that are used up. */
void lithops__queue_advance(struct lithops__area *area);
/* Client: give the memory of spans before `head` back to the system, in whole pages from position
 * `from` on. @return the position to go on from */
uint64_t lithops__queue_trim(struct lithops__area *area, uint64_t from);

/* Worker: the first span with calls left; its range is then announced in the worker's line, and
 * stays valid until lithops__queue_leave().
 * @return the span, its position in *ret_position; NULL: nothing is offered */
struct lithops__span *lithops__queue_find(struct lithops__area *area,
                                          struct lithops__worker *worker, uint64_t *ret_position);
/* Worker: announce a range of this generation, in place of the one announced. False: it is gone,
 * and nothing that may be touched is announced. */
bool lithops__queue_enter(struct lithops__area *area, struct lithops__worker *worker,
                          uint32_t range, uint32_t generation);
/* Worker: announce a range that another worker works on. False: it is gone. */
bool lithops__queue_join(struct lithops__area *area, struct lithops__worker *worker,
                         uint32_t range);
void lithops__queue_leave(struct lithops__worker *worker);

/* Worker: claim up to `most` calls of a span. Announces the claim in the worker's line.
 * @return how many, from *ret_begin; 0: none left */
uint64_t lithops__queue_claim(struct lithops__area *area, struct lithops__worker *worker,
                              struct lithops__span *span, uint64_t position, uint64_t most,
                              uint64_t *ret_begin);
/* Calls of a span that nobody has claimed, about. */
uint64_t lithops__queue_left(const struct lithops__area *area, const struct lithops__span *span);

/* Client: no worker can still reach the range of the spans up to `last_position`, provided
 * its generation is odd (free) by now. */
bool lithops__queue_is_past(const struct lithops__area *area, uint32_t range,
                            uint64_t last_position);

static inline struct lithops__span *lithops__span_at(const struct lithops__area *area,
                                                     uint64_t position)
{
    return &area->spans[position % LITHOPS__MAX_SPANS];
}

#endif
