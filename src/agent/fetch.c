/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/fetch.h"

#include "base/error.h"
#include "base/log.h"
#include "base/thread.h"
#include "carrier/bundle.h"
#include "carrier/end.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { THREADS = 8, COPY_BYTES = 256 << 10 };

struct lithops__fetch {
    struct lithops__agent *agent;
    lithops_storage *storage;
    _Atomic uint64_t ending_ns; /* 0: not yet */
    int event_fd;
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock;
    pthread_cond_t wanted;
    struct lithops__agent_files *queue, *done; /* [lock] */
};

/* What is missing of some files, as bundles; threads take one after the other. */
struct task {
    struct lithops__fetch *fetch;
    struct lithops__agent_files *files;
    size_t *missing; /* indices of files */
    struct lithops__bundle *bundles;
    size_t count;
    atomic_size_t next;
};

/* ---- one bundle ------------------------------------------------------------------------------ */

/* A file out of what has come of its bundle, at `offset`. 1: it has its hash; 0: it has not. */
static int copy_out(const struct lithops__agent *agent, int from, uint64_t offset, uint64_t size,
                    const struct lithops__agent_file *file, struct lithops__partial *to,
                    lithops_error *err)
{
    int rc = lithops__partial_begin(agent, file->sha256, to, err);
    char *buffer = malloc(COPY_BYTES);
    if (rc == 0 && !buffer)
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    while (rc == 0 && size > 0) {
        size_t len = size < COPY_BYTES ? (size_t)size : COPY_BYTES;
        ssize_t n = pread(from, buffer, len, (off_t)offset);
        if (n <= 0)
            rc = lithops__fail_errno(err, n < 0 ? errno : EIO, "cannot read a file of the cache");
        else
            rc = lithops__partial_write(agent, to, (lithops_bytes){buffer, (size_t)n}, err);
        offset += n > 0 ? (uint64_t)n : 0;
        size -= n > 0 ? (uint64_t)n : 0;
    }
    free(buffer);
    return rc == 0 ? lithops__partial_is_right(to, file->sha256, err) : rc;
}

static void warn_wrong(const struct lithops__bundle *bundle)
{
    lithops__log(LITHOPS_LOG_WARNING, "agent",
                 "the object '%s' is not what its name says: the client is asked for the files",
                 bundle->key);
}

/* Into the image go those files of it that are right. */
static int take_files(struct task *task, const struct lithops__bundle *bundle,
                      struct lithops__partial *whole, lithops_error *err)
{
    const struct lithops__agent *agent = task->fetch->agent;
    uint64_t at = 0;
    int rc = 0;
    for (size_t i = 0; rc >= 0 && i < bundle->count; i++) {
        struct lithops__agent_file *file = &task->files->files[task->missing[bundle->first + i]];
        struct lithops__partial own = {.fd = -1}, *from = &own;
        if (bundle->count > 1) {
            rc = copy_out(agent, whole->fd, at, file->size, file, &own, err);
        } else {
            from = whole;
            rc = lithops__partial_is_right(whole, file->sha256, err);
        }
        at += file->size;
        if (rc == 0)
            warn_wrong(bundle);
        if (rc == 1 && (rc = lithops__files_place(agent, task->files, file, from, err)) == 0)
            file->is_there = true;
        lithops__partial_end(agent, &own);
    }
    return rc < 0 ? rc : 0;
}

static int fetch_one(struct task *task, const struct lithops__bundle *bundle, lithops_error *err)
{
    const struct lithops__fetch *fetch = task->fetch;
    struct lithops__partial whole = {.fd = -1};
    const char *name = strrchr(bundle->key, '/') + 1;
    uint64_t len = 0;
    int rc = lithops__partial_begin(fetch->agent, name, &whole, err);
    if (rc == 0)
        rc = lithops_storage_get_fd(fetch->storage, lithops_storage_bucket(fetch->storage),
                                    bundle->key, whole.fd, &len, err);
    if (rc == 0 && len != bundle->size)
        warn_wrong(bundle);
    else if (rc == 0)
        rc = take_files(task, bundle, &whole, err);
    lithops__partial_end(fetch->agent, &whole);
    return rc;
}

/* ---- threads --------------------------------------------------------------------------------- */

static void *fetch_some(void *user)
{
    struct task *task = user;
    lithops__carrier_heed(&task->fetch->ending_ns);
    for (;;) {
        size_t at = atomic_fetch_add(&task->next, 1);
        if (at >= task->count || atomic_load(&task->fetch->ending_ns))
            return NULL;
        lithops_error err = LITHOPS_ERROR_INIT;
        int rc = fetch_one(task, &task->bundles[at], &err);
        if (rc != 0 && rc != LITHOPS_ENOTFOUND && rc != LITHOPS_ECANCELED)
            lithops__log(LITHOPS_LOG_WARNING, "agent", "cannot fetch files: %s", err.message);
    }
}

