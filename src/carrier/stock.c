/* SPDX-License-Identifier: Apache-2.0 */
#include "carrier/stock.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/thread.h"
#include "carrier/end.h"

#include <stdlib.h>
#include <string.h>

enum { THREADS = 4 };

enum state { WANTED, PUTTING, PUT, ABSENT };

/* A bundle that was wished for. Its files and paths are its own. */
struct item {
    struct item *next;
    struct lithops__bundle bundle; /* `first` is 0 */
    struct lithops__bundle_file *files;
    enum state state; /* [lock] */
    void (*wake)(void *user);
    void *user;
};

struct lithops__wish {
    size_t count;
    struct item *items[];
};

struct lithops__stock {
    lithops_storage *storage;
    _Atomic uint64_t ending_ns; /* 0: not yet */
    _Atomic uint64_t requests;
    pthread_mutex_t lock; /* the members below */
    pthread_cond_t changed;
    pthread_t threads[THREADS];
    unsigned count, idle;
    struct item *items;
};

/* ---- items ----------------------------------------------------------------------------------- */

static void free_item(struct item *item)
{
    for (size_t i = 0; item->files && i < item->bundle.count; i++) {
        free((char *)item->files[i].sha256);
        free((char *)item->files[i].path);
    }
    free(item->files);
    free(item);
}

static struct item *new_item(const struct lithops__bundle *bundle,
                             const struct lithops__bundle_file *files)
{
    struct item *item = calloc(1, sizeof *item);
    if (!item)
        return NULL;
    item->bundle = *bundle;
    item->bundle.first = 0;
    item->state = ABSENT;
    item->files = calloc(bundle->count, sizeof *item->files);
    bool failed = !item->files;
    for (size_t i = 0; !failed && i < bundle->count; i++) {
        const struct lithops__bundle_file *file = &files[bundle->first + i];
        item->files[i] = (struct lithops__bundle_file){
            .sha256 = strdup(file->sha256), .size = file->size, .path = strdup(file->path)};
        failed = !item->files[i].sha256 || !item->files[i].path;
    }
    if (!failed)
        return item;
    free_item(item);
    return NULL;
}

/* [lock] */
static struct item *find_item(const struct lithops__stock *stock, const char *key)
{
    struct item *item = stock->items;
    while (item && strcmp(item->bundle.key, key) != 0)
        item = item->next;
    return item;
}

/* ---- threads --------------------------------------------------------------------------------- */

/* [lock] The oldest one that is wanted. */
static struct item *next_wanted(const struct lithops__stock *stock)
{
    struct item *found = NULL;
    for (struct item *item = stock->items; item; item = item->next)
        if (item->state == WANTED)
            found = item;
    return found;
}

/* [lock] Is let go of meanwhile. */
static void put_item(struct lithops__stock *stock, struct item *item)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    item->state = PUTTING;
    pthread_mutex_unlock(&stock->lock);
    int rc = lithops__bundle_put(stock->storage, &item->bundle, item->files, &err);
    atomic_fetch_add(&stock->requests, 1);
    if (rc != 0 && rc != LITHOPS_ECANCELED)
        lithops__log(LITHOPS_LOG_WARNING, "carrier", "files go to workers one by one: %s",
                     err.message);
    else if (rc == 0)
        lithops__log(LITHOPS_LOG_DEBUG, "carrier", "put %zu files, %llu bytes, as '%s'",
                     item->bundle.count, (unsigned long long)item->bundle.size, item->bundle.key);
    pthread_mutex_lock(&stock->lock);
    item->state = rc == 0 ? PUT : ABSENT;
    item->wake(item->user);
}

static void *put_all(void *user)
{
    struct lithops__stock *stock = user;
    lithops__carrier_heed(&stock->ending_ns);
    pthread_mutex_lock(&stock->lock);
    while (atomic_load(&stock->ending_ns) == 0) {
        struct item *item = next_wanted(stock);
        if (item) {
            put_item(stock, item);
        } else {
            stock->idle++;
            pthread_cond_wait(&stock->changed, &stock->lock);
            stock->idle--;
        }
    }
    pthread_mutex_unlock(&stock->lock);
    return NULL;
}

/* [lock] Somebody puts what is wanted. */
static bool has_thread(struct lithops__stock *stock)
{
    if (stock->idle == 0 && stock->count < THREADS &&
        lithops__thread_start(&stock->threads[stock->count], put_all, stock) == 0)
        stock->count++;
    pthread_cond_signal(&stock->changed);
    return stock->count > 0;
}

/* ---- wishes ---------------------------------------------------------------------------------- */

