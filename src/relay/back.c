/* SPDX-License-Identifier: Apache-2.0 */
/* Taking back: if a worker has nothing to do and no calls wait, it gets some that were sent to
 * another one and have not begun. So the end of a job never waits for a worker that is slow or
 * stands still.
 *
 * Only the worker knows which calls it has not begun. It is asked, and answers for each call: it
 * has begun, is done, or is given back and will not run there. A worker that gave calls back gets
 * new ones after the others, until one of its calls begins or ends; the time until the next try
 * doubles. */
#include "base/clock.h"
#include "base/log.h"
#include "relay/link.h"

static const uint64_t patience_ns = 5000000, /* younger activations are about to begin */
    carried_ns = 300000000,                  /* the same, where messages take so much longer */
    least_rest_ns = 20000000, most_rest_ns = 2000000000;

/* ---- rest ------------------------------------------------------------------------------------ */

void lithops__link_rest(struct lithops__link *link)
{
    uint64_t now = lithops__now_ns();
    if (now < link->rest_until_ns)
        return;
    link->rest_ns = link->rest_ns ? 2 * link->rest_ns : least_rest_ns;
    if (link->rest_ns > most_rest_ns)
        link->rest_ns = most_rest_ns;
    link->rest_until_ns = now + link->rest_ns;
}

void lithops__link_end_rest(struct lithops__link *link)
{
    link->rest_ns = link->rest_until_ns = 0;
}

static bool rests(const struct lithops__link *link, uint64_t now)
{
    return link->rest_until_ns && now < link->rest_until_ns;
}

bool lithops__link_is_resting(const struct lithops__link *link)
{
    if (link->rest_until_ns == 0)
        return false;
    const struct lithops__relay *relay = link->relay;
    uint64_t now = lithops__now_ns();
    for (uint32_t i = 0; rests(link, now) && i < relay->link_count; i++)
        if (relay->links[i].state == LITHOPS__LINK_READY && !rests(&relay->links[i], now))
            return true;
    return false;
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* How many calls it may be sent, if it has idle processes. */
static uint64_t idle_credit(const struct lithops__link *link, uint64_t now)
{
    bool is_idle = link->state == LITHOPS__LINK_READY && !rests(link, now) &&
                   link->in_flight < link->processes && link->granted > link->sent;
    return is_idle ? link->granted - link->sent : 0;
}

static uint64_t patience_of(const struct lithops__link *link)
{
    return link->relay->carrier ? carried_ns : patience_ns;
}

/* How many calls may wait there. *ret_due: when the youngest activation is old enough. */
static uint64_t count_waiting(const struct lithops__link *link, uint64_t now, uint64_t *ret_due)
{
    uint64_t waiting = 0;
    for (uint32_t a = 0; a < link->capacity; a++) {
        const struct lithops__activation *activation = &link->activations[a];
        if (!activation->in_use)
            continue;
        if (now < activation->sent_ns + patience_of(link)) {
            *ret_due = lithops__earlier(*ret_due, activation->sent_ns + patience_of(link));
            continue;
        }
        for (uint32_t c = 0; c < activation->count; c++)
            waiting += activation->marks[c] == 0;
    }
    return waiting;
}

/* Ask for up to `most` calls of an activation, the last ones. @return how many */
static uint64_t ask_for(struct lithops__link *link, struct lithops__activation *activation,
                        uint64_t most)
{
    struct lithops__parcel *parcel = lithops__parcel_new();
    if (!parcel)
        return 0;
    uint64_t asked = 0;
    size_t at = lithops__frame_begin(&parcel->frame, LITHOPS__MESSAGE_CANCEL, LITHOPS__FRAME_BACK,
                                     (uint32_t)(activation - link->activations));
    for (uint32_t c = activation->count; c-- > 0 && asked < most;) {
        if (activation->marks[c])
            continue;
        activation->marks[c] = LITHOPS__MARK_ASKED;
        lithops__buffer_append(&parcel->frame, &c, sizeof c);
        asked++;
    }
    lithops__frame_end(&parcel->frame, at);
    if (asked == 0)
        parcel->frame.len = 0;
    lithops__link_send(link, parcel);
    return asked;
}

static void ask(struct lithops__link *link, uint64_t most, uint64_t now)
{
    uint64_t asked = 0;
    for (uint32_t a = link->capacity; a-- > 0 && asked < most;) {
        struct lithops__activation *activation = &link->activations[a];
        if (activation->in_use && now >= activation->sent_ns + patience_of(link))
            asked += ask_for(link, activation, most - asked);
    }
}

void lithops__link_ask_all(struct lithops__link *link)
{
    ask(link, UINT64_MAX, UINT64_MAX);
}

uint64_t lithops__relay_take_back(struct lithops__relay *relay)
{
    uint64_t now = lithops__now_ns(), idle = 0, due = UINT64_MAX;
    for (uint32_t i = 0; i < relay->link_count; i++) {
        const struct lithops__link *link = &relay->links[i];
        idle += idle_credit(link, now);
        if (link->state == LITHOPS__LINK_READY && rests(link, now))
            due = lithops__earlier(due, link->rest_until_ns);
    }
    for (uint32_t i = 0; i < relay->link_count && idle > 0; i++) {
        struct lithops__link *link = &relay->links[i];
        uint64_t others = idle - idle_credit(link, now);
        if (link->state != LITHOPS__LINK_READY || link->in_flight == 0 || others == 0)
            continue;
        uint64_t most = (count_waiting(link, now, &due) + 1) / 2; /* it goes on, too */
        if (most > 0)
            lithops__log(LITHOPS_LOG_DEBUG, "relay",
                         "up to %llu calls are taken back from worker %s",
                         (unsigned long long)(most < others ? most : others), link->name);
        if (most > 0)
            ask(link, most < others ? most : others, now);
    }
    return due;
}
