/* SPDX-License-Identifier: Apache-2.0 */
/* The time that a worker has: which calls can end in it, and how it leaves. */
#include "base/clock.h"
#include "base/log.h"
#include "relay/link.h"

static const uint64_t fresh_ns = 5000000000; /* so long it counts as if it had all of its time */

void lithops__link_leave(struct lithops__link *link)
{
    if (link->is_leaving)
        return;
    link->is_leaving = true;
    lithops__link_ask_all(link);
    lithops__relay_wake(link->relay); /* it may end at once */
    lithops__log(LITHOPS_LOG_DEBUG, "relay", "worker %s takes no more calls", link->name);
}

bool lithops__link_has_time(const struct lithops__link *link, const struct lithops__range *range)
{
    if (link->end_ns == UINT64_MAX || range->timeout_ticks == 0)
        return true;
    const struct lithops__relay *relay = link->relay;
    uint64_t ms = range->timeout_ticks / relay->table->area.control->ticks_per_ms;
    uint64_t usual = relay->usual_timeout_ms, now = lithops__now_ns();
    uint64_t life_ms = (link->end_ns - link->ready_ns) / 1000000;
    if ((usual && ms + 1 >= usual && ms <= usual + 1) || ms >= life_ms)
        return true; /* nobody has said how long it takes, or no worker has so much time */
    return now < link->ready_ns + fresh_ns || now + ms * 1000000 <= link->end_ns;
}
