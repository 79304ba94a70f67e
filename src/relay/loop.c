/* SPDX-License-Identifier: Apache-2.0 */
/* The relay's thread: an event loop over links, with the table's bell as one more event.
 *
 * Whoever holds the helm serves the links: this thread, which lets go of it while it sleeps, or a
 * thread that waits for a call (lend.c). */
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "ipc/bell.h"
#include "ipc/queue.h"
#include "ipc/settle.h"
#include "relay/link.h"
#include "relay/objects.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t hello_ns = 30000000000u, beat_ns = 1000000000u, ask_ns = 500000000u;
enum { BEATS = 15 }; /* that are missed when a link is lost */

/* ---- links that come and go ------------------------------------------------------------------ */

/* So many workers cannot be reached that no call may run. */
static bool is_hopeless(const struct lithops__relay *relay)
{
    uint32_t alive = 0;
    if (lithops__relay_is_elastic(relay))
        return lithops__relay_is_stuck(relay);
    for (uint32_t i = 0; i < relay->link_count; i++)
        alive += !lithops__link_is_dead(&relay->links[i]);
    return alive < relay->workers.min_workers;
}

/* Why calls cannot run: what became of the first worker that is not there, and of how many. */
static void explain(const struct lithops__relay *relay, lithops_error *ret_loss)
{
    uint32_t dead = 0;
    if (lithops__relay_is_elastic(relay)) {
        *ret_loss = relay->size.loss;
        return;
    }
    for (uint32_t i = relay->link_count; i-- > 0;)
        if (lithops__link_is_dead(&relay->links[i])) {
            *ret_loss = relay->links[i].loss;
            dead++;
        }
    uint32_t needed = relay->workers.min_workers;
    size_t len = strlen(ret_loss->message), room = sizeof ret_loss->message - len;
    if (needed > 1)
        snprintf(ret_loss->message + len, room, " (%u of %u workers are there, %u are needed)",
                 relay->link_count - dead, relay->link_count, needed);
    else if (dead > 1)
        snprintf(ret_loss->message + len, room, " (and %u more workers are not there)", dead - 1);
}

/* Too few links are left and no more can be made: what waits would wait for ever. */
static void give_up(struct lithops__relay *relay)
{
    lithops_error loss = LITHOPS_ERROR_INIT;
    explain(relay, &loss);
    pthread_mutex_lock(&relay->table->lock);
    lithops__settle_waiting(relay->table, &loss);
    pthread_mutex_unlock(&relay->table->lock);
    lithops__log(LITHOPS_LOG_ERROR, "relay", "%s", loss.message);
}

/* Connect what is due. @return when to look again */
static uint64_t tend_down(struct lithops__link *link)
{
    if (lithops__relay_is_elastic(link->relay) || /* size.c does it */
        link->failures >= LITHOPS__LINK_HOPELESS ||
        link->relay->starting >= LITHOPS__MOST_STARTS) /* whose end is an event */
        return UINT64_MAX;
    if (lithops__now_ns() < link->retry_ns)
        return link->retry_ns;
    lithops__link_start(link);
    return link->state == LITHOPS__LINK_DOWN ? link->retry_ns : UINT64_MAX;
}

static void send_beat(struct lithops__link *link, uint64_t now)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    struct lithops__beat beat = {.sent = now};
    (void)lithops__frame_write(&link->out, LITHOPS__MESSAGE_BEAT, 0, NULL,
                               (lithops_bytes){&beat, sizeof beat}, &err);
    uint64_t lost_ns = link->relay->workers.lost_timeout_ms * (uint64_t)1000000;
    link->beat_ns = now + (lost_ns / BEATS > beat_ns ? lost_ns / BEATS : beat_ns);
}

/* Nothing else tells of a worker behind a storage, and silence takes long to be one. @return when
 * to ask again */
static uint64_t ask_backend(struct lithops__link *link, uint64_t now)
{
    const struct lithops__relay *relay = link->relay;
    bool (*has_ended)(void *, const lithops_link *) = relay->driver->ops->has_ended;
    if (!relay->carrier || !has_ended || link->has_ended)
        return UINT64_MAX;
    if (now < link->ask_ns)
        return link->ask_ns;
    link->ask_ns = now + ask_ns;
    link->has_ended = has_ended(relay->state, &link->wire);
    if (link->has_ended) /* the link ends when its last words have come */
        lithops__carrier_ended(relay->carrier, link->worker);
    return link->ask_ns;
}

/* A link with calls on it says something each second, or is lost. One without may rest. */
static uint64_t tend_up(struct lithops__link *link)
{
    uint64_t now = lithops__now_ns();
    uint64_t silent_ns = link->relay->workers.lost_timeout_ms * (uint64_t)1000000;
    lithops_error err = LITHOPS_ERROR_INIT;
    if (link->state == LITHOPS__LINK_STARTING) {
        if (now < link->state_ns + hello_ns)
            return lithops__earlier(link->state_ns + hello_ns, ask_backend(link, now));
        lithops__fail(&err, LITHOPS_ETIMEDOUT, "it said nothing for %llu s after its start",
                      (unsigned long long)(hello_ns / 1000000000));
        lithops__link_lost(link, &err);
        return 0;
    }
    if (link->in_flight == 0) {
        link->heard_ns = now;
        return UINT64_MAX;
    }
    if (now >= link->heard_ns + silent_ns) {
        lithops__fail(&err, LITHOPS_ETIMEDOUT, "it said nothing for %g s", (double)silent_ns / 1e9);
        lithops__link_lost(link, &err);
        return 0;
    }
    if (now >= link->beat_ns)
        send_beat(link, now);
    return lithops__earlier(lithops__earlier(link->beat_ns, link->heard_ns + silent_ns),
                            ask_backend(link, now));
}

