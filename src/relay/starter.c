/* SPDX-License-Identifier: Apache-2.0 */
/* Connecting: a short-lived thread per starting worker, so that a slow one delays no other.
 *
 * The thread has the backend make the link, and wakes the relay, which does the rest: it takes the
 * link, and says hello. */
#include "relay/link.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { STACK_BYTES = 512 << 10, RETRY_NS = 1000000000 };

static void write_one(int fd)
{
    uint64_t one = 1;
    (void)!write(fd, &one, sizeof one);
}

static void *connect_one(void *user)
{
    struct lithops__link *link = user;
    struct lithops__start *start = &link->start;
    int event_fd = link->relay->event_fd;
    start->wire = (lithops_link){.read_fd = -1, .write_fd = -1};
    start->rc = lithops__link_connect(link, &start->wire, &start->err);
    atomic_store(&start->is_done, true);
    write_one(event_fd);
    return NULL;
}

static void fail(struct lithops__link *link, const lithops_error *err)
{
    link->loss = *err;
    if (!lithops__relay_is_elastic(link->relay))
        link->failures = err->retryable ? link->failures + 1 : LITHOPS__LINK_HOPELESS;
    else if (err->code != LITHOPS_ECANCELED)
        lithops__relay_start_failed(link->relay, err);
    link->state = LITHOPS__LINK_DOWN;
    link->state_ns = lithops__now_ns();
    link->retry_ns = link->state_ns + RETRY_NS;
    if (err->code != LITHOPS_ECANCELED)
        lithops__log(LITHOPS_LOG_WARNING, "relay", "%s", err->message);
}

/* Of a start that failed no worker is there, unless it was asked for already and nobody waited for
 * the answer: that one counts. */
static void give_back(const struct lithops__link *link, const lithops_error *err)
{
    if (err->code != LITHOPS_ETIMEDOUT && err->code != LITHOPS_ECANCELED)
        lithops__meter_unstart(&link->relay->table->meter);
}

static int start_thread(struct lithops__link *link, void *(*run)(void *))
{
    pthread_attr_t attributes;
    int rc = pthread_attr_init(&attributes);
    if (rc != 0)
        return rc;
    atomic_store(&link->start.is_done, false);
    link->start.err = (lithops_error)LITHOPS_ERROR_INIT;
    rc = pthread_attr_setstacksize(&attributes, STACK_BYTES);
    if (rc == 0)
        rc = pthread_create(&link->start.thread, &attributes, run, link);
    pthread_attr_destroy(&attributes);
    return rc;
}

void lithops__link_start(struct lithops__link *link)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    if (lithops__meter_start(&link->relay->table->meter, &err) != 0) {
        fail(link, &err);
        return;
    }
    lithops__log(LITHOPS_LOG_DEBUG, "relay", "starting worker %s", link->name);
    link->state = LITHOPS__LINK_CONNECTING;
    link->state_ns = lithops__now_ns();
    link->start.cancel_fd = lithops__high_fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    int rc = link->start.cancel_fd < 0 ? errno : start_thread(link, connect_one);
    if (rc == 0) {
        link->relay->starting++;
        return;
    }
    if (link->start.cancel_fd >= 0)
        close(link->start.cancel_fd);
    lithops__fail_errno(&err, rc, "cannot start a thread for worker %s", link->name);
    err.retryable = true;
    give_back(link, &err);
    fail(link, &err);
}

void lithops__link_end_start(struct lithops__link *link)
{
    if (!atomic_load(&link->start.is_done))
        return;
    pthread_join(link->start.thread, NULL);
    if (link->state == LITHOPS__LINK_ENDING) {
        link->state = LITHOPS__LINK_DOWN;
        return;
    }
    close(link->start.cancel_fd);
    link->relay->starting--;
    if (link->start.rc != 0) {
        give_back(link, &link->start.err);
        fail(link, &link->start.err);
        return;
    }
    link->wire = link->start.wire;
    lithops__link_connected(link);
}

void lithops__link_cancel_start(struct lithops__link *link)
{
    if (link->state == LITHOPS__LINK_CONNECTING)
        write_one(link->start.cancel_fd);
}

void lithops__relay_cancel_starts(struct lithops__relay *relay)
{
    for (uint32_t i = 0; i < relay->link_count; i++)
        lithops__link_cancel_start(&relay->links[i]);
    for (uint32_t i = 0; i < relay->link_count; i++) {
        struct lithops__link *link = &relay->links[i];
        if (link->state == LITHOPS__LINK_ENDING) {
            pthread_join(link->start.thread, NULL);
            link->state = LITHOPS__LINK_DOWN;
        }
        if (link->state != LITHOPS__LINK_CONNECTING)
            continue;
        pthread_join(link->start.thread, NULL);
        close(link->start.cancel_fd);
        if (link->start.rc != 0)
            give_back(link, &link->start.err);
        link->wire = link->start.wire;
        link->state = link->start.rc == 0 ? LITHOPS__LINK_STARTING : LITHOPS__LINK_DOWN;
    }
}

/* ---- ending ---------------------------------------------------------------------------------- */

static void *end_one(void *user)
{
    struct lithops__link *link = user;
    struct lithops__relay *relay = link->relay;
    int event_fd = relay->event_fd;
    char how[512] = "";
    lithops__link_disconnect(link, &link->start.wire, how, sizeof how);
    lithops__log(LITHOPS_LOG_DEBUG, "relay", "worker %s is ended%s%s", link->name,
                 how[0] ? ": " : "", how);
    atomic_store(&link->start.is_done, true);
    write_one(event_fd);
    return NULL;
}

void lithops__link_finish(struct lithops__link *link)
{
    lithops__link_hang_up(link);
    link->state = LITHOPS__LINK_ENDING;
    link->state_ns = lithops__now_ns();
    link->retry_ns = 0;
    link->start.wire = link->wire;
    if (start_thread(link, end_one) == 0)
        return;
    (void)end_one(link); /* so it takes longer */
    link->state = LITHOPS__LINK_DOWN;
}
