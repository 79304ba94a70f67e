/* SPDX-License-Identifier: Apache-2.0 */
/* Workers that come and go: so many as the calls need, up to as many as there may be.
 *
 * A worker that starts may wait for its machine for hours, so as many as are wanted are asked for
 * at once, and those that wait count as if they were there. One that has had no calls for the idle
 * timeout is ended, and one that is still waited for when it is not wanted any more is given up
 * after the same time.
 *
 * One that is itself ended at a certain time takes no calls which cannot end before that. It leaves
 * a little earlier: calls that it has not begun are taken back and run elsewhere, those that run
 * may use the time that is left. */
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "ipc/queue.h"
#include "relay/link.h"

static const uint64_t second_ns = 1000000000,
                      last_ns = 10000000000; /* before its end a worker leaves */

/* ---- counting -------------------------------------------------------------------------------- */

/* There, or on their way. */
static uint32_t count_links(const struct lithops__relay *relay)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < relay->link_count; i++)
        count += relay->links[i].state == LITHOPS__LINK_CONNECTING ||
                 (lithops__link_is_up(&relay->links[i]) && !relay->links[i].is_leaving);
    return count;
}

/* Of a span that nobody has claimed; cancelled ones stand there too. */
static uint64_t count_pending(const struct lithops__area *area, const struct lithops__span *span,
                              uint64_t most)
{
    const struct lithops__range *range = &area->ranges[span->range];
    if (atomic_load(&range->generation) != span->generation)
        return 0;
    const lithops__state *states = lithops__range_states(area, range);
    uint64_t left = lithops__queue_left(area, span), count = 0;
    uint64_t next = atomic_load(&span->next) & LITHOPS__SPAN_INDEX_MASK;
    for (uint64_t i = next; i < next + left && count < most; i++)
        count += atomic_load(&states[i]) == LITHOPS__PENDING;
    return count;
}

/* Calls that no worker has, up to `most`. */
static uint64_t count_waiting(struct lithops__relay *relay, uint64_t most)
{
    struct lithops__area *area = &relay->table->area;
    uint64_t count = 0;
    pthread_mutex_lock(&relay->table->lock); /* so no range is freed */
    lithops__queue_advance(area);
    uint64_t tail = atomic_load(&area->control->tail);
    for (uint64_t at = atomic_load(&area->control->head); at < tail && count < most; at++)
        count += count_pending(area, lithops__span_at(area, at), most - count);
    pthread_mutex_unlock(&relay->table->lock);
    return count;
}

/* How many the calls need. */
static uint32_t count_wanted(struct lithops__relay *relay)
{
    uint64_t calls = 0, processes = relay->workers.worker_processes;
    for (uint32_t i = 0; i < relay->link_count; i++) {
        const struct lithops__link *link = &relay->links[i];
        if (link->state == LITHOPS__LINK_READY && !link->is_leaving)
            calls += link->in_flight;
        if (link->processes > processes)
            processes = link->processes;
    }
    calls += count_waiting(relay, relay->link_count * (processes ? processes : 1));
    uint64_t wanted = (calls + (processes ? processes : 1) - 1) / (processes ? processes : 1);
    if (wanted < relay->workers.kept_workers)
        wanted = relay->workers.kept_workers;
    return wanted < relay->link_count ? (uint32_t)wanted : relay->link_count;
}

/* ---- up -------------------------------------------------------------------------------------- */

static uint64_t start_some(struct lithops__relay *relay, uint32_t count, uint64_t now)
{
    if (now < relay->size.retry_ns)
        return relay->size.retry_ns;
    for (uint32_t i = 0; i < relay->link_count && count > 0; i++) {
        struct lithops__link *link = &relay->links[i];
        if (relay->starting >= LITHOPS__MOST_STARTS) /* whose end is an event */
            break;
        if (link->state != LITHOPS__LINK_DOWN)
            continue;
        lithops__link_start(link);
        if (link->state == LITHOPS__LINK_DOWN) /* it failed, and so would others */
            return relay->size.retry_ns;
        count--;
    }
    return UINT64_MAX;
}