static void count_requests(const struct lithops__relay *relay)
{
    uint64_t reads, writes;
    if (!relay->carrier)
        return;
    lithops__carrier_made(relay->carrier, &reads, &writes);
    lithops__meter_requests(&relay->table->meter, reads, writes);
}

static uint64_t tend_links(struct lithops__relay *relay)
{
    uint64_t until = UINT64_MAX;
    bool tries_again = relay->has_given_up && lithops__relay_do_calls_wait(relay);
    for (uint32_t i = 0; i < relay->link_count; i++) {
        struct lithops__link *link = &relay->links[i];
        if (link->state == LITHOPS__LINK_CONNECTING || link->state == LITHOPS__LINK_ENDING)
            lithops__link_end_start(link);
        if (tries_again && lithops__link_is_dead(link)) {
            link->failures = LITHOPS__LINK_HOPELESS - 1; /* once more */
            link->retry_ns = 0;
        }
        if (link->state == LITHOPS__LINK_DOWN)
            until = lithops__earlier(until, tend_down(link));
        else if (lithops__link_is_up(link))
            until = lithops__earlier(until, tend_up(link));
    }
    if (lithops__relay_is_elastic(relay)) {
        if (tries_again)
            lithops__relay_unstick(relay);
        until = lithops__earlier(until, lithops__relay_tend_size(relay));
    }
    if (relay->starting > 0 && !relay->has_hashed) /* while all of them start */
        lithops__relay_hash_program(relay);
    relay->has_given_up = is_hopeless(relay);
    if (relay->has_given_up && lithops__relay_do_calls_wait(relay))
        give_up(relay);
    return until;
}

/* ---- calls ----------------------------------------------------------------------------------- */

static void tell_cancels(struct lithops__relay *relay)
{
    pthread_mutex_lock(&relay->table->lock);
    for (uint32_t i = 0; relay->has_cancel && i < relay->link_count; i++)
        lithops__link_tell_cancels(&relay->links[i]);
    relay->has_cancel = false;
    pthread_mutex_unlock(&relay->table->lock);
}

static bool is_any_broken(const struct lithops__relay *relay)
{
    for (uint32_t i = 0; i < relay->link_count; i++)
        if (relay->links[i].broken.code && lithops__link_is_up(&relay->links[i]))
            return true;
    return false;
}

static void bury_broken(struct lithops__relay *relay)
{
    for (uint32_t i = 0; i < relay->link_count; i++) {
        struct lithops__link *link = &relay->links[i];
        if (link->broken.code && lithops__link_is_up(link))
            lithops__link_lost(link, &link->broken);
    }
}

/* ---- the loop -------------------------------------------------------------------------------- */

static void serve_links(struct lithops__relay *relay, const struct pollfd *fds)
{
    uint64_t events;
    if (fds[0].revents)
        (void)!read(relay->event_fd, &events, sizeof events);
    for (uint32_t i = 0; i < relay->link_count; i++) {
        struct lithops__link *link = &relay->links[i];
        if (fds[2 * i + 1].revents && lithops__link_is_up(link))
            lithops__link_read(link);
        if (fds[2 * i + 2].revents && lithops__link_is_up(link))
            lithops__link_write(link);
    }
}

/* Let go of the helm, and sleep. */
static void sleep_on(struct lithops__relay *relay, struct pollfd *fds, uint32_t doorbell,
                     uint64_t until)
{
    struct lithops__control *control = relay->table->area.control;
    bool parks = lithops__relay_wants_calls(relay);
    int ms = parks && !lithops__bell_announce(control, 0, doorbell)
                 ? 0
                 : lithops__relay_timeout_ms(until);
    nfds_t count = lithops__relay_list_fds(relay, fds);
    pthread_mutex_unlock(&relay->helm);
    (void)poll(fds, count, ms);
    pthread_mutex_lock(&relay->helm);
    if (relay->is_lent) /* who waits has the same events, and sees to them */
        return;
    if (parks)
        lithops__bell_retract(control, 0);
    serve_links(relay, fds);
}

void *lithops__relay_run(void *user)
{
    struct lithops__relay *relay = user;
    struct pollfd *fds = calloc(1 + 2 * (size_t)relay->link_count, sizeof *fds);
    struct lithops__table *table = relay->table;
    bool closing = !fds;
    pthread_mutex_lock(&relay->helm);
    while (!closing) {
        lithops__relay_await_helm(relay);
        uint32_t doorbell = atomic_load(&table->area.control->doorbell);
        bury_broken(relay);
        lithops__relay_forget_jobs(relay);
        lithops__relay_answer_needs(relay);
        uint64_t until = tend_links(relay);
        until = lithops__earlier(until, lithops__relay_place(relay));
        count_requests(relay);
        bool claimed = lithops__relay_claim(relay);
        if (!claimed)
            until = lithops__earlier(until, lithops__relay_take_back(relay));
        lithops__relay_find_stops(relay); /* at least with each beat */
        pthread_mutex_lock(&table->lock);
        until = lithops__earlier(until, lithops__table_tend(table));
        closing = relay->closing;
        bool has_cancel = relay->has_cancel;
        pthread_mutex_unlock(&table->lock);
        if (has_cancel)
            tell_cancels(relay);
        lithops__relay_feed_settled(relay);
        bool drained = lithops__relay_write(relay);
        atomic_store(&relay->may_lend, lithops__relay_is_calm(relay));
        if (!closing)
            sleep_on(relay, fds, doorbell, claimed || drained || is_any_broken(relay) ? 0 : until);
    }
    count_requests(relay);
    atomic_store(&relay->may_lend, false);
    pthread_mutex_unlock(&relay->helm);
    free(fds);
    return NULL;
}