/* [lock] */
static struct item *want(struct lithops__stock *stock, const struct lithops__bundle *bundle,
                         const struct lithops__bundle_file *files, void (*wake)(void *user),
                         void *user)
{
    struct item *item = find_item(stock, bundle->key);
    if (!item) {
        if (!(item = new_item(bundle, files)))
            return NULL;
        item->next = stock->items;
        stock->items = item;
    }
    item->wake = wake;
    item->user = user;
    if (item->state == ABSENT) {
        item->state = WANTED;
        if (!has_thread(stock)) {
            item->state = ABSENT;
            return NULL;
        }
    }
    return item;
}

struct lithops__wish *lithops__stock_wish(struct lithops__stock *stock,
                                          const struct lithops__bundle_file *files, size_t count,
                                          void (*wake)(void *user), void *user, lithops_error *err)
{
    struct lithops__bundle *bundles;
    size_t planned;
    if (lithops__bundle_plan(files, count, &bundles, &planned, err) != 0)
        return NULL;
    struct lithops__wish *wish = malloc(sizeof *wish + planned * sizeof(struct item *));
    bool failed = !wish;
    pthread_mutex_lock(&stock->lock);
    for (size_t i = 0; !failed && i < planned; i++)
        failed = !(wish->items[i] = want(stock, &bundles[i], files, wake, user));
    pthread_mutex_unlock(&stock->lock);
    free(bundles);
    if (failed) {
        free(wish);
        lithops__fail(err, LITHOPS_ENOMEM, "no memory or thread to put files into the storage");
        return NULL;
    }
    wish->count = planned;
    return wish;
}

bool lithops__wish_is_done(struct lithops__stock *stock, const struct lithops__wish *wish)
{
    bool is_done = true;
    pthread_mutex_lock(&stock->lock);
    for (size_t i = 0; i < wish->count; i++)
        is_done &= wish->items[i]->state == PUT || wish->items[i]->state == ABSENT;
    pthread_mutex_unlock(&stock->lock);
    return is_done;
}

void lithops__wish_free(struct lithops__wish *wish)
{
    free(wish);
}

void lithops__stock_doubt(struct lithops__stock *stock, const char *sha256)
{
    pthread_mutex_lock(&stock->lock);
    for (struct item *item = stock->items; item; item = item->next)
        for (size_t i = 0; item->state == PUT && i < item->bundle.count; i++)
            if (strcmp(item->files[i].sha256, sha256) == 0)
                item->state = ABSENT;
    pthread_mutex_unlock(&stock->lock);
}

/* ---- beginning and ending -------------------------------------------------------------------- */

struct lithops__stock *lithops__stock_new(lithops_storage *storage)
{
    struct lithops__stock *stock = calloc(1, sizeof *stock);
    if (!stock)
        return NULL;
    stock->storage = storage;
    pthread_mutex_init(&stock->lock, NULL);
    pthread_cond_init(&stock->changed, NULL);
    return stock;
}

void lithops__stock_end(struct lithops__stock *stock)
{
    if (!stock)
        return;
    pthread_mutex_lock(&stock->lock);
    atomic_store(&stock->ending_ns, lithops__now_ns());
    pthread_cond_broadcast(&stock->changed);
    pthread_mutex_unlock(&stock->lock);
    for (unsigned i = 0; i < stock->count; i++)
        pthread_join(stock->threads[i], NULL);
    stock->count = 0;
}

/* One whose put was not answered may be there too, and one that a worker has not found. */
void lithops__stock_delete(struct lithops__stock *stock)
{
    const char *keys[LITHOPS_STORAGE_DELETE_MAX];
    size_t count = 0;
    for (const struct item *item = stock->items; item; item = item->next) {
        if (item->state != WANTED)
            keys[count++] = item->bundle.key;
        if (count > 0 && (count == LITHOPS_STORAGE_DELETE_MAX || !item->next)) {
            (void)lithops_storage_delete_many(
                stock->storage, lithops_storage_bucket(stock->storage), keys, count, NULL);
            atomic_fetch_add(&stock->requests, 1);
            count = 0;
        }
    }
}

void lithops__stock_free(struct lithops__stock *stock)
{
    if (!stock)
        return;
    while (stock->items) {
        struct item *item = stock->items;
        stock->items = item->next;
        free_item(item);
    }
    pthread_cond_destroy(&stock->changed);
    pthread_mutex_destroy(&stock->lock);
    free(stock);
}

uint64_t lithops__stock_requests(const struct lithops__stock *stock)
{
    return atomic_load(&stock->requests);
}