bool lithops__relay_is_stuck(const struct lithops__relay *relay)
{
    return lithops__relay_is_paused(relay) && count_links(relay) == 0;
}

bool lithops__relay_may_grow(const struct lithops__relay *relay)
{
    return lithops__relay_is_elastic(relay) && count_links(relay) < relay->link_count;
}

/* ---- down ------------------------------------------------------------------------------------ */

/* One that is waited for longer than it is wanted. */
static uint64_t give_up_one(struct lithops__relay *relay, uint64_t now)
{
    uint64_t idle_ns = relay->workers.idle_timeout_ms * (uint64_t)1000000;
    if (relay->size.surplus_ns == 0)
        relay->size.surplus_ns = now;
    if (now < relay->size.surplus_ns + idle_ns)
        return relay->size.surplus_ns + idle_ns;
    for (uint32_t i = relay->link_count; i-- > 0;)
        if (relay->links[i].state == LITHOPS__LINK_CONNECTING) {
            lithops__link_cancel_start(&relay->links[i]); /* whose end is an event */
            break;
        }
    return UINT64_MAX;
}

static void say_goodbye(struct lithops__link *link)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    (void)lithops__frame_write(&link->out, LITHOPS__MESSAGE_BYE, 0, NULL, (lithops_bytes){NULL, 0},
                               &err);
    lithops__link_write(link);
    lithops__link_told(link);
    lithops__link_settle_all(link, &err); /* none; its processes are gone */
    lithops__link_finish(link);
}

/* @return when it has something to do next */
static uint64_t tend_end(struct lithops__link *link, uint64_t now)
{
    if (link->end_ns == UINT64_MAX)
        return UINT64_MAX;
    /* of a short life, a tenth */
    uint64_t life_ns = link->end_ns - link->ready_ns,
             last = lithops__earlier(last_ns, life_ns / 10);
    if (now < link->end_ns - last)
        return link->end_ns - last;
    lithops__link_leave(link);
    return UINT64_MAX;
}

static uint64_t tend_idle(struct lithops__link *link, bool is_surplus, uint64_t now)
{
    uint64_t idle_ns = link->relay->workers.idle_timeout_ms * (uint64_t)1000000;
    if (link->in_flight > 0 || lithops__link_has_output(link)) {
        link->idle_ns = 0;
        return UINT64_MAX;
    }
    if (link->idle_ns == 0)
        link->idle_ns = now;
    bool is_over = is_surplus && now >= link->idle_ns + idle_ns;
    if (link->is_leaving || is_over)
        say_goodbye(link);
    return is_surplus && !is_over ? link->idle_ns + idle_ns : UINT64_MAX;
}

uint64_t lithops__relay_tend_size(struct lithops__relay *relay)
{
    uint64_t now = lithops__now_ns(), until = UINT64_MAX;
    uint32_t wanted = count_wanted(relay), there = count_links(relay);
    for (uint32_t i = 0; i < relay->link_count; i++) {
        struct lithops__link *link = &relay->links[i];
        if (link->state != LITHOPS__LINK_READY)
            continue;
        until = lithops__earlier(until, tend_end(link, now));
        until = lithops__earlier(until, tend_idle(link, there > wanted, now));
        there -= there > wanted && link->state != LITHOPS__LINK_READY;
    }
    there = count_links(relay); /* those that have left make room */
    if (there < wanted)
        until = lithops__earlier(until, start_some(relay, wanted - there, now));
    if (relay->starting == 0)
        return until;
    if (there > wanted)
        until = lithops__earlier(until, give_up_one(relay, now));
    else
        relay->size.surplus_ns = 0;
    return lithops__earlier(until, now + second_ns); /* of calls that are cancelled nobody tells */
}
