/* SPDX-License-Identifier: Apache-2.0 */
/* Links served by the threads that wait for calls.
 *
 * One short call costs two wake-ups more where the relay's thread carries its messages: of that
 * thread by who offers it, and of who waits by that thread. So while nothing is going on but a few
 * calls, a thread that waits for one becomes the *guest*: it takes the helm, and does what the
 * relay's thread does, until its call is done.
 *
 *     the relay's thread serves --a guest comes--> lent --------------------> the relay's thread
 *                                                   |  anything else happens,
 *                                                   |  or no guest for 1 ms
 *                                                   '-- guests come and go, offers are sent
 *
 * While links are lent the relay's thread looks once a millisecond whether guests still come. A
 * guest does nothing that takes long, stays for 20 ms at most, and leaves at any event that is not
 * a message of a link; then the relay's thread goes on. Beats, losses, connecting, cancels and the
 * functions of new jobs are all that thread's. */
#include "base/clock.h"
#include "ipc/bell.h"
#include "relay/link.h"
#include "relay/objects.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <time.h>

enum { FEW_CALLS = 64, TICK_MS = 1 };
static const uint64_t stay_ns = 20000000, again_ns = 5000000, patience_ns = 200000;

/* For locks and conditions, which go by the time of day. */
static struct timespec in_ns(uint64_t ns)
{
    uint64_t until = lithops__wall_ns() + ns;
    return (struct timespec){(time_t)(until / 1000000000), (long)(until % 1000000000)};
}

static uint64_t in_flight(const struct lithops__relay *relay)
{
    uint64_t calls = 0;
    for (uint32_t i = 0; i < relay->link_count; i++)
        calls += relay->links[i].in_flight;
    return calls;
}

bool lithops__relay_is_calm(const struct lithops__relay *relay)
{
    if (lithops__relay_is_elastic(relay)) /* its size is to be looked after */
        return false;
    if (relay->closing || relay->parked || !relay->has_begun || relay->has_given_up ||
        relay->starting || lithops__relay_is_feeding(relay) || in_flight(relay) > FEW_CALLS)
        return false;
    for (uint32_t i = 0; i < relay->link_count; i++) {
        const struct lithops__link *link = &relay->links[i];
        if (lithops__link_is_dead(link))
            continue;
        if (link->state != LITHOPS__LINK_READY || link->broken.code || !link->may_be_lent ||
            link->end_ns != UINT64_MAX || lithops__link_has_output(link))
            return false;
    }
    return true;
}

/* The links are the relay's thread's again. */
static void call_back(struct lithops__relay *relay)
{
    relay->is_lent = false;
    relay->lend_ns = lithops__now_ns() + again_ns;
    pthread_cond_signal(&relay->helm_back);
    lithops__relay_wake(relay);
}

/* Claim and send, without beginning anything that takes long. True: some calls were. */
static bool send_some(struct lithops__relay *relay)
{
    relay->is_guest = true;
    relay->is_wanted = false;
    bool claimed = lithops__relay_claim(relay);
    (void)lithops__relay_write(relay);
    relay->is_guest = false;
    return claimed;
}

static bool may_go_on(const struct lithops__relay *relay)
{
    return !relay->is_wanted && lithops__relay_is_calm(relay);
}

/* ---- the relay's thread ---------------------------------------------------------------------- */

static void tend_table(struct lithops__table *table)
{
    pthread_mutex_lock(&table->lock);
    (void)lithops__table_tend(table);
    pthread_mutex_unlock(&table->lock);
}

/* A tick, or an event that no guest is there to see. True: it was an event. */
static bool doze(struct lithops__relay *relay)
{
    struct lithops__control *control = relay->table->area.control;
    if (relay->has_guest) {
        const struct timespec until = in_ns(TICK_MS * 1000000);
        (void)pthread_cond_timedwait(&relay->helm_back, &relay->helm, &until);
        return false;
    }
    uint32_t doorbell = atomic_load(&control->doorbell);
    if (lithops__relay_do_calls_wait(relay) || !lithops__bell_announce(control, 0, doorbell))
        return true;
    pthread_mutex_unlock(&relay->helm);
    bool is_event = poll(&(struct pollfd){relay->event_fd, POLLIN, 0}, 1, TICK_MS) > 0;
    pthread_mutex_lock(&relay->helm);
    return is_event && !relay->has_guest;
}

