/* SPDX-License-Identifier: Apache-2.0 */
/* What any thread at the helm does with the links: claim calls, write, list what to wait for. */
#include "base/clock.h"
#include "ipc/queue.h"
#include "relay/link.h"

#include <poll.h>

bool lithops__link_is_dead(const struct lithops__link *link)
{
    return link->state == LITHOPS__LINK_DOWN && link->failures >= LITHOPS__LINK_HOPELESS;
}

bool lithops__relay_do_calls_wait(struct lithops__relay *relay)
{
    struct lithops__area *area = &relay->table->area;
    uint64_t tail = atomic_load(&area->control->tail);
    lithops__queue_advance(area);
    for (uint64_t at = atomic_load(&area->control->head); at < tail; at++)
        if (lithops__queue_left(area, lithops__span_at(area, at)) > 0)
            return true;
    return false;
}

/* As many workers as must be there have come. */
static bool may_claim(struct lithops__relay *relay)
{
    uint32_t ready = 0;
    for (uint32_t i = 0; !relay->has_begun && i < relay->link_count; i++)
        ready += relay->links[i].state == LITHOPS__LINK_READY;
    relay->has_begun |= ready >= relay->workers.min_workers;
    return relay->has_begun && !relay->has_given_up;
}

bool lithops__relay_claim(struct lithops__relay *relay)
{
    bool any = false;
    if (!may_claim(relay))
        return false;
    for (uint32_t i = 0; i < relay->link_count; i++)
        any |= lithops__link_claim(&relay->links[i]);
    return any;
}

bool lithops__relay_wants_calls(const struct lithops__relay *relay)
{
    for (uint32_t i = 0; i < relay->link_count; i++) {
        const struct lithops__link *link = &relay->links[i];
        if (link->state == LITHOPS__LINK_READY && link->granted > link->sent && !link->parcels)
            return true;
    }
    return relay->has_given_up || lithops__relay_may_grow(relay) ||
           lithops__relay_is_feeding(relay); /* of a cancelled map call the bell tells */
}

bool lithops__relay_write(struct lithops__relay *relay)
{
    bool drained = false;
    for (uint32_t i = 0; i < relay->link_count; i++) {
        struct lithops__link *link = &relay->links[i];
        if (!lithops__link_has_output(link))
            continue;
        lithops__link_write(link);
        drained |= !lithops__link_has_output(link);
    }
    return drained;
}

int lithops__relay_timeout_ms(uint64_t until)
{
    if (until == UINT64_MAX)
        return -1;
    uint64_t now = lithops__now_ns();
    uint64_t ms = until <= now ? 0 : (until - now) / 1000000 + 1;
    return ms > 1000000 ? 1000000 : (int)ms;
}

nfds_t lithops__relay_list_fds(const struct lithops__relay *relay, struct pollfd *fds)
{
    nfds_t n = 0;
    fds[n++] = (struct pollfd){relay->event_fd, POLLIN, 0};
    for (uint32_t i = 0; i < relay->link_count; i++) {
        const struct lithops__link *link = &relay->links[i];
        bool up = lithops__link_is_up(link);
        short out = lithops__link_has_output(link) ? POLLOUT : 0;
        fds[n++] = (struct pollfd){up ? link->wire.read_fd : -1, POLLIN, 0};
        fds[n++] = (struct pollfd){up && out ? link->wire.write_fd : -1, out, 0};
    }
    return n;
}
