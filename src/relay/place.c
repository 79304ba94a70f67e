/* SPDX-License-Identifier: Apache-2.0 */
/* Results that were parked are published when there is room, or fail when nothing comes back for
 * too long: park.c says why and how. */
#include "base/clock.h"
#include "ipc/bell.h"
#include "ipc/take.h"
#include "relay/link.h"

static const uint64_t look_ns = 500000000;

/* The client waits, and no call runs that could end. */
static bool all_lack_memory(const struct lithops__relay *relay)
{
    if (atomic_load(&relay->table->area.control->waiters) == 0)
        return false;
    for (uint32_t i = 0; i < relay->link_count; i++) {
        const struct lithops__link *link = &relay->links[i];
        for (uint32_t a = 0; a < link->capacity; a++) {
            const struct lithops__activation *activation = &link->activations[a];
            for (uint32_t c = 0; activation->in_use && c < activation->count; c++)
                if ((activation->marks[c] &
                     (LITHOPS__MARK_DONE | LITHOPS__MARK_PARKED | LITHOPS__MARK_HELD)) == 0 &&
                    activation->marks[c] & LITHOPS__MARK_BEGUN)
                    return false;
        }
    }
    return true;
}

/* When a call gives up. */
static uint64_t patience_until(const struct lithops__parked *parked, bool all_lack, uint64_t now)
{
    const struct lithops__area *area = &parked->link->relay->table->area;
    const struct lithops__activation *activation =
        &parked->link->activations[parked->outcome.activation];
    bool little = all_lack || lithops__take_is_awaited(&area->ranges[activation->range],
                                                       activation->begin + parked->outcome.call);
    return lithops__bell_patience_until(area->control, little, now);
}

/* Publish what there is room for, the oldest first. */
static void place_all(struct lithops__relay *relay, bool all_lack, uint64_t now)
{
    for (struct lithops__parked **at = &relay->parked; *at;) {
        struct lithops__parked *parked = *at;
        struct lithops__link *link = parked->link;
        bool impatient = patience_until(parked, all_lack, now) <= now;
        /* It stands behind none that is in front of it here: they lack more, or room was left. */
        *at = parked->next;
        int rc = lithops__link_place(link, &parked->outcome, impatient);
        struct lithops__parked *rest = *at;
        parked->next = rest;
        *at = parked;
        if (rc == 0)
            lithops__parked_free(at);
        else
            at = &parked->next;
    }
}

uint64_t lithops__relay_place(struct lithops__relay *relay)
{
    struct lithops__control *control = relay->table->area.control;
    if (!relay->parked)
        return UINT64_MAX;
    (void)lithops__bell_want_memory(control);
    bool all_lack = all_lack_memory(relay);
    uint64_t now = lithops__now_ns(), until = UINT64_MAX;
    place_all(relay, all_lack, now);
    lithops__relay_tell_parked(relay);
    if (!relay->parked)
        return UINT64_MAX;
    for (const struct lithops__parked *parked = relay->parked; parked; parked = parked->next)
        until = lithops__earlier(until, patience_until(parked, all_lack, now));
    /* Whoever waits may begin to wait for all, which nobody tells. */
    return lithops__earlier(until, now + look_ns);
}