/* Plan it. The missing files are listed in the order in which the client is asked for them. */
static int plan(struct task *task, lithops_error *err)
{
    struct lithops__agent_files *files = task->files;
    struct lithops__bundle_file *list = calloc(files->count, sizeof *list);
    size_t count = 0;
    task->missing = calloc(files->count, sizeof *task->missing);
    int rc = list && task->missing ? 0 : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    for (size_t i = 0; rc == 0 && i < files->count; i++) {
        if (files->files[i].is_there)
            continue;
        task->missing[count] = i;
        list[count++] = (struct lithops__bundle_file){.sha256 = files->files[i].sha256,
                                                      .size = files->files[i].size};
    }
    if (rc == 0)
        rc = lithops__bundle_plan(list, count, &task->bundles, &task->count, err);
    free(list);
    return rc;
}

static void fetch_files(struct lithops__fetch *fetch, struct lithops__agent_files *files)
{
    struct task task = {.fetch = fetch, .files = files};
    lithops_error err = LITHOPS_ERROR_INIT;
    pthread_t threads[THREADS - 1];
    unsigned started = 0;
    if (plan(&task, &err) == 0) {
        while (started < THREADS - 1 && started + 1 < task.count &&
               lithops__thread_start(&threads[started], fetch_some, &task) == 0)
            started++;
        (void)fetch_some(&task);
    } else {
        lithops__log(LITHOPS_LOG_WARNING, "agent", "cannot fetch files: %s", err.message);
    }
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    free(task.bundles);
    free(task.missing);
}

static void *run(void *user)
{
    struct lithops__fetch *fetch = user;
    lithops__carrier_heed(&fetch->ending_ns);
    pthread_mutex_lock(&fetch->lock);
    while (atomic_load(&fetch->ending_ns) == 0) {
        struct lithops__agent_files *files = fetch->queue;
        if (!files) {
            pthread_cond_wait(&fetch->wanted, &fetch->lock);
            continue;
        }
        fetch->queue = files->next_fetch;
        pthread_mutex_unlock(&fetch->lock);
        fetch_files(fetch, files);
        pthread_mutex_lock(&fetch->lock);
        files->next_fetch = fetch->done;
        fetch->done = files;
        (void)eventfd_write(fetch->event_fd, 1);
    }
    pthread_mutex_unlock(&fetch->lock);
    return NULL;
}

/* ---- for the reader -------------------------------------------------------------------------- */

struct lithops__fetch *lithops__fetch_new(struct lithops__agent *agent, lithops_storage *storage)
{
    struct lithops__fetch *fetch = calloc(1, sizeof *fetch);
    if (!fetch)
        return NULL;
    fetch->agent = agent;
    fetch->storage = storage;
    pthread_mutex_init(&fetch->lock, NULL);
    pthread_cond_init(&fetch->wanted, NULL);
    fetch->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    fetch->has_thread =
        fetch->event_fd >= 0 && lithops__thread_start(&fetch->thread, run, fetch) == 0;
    if (fetch->has_thread)
        return fetch;
    lithops__fetch_free(fetch);
    return NULL;
}

void lithops__fetch_free(struct lithops__fetch *fetch)
{
    if (!fetch)
        return;
    pthread_mutex_lock(&fetch->lock);
    atomic_store(&fetch->ending_ns, lithops__now_ns());
    pthread_cond_signal(&fetch->wanted);
    pthread_mutex_unlock(&fetch->lock);
    if (fetch->has_thread)
        pthread_join(fetch->thread, NULL);
    if (fetch->event_fd >= 0)
        close(fetch->event_fd);
    pthread_cond_destroy(&fetch->wanted);
    pthread_mutex_destroy(&fetch->lock);
    free(fetch);
}

void lithops__fetch_begin(struct lithops__fetch *fetch, struct lithops__agent_files *files)
{
    pthread_mutex_lock(&fetch->lock);
    struct lithops__agent_files **last = &fetch->queue;
    while (*last)
        last = &(*last)->next_fetch;
    files->next_fetch = NULL;
    *last = files;
    pthread_cond_signal(&fetch->wanted);
    pthread_mutex_unlock(&fetch->lock);
}

int lithops__fetch_fd(const struct lithops__fetch *fetch)
{
    return fetch->event_fd;
}

struct lithops__agent_files *lithops__fetch_take(struct lithops__fetch *fetch)
{
    eventfd_t events;
    (void)eventfd_read(fetch->event_fd, &events);
    pthread_mutex_lock(&fetch->lock);
    struct lithops__agent_files *files = fetch->done;
    if (files)
        fetch->done = files->next_fetch;
    pthread_mutex_unlock(&fetch->lock);
    return files;
}
