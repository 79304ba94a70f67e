/* SPDX-License-Identifier: Apache-2.0 */
/* Turns at the API server: some make their Jobs at a time, all others wait, and the first one that
 * came goes first. Who waits is in a list, on its own stack, with an eventfd that tells it.
 *
 * Where making one fails, it would fail for those who wait, too: they are told so, and do not ask a
 * server that is away or a quota that is reached, one after the other, for hours. */
#include "base/error.h"
#include "compute/backends/k8s/k8s.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct waiter {
    struct waiter *next;
    int event_fd;
    bool is_told; /* it is not in the list any more, */
    bool is_next; /* and has the turn; else: */
    lithops_error why;
};

struct lithops__k8s_turns {
    pthread_mutex_t lock; /* all below, and the waiters in the list */
    unsigned free;        /* turns */
    struct waiter *first, **last;
};

int lithops__k8s_turns_new(unsigned count, struct lithops__k8s_turns **ret_turns,
                           lithops_error *err)
{
    struct lithops__k8s_turns *turns = calloc(1, sizeof *turns);
    if (!turns)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    pthread_mutex_init(&turns->lock, NULL);
    turns->free = count;
    turns->last = &turns->first;
    *ret_turns = turns;
    return 0;
}

void lithops__k8s_turns_free(struct lithops__k8s_turns *turns)
{
    if (!turns)
        return;
    pthread_mutex_destroy(&turns->lock);
    free(turns);
}

/* [lock] */
static struct waiter *take_first(struct lithops__k8s_turns *turns)
{
    struct waiter *first = turns->first;
    if (!first)
        return NULL;
    turns->first = first->next;
    if (!turns->first)
        turns->last = &turns->first;
    first->is_told = true;
    return first;
}

/* [lock] */
static void pass_on(struct lithops__k8s_turns *turns)
{
    struct waiter *next = take_first(turns);
    if (!next) {
        turns->free++;
        return;
    }
    next->is_next = true;
    (void)eventfd_write(next->event_fd, 1);
}

/* [lock] It does not want it any more. */
static void leave(struct lithops__k8s_turns *turns, struct waiter *waiter)
{
    struct waiter **at = &turns->first;
    if (waiter->is_told) {
        if (waiter->is_next)
            pass_on(turns);
        return;
    }
    while (*at != waiter)
        at = &(*at)->next;
    *at = waiter->next;
    if (turns->last == &waiter->next)
        turns->last = at;
}

/* [lock] True: it is there at once. */
static bool queue(struct lithops__k8s_turns *turns, struct waiter *waiter)
{
    if (turns->free > 0) {
        turns->free--;
        return true;
    }
    *turns->last = waiter;
    turns->last = &waiter->next;
    return false;
}

int lithops__k8s_turns_take(struct lithops__k8s_turns *turns, int cancel_fd, lithops_error *err)
{
    struct waiter waiter = {.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    if (waiter.event_fd < 0)
        return lithops__fail_errno(err, errno, "cannot wait for a turn at Kubernetes");
    pthread_mutex_lock(&turns->lock);
    bool has_turn = queue(turns, &waiter);
    pthread_mutex_unlock(&turns->lock);
    int rc = 0;
    if (!has_turn) {
        struct pollfd fds[] = {{waiter.event_fd, POLLIN, 0}, {cancel_fd, POLLIN, 0}};
        while (poll(fds, 2, -1) < 0 && errno == EINTR)
            ;
        pthread_mutex_lock(&turns->lock);
        if (fds[1].revents || !waiter.is_told) {
            leave(turns, &waiter);
            rc = lithops__fail(err, LITHOPS_ECANCELED, "no worker is needed any more");
        } else if (!waiter.is_next) {
            *err = waiter.why;
            rc = err->code;
        }
        pthread_mutex_unlock(&turns->lock);
    }
    close(waiter.event_fd);
    return rc;
}

void lithops__k8s_turns_end(struct lithops__k8s_turns *turns, const lithops_error *why)
{
    struct waiter *waiter;
    pthread_mutex_lock(&turns->lock);
    while (why && (waiter = take_first(turns)) != NULL) {
        waiter->why = *why;
        (void)eventfd_write(waiter->event_fd, 1);
    }
    pass_on(turns);
    pthread_mutex_unlock(&turns->lock);
}
