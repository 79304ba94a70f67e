/* SPDX-License-Identifier: Apache-2.0 */
/* Looking up the sizes of many URLs concurrently.
 *
 * A request takes a round trip or two, 20 to 200 ms; a thousand URLs one after the other would
 * take minutes. So a few threads share them. They live for this call only, and with all signals
 * blocked, so that no handler of the program runs on one of them. */
#include "partition/url_sizes.h"

#include "partition/source.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#define THREADS_MAX 16

struct shared {
    struct lithops__url_size *sizes;
    size_t count;
    atomic_size_t next;
};

static void ask(struct lithops__url_size *size)
{
    lithops_object object = {.url = size->url};
    struct lithops__source *source;
    size->err = (lithops_error)LITHOPS_ERROR_INIT;
    size->rc =
        lithops__source_open(&object, LITHOPS__PACKING_NONE, false, NULL, &source, &size->err);
    if (size->rc)
        return;
    size->rc = lithops__source_size(source, &size->size, &size->parts, &size->err);
    lithops__source_close(source);
}

static void *work(void *user)
{
    struct shared *shared = user;
    for (size_t i; (i = atomic_fetch_add(&shared->next, 1)) < shared->count;)
        ask(&shared->sizes[i]);
    return NULL;
}

void lithops__url_sizes(struct lithops__url_size *sizes, size_t count)
{
    struct shared shared = {.sizes = sizes, .count = count};
    pthread_t threads[THREADS_MAX];
    size_t started = 0;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    while (started < THREADS_MAX && started + 1 < count &&
           pthread_create(&threads[started], NULL, work, &shared) == 0)
        started++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    work(&shared); /* this thread too; alone, if no other could be had */
    while (started)
        pthread_join(threads[--started], NULL);
}
