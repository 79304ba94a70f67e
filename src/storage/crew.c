/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that share the parts of one object.
 *
 * The threads live as long as the job. They ask a flag whether to stop, never the storage's
 * `interrupted`, which belongs to the calling thread: that one waits here and asks. */
#include "storage/crew.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/thread.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum { MAX_THREADS = 64, LOOK_MS = 100 };

struct crew {
    const struct lithops__crew_job *job;
    struct lithops__bounds bounds; /* of the threads */
    atomic_bool stops;
    pthread_mutex_t taking; /* held while the job chooses a part */
    bool no_more;           /* under taking */
    pthread_mutex_t lock;
    pthread_cond_t ended;
    /* under lock */
    size_t running;
    int rc;
    lithops_error error; /* the first failure */
};

unsigned char *lithops__part_room(struct lithops__part *part, size_t size, lithops_error *err)
{
    if (part->room_size >= size)
        return part->room;
    free(part->room);
    part->room = malloc(size);
    part->room_size = part->room ? size : 0;
    if (!part->room)
        lithops__fail(err, LITHOPS_ENOMEM, "out of memory for a part of %zu bytes", size);
    return part->room;
}

static bool stops(void *user)
{
    return atomic_load_explicit(&((struct crew *)user)->stops, memory_order_relaxed);
}

static void fail(struct crew *crew, int rc, const lithops_error *error)
{
    pthread_mutex_lock(&crew->lock);
    if (!crew->rc) {
        crew->rc = rc;
        crew->error = *error;
    }
    pthread_mutex_unlock(&crew->lock);
    atomic_store(&crew->stops, true);
}

static int take(struct crew *crew, struct lithops__part *part, bool *ret_more, lithops_error *err)
{
    int rc = 0;
    *ret_more = false;
    pthread_mutex_lock(&crew->taking);
    if (!crew->no_more && !stops(crew))
        rc = crew->job->take(crew->job->user, part, ret_more, &crew->bounds, err);
    crew->no_more = crew->no_more || rc || !*ret_more;
    pthread_mutex_unlock(&crew->taking);
    return rc;
}

static void *work(void *user)
{
    struct crew *crew = user;
    struct lithops__part part = {.number = 0};
    lithops_error error = LITHOPS_ERROR_INIT;
    bool more = true;
    int rc = 0;
    while (rc == 0 && more) {
        rc = take(crew, &part, &more, &error);
        if (rc == 0 && more)
            rc = crew->job->move(crew->job->user, &part, &crew->bounds, &error);
    }
    if (rc)
        fail(crew, rc, &error);
    free(part.room);
    pthread_mutex_lock(&crew->lock);
    crew->running--;
    pthread_cond_signal(&crew->ended);
    pthread_mutex_unlock(&crew->lock);
    return NULL;
}

static size_t start(struct crew *crew, pthread_t *threads, size_t count)
{
    size_t started = 0;
    pthread_mutex_lock(&crew->lock);
    while (started < count && lithops__thread_start(&threads[started], work, crew) == 0)
        started++;
    crew->running = started;
    pthread_mutex_unlock(&crew->lock);
    return started;
}

static void wait_for_end(struct crew *crew, const struct lithops__bounds *bounds)
{
    lithops_error error = LITHOPS_ERROR_INIT;
    pthread_mutex_lock(&crew->lock);
    while (crew->running) {
        uint64_t look_ns = lithops__now_ns() + LOOK_MS * 1000000u;
        struct timespec look = {.tv_sec = (time_t)(look_ns / 1000000000u),
                                .tv_nsec = (long)(look_ns % 1000000000u)};
        if (pthread_cond_timedwait(&crew->ended, &crew->lock, &look) != ETIMEDOUT)
            continue;
        pthread_mutex_unlock(&crew->lock);
        int rc = stops(crew) ? 0 : lithops__bounds_check(bounds, &error);
        if (rc)
            fail(crew, rc, &error);
        pthread_mutex_lock(&crew->lock);
    }
    pthread_mutex_unlock(&crew->lock);
}

int lithops__crew_run(const lithops_storage *storage, const struct lithops__crew_job *job,
                      size_t threads, uint64_t deadline_ns, lithops_error *err)
{
    struct crew crew = {.job = job, .error = LITHOPS_ERROR_INIT};
    struct lithops__bounds bounds = storage->retry.bounds;
    pthread_t ids[MAX_THREADS];
    pthread_condattr_t monotonic;
    bounds.deadline_ns = deadline_ns;
    crew.bounds = (struct lithops__bounds){deadline_ns, stops, &crew};
    pthread_mutex_init(&crew.taking, NULL);
    pthread_mutex_init(&crew.lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&crew.ended, &monotonic);
    size_t started = start(&crew, ids, threads < MAX_THREADS ? threads : MAX_THREADS);
    if (started)
        wait_for_end(&crew, &bounds);
    else
        crew.rc = lithops__fail(&crew.error, LITHOPS_ENOMEM,
                                "no thread can be started for a large object");
    for (size_t i = 0; i < started; i++)
        pthread_join(ids[i], NULL);
    pthread_cond_destroy(&crew.ended);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_destroy(&crew.lock);
    pthread_mutex_destroy(&crew.taking);
    if (crew.rc && err)
        *err = crew.error;
    return crew.rc;
}