void lithops__relay_await_helm(struct lithops__relay *relay)
{
    bool was_lent = relay->is_lent;
    while (relay->is_lent || relay->has_guest) {
        uint64_t visits = relay->visits;
        if (doze(relay) || (!relay->has_guest && relay->visits == visits)) {
            relay->is_lent = false;
            break;
        }
        tend_table(relay->table);
    }
    if (was_lent)
        lithops__bell_retract(relay->table->area.control, 0);
}

/* ---- guests ---------------------------------------------------------------------------------- */

static bool take_helm(struct lithops__relay *relay)
{
    struct timespec until;
    if (pthread_mutex_trylock(&relay->helm) == 0)
        return true;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += (long)patience_ns;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    return pthread_mutex_timedlock(&relay->helm, &until) == 0;
}

/* Sleep until a link says something, and hear it. False: it is not for a guest to go on. */
static bool hear(struct lithops__relay *relay, uint32_t doorbell, uint64_t until_ns)
{
    struct lithops__control *control = relay->table->area.control;
    struct pollfd *fds = relay->guest_fds;
    if (lithops__relay_wants_calls(relay) && !lithops__bell_announce(control, 0, doorbell))
        return true; /* more calls were offered */
    nfds_t count = lithops__relay_list_fds(relay, fds);
    pthread_mutex_unlock(&relay->helm);
    int n = poll(fds, count, lithops__relay_timeout_ms(until_ns));
    pthread_mutex_lock(&relay->helm);
    if (n <= 0)
        return n < 0 && errno == EINTR;
    for (uint32_t i = 0; i < relay->link_count; i++)
        if (fds[2 * i + 1].revents)
            lithops__link_read(&relay->links[i]);
    return fds[0].revents == 0;
}

static void visit(struct lithops__relay *relay, bool (*is_done)(void *what), void *what,
                  uint64_t deadline_ns)
{
    const struct lithops__control *control = relay->table->area.control;
    uint64_t until_ns = lithops__now_ns() + stay_ns;
    if (deadline_ns < until_ns)
        until_ns = deadline_ns;
    relay->has_guest = relay->is_lent = true;
    relay->visits++;
    bool goes_on = true;
    while (goes_on && !is_done(what)) {
        uint32_t doorbell = atomic_load(&control->doorbell);
        (void)send_some(relay);
        goes_on = may_go_on(relay) && hear(relay, doorbell, until_ns) &&
                  lithops__now_ns() < until_ns && may_go_on(relay);
    }
    relay->has_guest = false;
    if (!goes_on || in_flight(relay) > 0)
        call_back(relay);
}

static void serve(void *user, bool (*is_done)(void *what), void *what, uint64_t deadline_ns)
{
    struct lithops__relay *relay = user;
    int cancels;
    if (!atomic_load(&relay->may_lend) || deadline_ns <= 1)
        return;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancels);
    if (take_helm(relay)) {
        bool may_come = atomic_load(&relay->may_lend) && !relay->has_guest &&
                        (relay->is_lent || lithops__now_ns() >= relay->lend_ns) &&
                        lithops__relay_is_calm(relay);
        if (may_come)
            visit(relay, is_done, what, deadline_ns);
        pthread_mutex_unlock(&relay->helm);
    }
    pthread_setcancelstate(cancels, &cancels);
}

/* Only while links are lent, and one call at a time: who offers many leaves the sending to the
 * relay's thread, which sends them together. */
static bool send_offers(void *user)
{
    struct lithops__relay *relay = user;
    if (!atomic_load(&relay->may_lend) || pthread_mutex_trylock(&relay->helm) != 0)
        return false;
    bool is_sent = false;
    if (relay->is_lent && !relay->has_guest && in_flight(relay) == 0 &&
        lithops__relay_is_calm(relay)) {
        is_sent = send_some(relay) && !lithops__relay_do_calls_wait(relay);
        if (!may_go_on(relay))
            call_back(relay);
    }
    pthread_mutex_unlock(&relay->helm);
    return is_sent;
}

const struct lithops__service lithops__relay_service = {.send = send_offers, .serve = serve};
