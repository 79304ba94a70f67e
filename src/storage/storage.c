/* SPDX-License-Identifier: Apache-2.0 */
/* The storage handle: the part that is the same for every backend.
 *
 * Arguments and names are checked here, once, so that a driver never sees a NULL, an empty key or
 * a "..". Requests are repeated here, and only when the driver marks its error as retryable: only
 * the driver knows whether a failed request has had an effect.
 *
 * A handle is immutable after opening but for its reference count, so any thread may use it.
 * Contents of objects come and go in get.c and put.c, streams are in reader.c, objects by reference
 * in cloudobject.c. */
#include "storage/storage.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "storage/handle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUCKET_MAX 255
#define KEY_MAX 1024
#define RETRY_AFTER_MAX_S 60 /* of what a server may ask for */
#define LOOK_EVERY 256       /* objects of a listing, between two looks at its bounds */
#define LISTED_BY_ONE 1000   /* objects, by one request */

/* ---- opening --------------------------------------------------------------------------------- */

lithops_storage *lithops__storage_open_driver(const lithops_storage_driver *driver,
                                              const lithops_value *settings, const char *bucket,
                                              lithops_error *err)
{
    if (lithops__storage_driver_check(driver, err) != 0)
        return NULL;
    lithops_storage *storage = calloc(1, sizeof *storage);
    void *state = calloc(1, driver->state_size ? driver->state_size : 1);
    char *own_bucket = strdup(bucket ? bucket : "storage");
    _Atomic uint64_t *made = calloc(LITHOPS__REQUEST_KINDS, sizeof *made);
    if (!storage || !state || !own_bucket || !made) {
        free(storage);
        free(state);
        free(own_bucket);
        free(made);
        lithops__fail(err, LITHOPS_ENOMEM, "out of memory for a storage handle");
        return NULL;
    }
    *storage = (lithops_storage){
        .references = 1,
        .driver = driver,
        .state = state,
        .bucket = own_bucket,
        .retry = {.attempts = 5, .first_delay_ms = 100, .bounds = LITHOPS__UNBOUNDED},
        .timeout_ms = LITHOPS_FOREVER,
        .made = made};
    struct lithops__request request;
    lithops__request_begin(&request, storage);
    int rc = driver->ops->open(state, settings, &request.op);
    if (rc == 0)
        rc = lithops__storage_check(storage, own_bucket, "x", &request.error);
    if (lithops__request_end(&request, rc, err) != 0) {
        lithops_storage_close(storage);
        return NULL;
    }
    return storage;
}

lithops_storage *lithops__storage_ref(lithops_storage *storage)
{
    atomic_fetch_add_explicit(&storage->references, 1, memory_order_relaxed);
    return storage;
}

void lithops_storage_close(lithops_storage *storage)
{
    if (!storage || atomic_fetch_sub_explicit(&storage->references, 1, memory_order_acq_rel) != 1)
        return;
    storage->driver->ops->close(storage->state);
    free(storage->state);
    free(storage->bucket);
    free(storage->made);
    free(storage);
}

const char *lithops_storage_backend(const lithops_storage *storage)
{
    return storage ? storage->driver->name : NULL;
}

const char *lithops_storage_bucket(const lithops_storage *storage)
{
    return storage ? storage->bucket : NULL;
}

void lithops__storage_made(const lithops_storage *storage, uint64_t *ret_reads,
                           uint64_t *ret_writes)
{
    *ret_reads = atomic_load_explicit(&storage->made[LITHOPS__REQUEST_READS], memory_order_relaxed);
    *ret_writes =
        atomic_load_explicit(&storage->made[LITHOPS__REQUEST_WRITES], memory_order_relaxed);
}

unsigned lithops__storage_caps(const lithops_storage *storage)
{
    return storage->driver->caps;
}

void lithops__storage_set_retries(lithops_storage *storage, unsigned attempts,
                                  unsigned first_delay_ms)
{
    storage->retry.attempts = attempts;
    storage->retry.first_delay_ms = first_delay_ms;
}

/* ---- requests -------------------------------------------------------------------------------- */

uint64_t lithops__storage_deadline(const lithops_storage *storage)
{
    return storage->timeout_ms < INT64_MAX / 1000000
               ? lithops__now_ns() + (uint64_t)storage->timeout_ms * 1000000
               : UINT64_MAX;
}

void lithops__request_begin_within(struct lithops__request *request, const lithops_storage *storage,
                                   const struct lithops__bounds *bounds)
{
    *request = (struct lithops__request){
        .storage = storage, .retry = storage->retry, .error = LITHOPS_ERROR_INIT};
    request->retry.bounds = *bounds;
    request->op = (lithops_storage_op){.deadline_ns = bounds->deadline_ns,
                                       .interrupted = bounds->interrupted,
                                       .user = bounds->user,
                                       .err = &request->error,
                                       .retry_after_s = &request->retry_after_s};
}

void lithops__request_begin_by(struct lithops__request *request, const lithops_storage *storage,
                               uint64_t deadline_ns)
{
    struct lithops__bounds bounds = storage->retry.bounds;
    bounds.deadline_ns = deadline_ns;
    lithops__request_begin_within(request, storage, &bounds);
}

void lithops__request_begin(struct lithops__request *request, const lithops_storage *storage)
{
    lithops__request_begin_by(request, storage, lithops__storage_deadline(storage));
}

static void count(const struct lithops__request *request, uint64_t requests)
{
    atomic_fetch_add_explicit(&request->storage->made[request->kind], requests,
                              memory_order_relaxed);
}

bool lithops__request_try(struct lithops__request *request, int *rc)
{
    if (!request->was_tried) {
        request->was_tried = true;
        *rc = lithops__bounds_check(&request->retry.bounds, &request->error);
        count(request, *rc == 0);
        return *rc == 0;
    }
    if (*rc == 0)
        return false;
    if (request->error.retryable)
        lithops__log(LITHOPS_LOG_DEBUG, "storage", "attempt %u failed: %s",
                     request->retry.failed + 1, request->error.message);
    unsigned asked_s =
        request->retry_after_s < RETRY_AFTER_MAX_S ? request->retry_after_s : RETRY_AFTER_MAX_S;
    if (!lithops__retry_again(&request->retry, &request->error, asked_s * 1000)) {
        *rc = request->error.code ? (int)request->error.code : *rc;
        return false;
    }
    request->error = (lithops_error)LITHOPS_ERROR_INIT;
    request->retry_after_s = 0;
    count(request, 1);
    return true;
}

int lithops__request_end(const struct lithops__request *request, int rc, lithops_error *err)
{
    if (rc == 0 || !err)
        return rc;
    *err = request->error;
    if (err->code == LITHOPS_OK) /* the driver forgot to fill it */
        lithops__fail(err, rc, "the request failed (%s)", lithops_error_word(rc));
    if (!err->origin[0])
        snprintf(err->origin, sizeof err->origin, "storage/%s", request->storage->driver->name);
    return rc;
}

/* ---- names ----------------------------------------------------------------------------------- */

static const char *bad_segment(const char *name)
{
    for (const char *segment = name; segment; segment = strchr(segment, '/')) {
        segment += *segment == '/';
        size_t len = strcspn(segment, "/");
        if (len == 1 && segment[0] == '.')
            return "a part '.'";
        if (len == 2 && segment[0] == '.' && segment[1] == '.')
            return "a part '..'";
    }
    return NULL;
}

int lithops__storage_check_handle(const lithops_storage *storage, lithops_error *err)
{
    return storage ? 0
                   : lithops__fail(err, LITHOPS_EUSAGE,
                                   "the storage handle is NULL; open one with "
                                   "lithops_storage_open()");
}

int lithops_storage_set_bounds(lithops_storage *storage, int64_t timeout_ms,
                               bool (*interrupted)(void *user), void *user, lithops_error *err)
{
    int rc = lithops__storage_check_handle(storage, err);
    if (rc)
        return rc;
    if (timeout_ms < 0)
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "a time limit of %lld ms is negative; LITHOPS_FOREVER is none",
                             (long long)timeout_ms);
    storage->timeout_ms = timeout_ms;
    storage->retry.bounds.interrupted = interrupted;
    storage->retry.bounds.user = user;
    return 0;
}

static int check_bucket(const char *bucket, lithops_error *err)
{
    if (!bucket || !*bucket)
        return lithops__fail(err, LITHOPS_EUSAGE, "the bucket name is missing");
    if (strlen(bucket) > BUCKET_MAX)
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "bucket name '%.40s...' is %zu bytes long; %d are allowed", bucket,
                             strlen(bucket), BUCKET_MAX);
    const char *bad = strchr(bucket, '/') ? "a '/'" : bad_segment(bucket);
    if (bad)
        return lithops__fail(err, LITHOPS_EUSAGE, "bucket name '%s' has %s", bucket, bad);
    return 0;
}

static int check_key(const char *what, const char *key, lithops_error *err)
{
    if (*key == '/')
        return lithops__fail(err, LITHOPS_EUSAGE, "%s '%s' starts with '/'; leave that out", what,
                             key);
    if (strlen(key) > KEY_MAX)
        return lithops__fail(err, LITHOPS_EUSAGE, "%s '%.40s...' is %zu bytes long; %d are allowed",
                             what, key, strlen(key), KEY_MAX);
    const char *bad = bad_segment(key);
    if (bad)
        return lithops__fail(err, LITHOPS_EUSAGE, "%s '%s' has %s", what, key, bad);
    return 0;
}

int lithops__storage_check(const lithops_storage *storage, const char *bucket, const char *key,
                           lithops_error *err)
{
    int rc = lithops__storage_check_handle(storage, err);
    if (rc == 0)
        rc = check_bucket(bucket, err);
    if (rc == 0 && (!key || !*key))
        rc = lithops__fail(err, LITHOPS_EUSAGE, "the key is missing (bucket '%s')", bucket);
    return rc ? rc : check_key("key", key, err);
}

/* ---- objects --------------------------------------------------------------------------------- */

int lithops_storage_head(lithops_storage *storage, const char *bucket, const char *key,
                         lithops_object_info *ret_info, lithops_error *err)
{
    int rc = lithops__storage_check(storage, bucket, key, err);
    if (rc)
        return rc;
    lithops_object_info info = {0};
    struct lithops__request request;
    lithops__request_begin(&request, storage);
    while (lithops__request_try(&request, &rc))
        rc = storage->driver->ops->head(storage->state, bucket, key, &info, &request.op);
    if (rc == 0)
        *ret_info = info;
    return lithops__request_end(&request, rc, err);
}

/* A repeated listing goes on after the last key that the visitor saw. */
struct listing {
    int (*visit)(const lithops_object_info *info, void *user);
    void *user;
    const struct lithops__bounds *bounds;
    lithops_error *err;
    size_t visited;
    int stopped; /* the visitor's result that ended the listing */
    char last[KEY_MAX + 1];
};

static int visit_one(const lithops_object_info *info, void *user)
{
    struct listing *listing = user;
    /* A driver may show a key twice, and cannot always leave out unwanted ones. */
    if (strlen(info->key) > KEY_MAX || strcmp(info->key, listing->last) <= 0)
        return 0;
    memcpy(listing->last, info->key, strlen(info->key) + 1);
    int rc =
        ++listing->visited % LOOK_EVERY ? 0 : lithops__bounds_check(listing->bounds, listing->err);
    if (rc == 0)
        rc = listing->stopped = listing->visit(info, listing->user);
    return rc;
}

int lithops__storage_list_after(lithops_storage *storage, const char *bucket, const char *prefix,
                                const char *after,
                                int (*visit)(const lithops_object_info *info, void *user),
                                void *user, lithops_error *err)
{
    int rc = lithops__storage_check_handle(storage, err);
    if (rc == 0)
        rc = check_bucket(bucket, err);
    if (rc == 0 && prefix)
        rc = check_key("prefix", prefix, err);
    if (rc)
        return rc;
    struct lithops__request request;
    lithops__request_begin(&request, storage);
    request.kind = LITHOPS__REQUEST_WRITES; /* as services charge for lists */
    struct listing listing = {
        .visit = visit, .user = user, .bounds = &request.retry.bounds, .err = &request.error};
    snprintf(listing.last, sizeof listing.last, "%s", after);
    while (!listing.stopped && lithops__request_try(&request, &rc))
        rc = storage->driver->ops->list(storage->state, bucket, prefix ? prefix : "", listing.last,
                                        visit_one, &listing, &request.op);
    count(&request, listing.visited / LISTED_BY_ONE);
    return listing.stopped ? listing.stopped : lithops__request_end(&request, rc, err);
}

int lithops_storage_list(lithops_storage *storage, const char *bucket, const char *prefix,
                         int (*visit)(const lithops_object_info *info, void *user), void *user,
                         lithops_error *err)
{
    return lithops__storage_list_after(storage, bucket, prefix, "", visit, user, err);
}

static int delete_by(lithops_storage *storage, const char *bucket, const char *key,
                     uint64_t deadline_ns, lithops_error *err)
{
    int rc = lithops__storage_check(storage, bucket, key, err);
    if (rc)
        return rc;
    struct lithops__request request;
    lithops__request_begin_by(&request, storage, deadline_ns);
    request.kind = LITHOPS__REQUEST_DELETES;
    while (lithops__request_try(&request, &rc))
        rc = storage->driver->ops->del(storage->state, bucket, key, &request.op);
    return lithops__request_end(&request, rc, err);
}

int lithops_storage_delete(lithops_storage *storage, const char *bucket, const char *key,
                           lithops_error *err)
{
    int rc = lithops__storage_check_handle(storage, err);
    return rc ? rc : delete_by(storage, bucket, key, lithops__storage_deadline(storage), err);
}

static int delete_together(lithops_storage *storage, const char *bucket, const char *const *keys,
                           size_t count, uint64_t deadline_ns, lithops_error *err)
{
    int rc = 0;
    struct lithops__request request;
    lithops__request_begin_by(&request, storage, deadline_ns);
    request.kind = LITHOPS__REQUEST_DELETES;
    while (lithops__request_try(&request, &rc))
        rc = storage->driver->ops->del_many(storage->state, bucket, keys, count, &request.op);
    return lithops__request_end(&request, rc, err);
}

/* How many keys, from the first on, fit into one request; 0: the first is invalid. */
static size_t good_keys(const lithops_storage *storage, const char *bucket, const char *const *keys,
                        size_t count)
{
    size_t most = count < LITHOPS_STORAGE_DELETE_MAX ? count : LITHOPS_STORAGE_DELETE_MAX, good = 0;
    while (good < most && lithops__storage_check(storage, bucket, keys[good], NULL) == 0)
        good++;
    return good;
}

int lithops_storage_delete_many(lithops_storage *storage, const char *bucket,
                                const char *const *keys, size_t count, lithops_error *err)
{
    int first = lithops__storage_check_handle(storage, err);
    if (first)
        return first;
    bool together = storage->driver->ops->del_many != NULL;
    const uint64_t deadline_ns = lithops__storage_deadline(storage);
    for (size_t i = 0; i < count;) {
        lithops_error *own = first ? NULL : err;
        size_t good = together ? good_keys(storage, bucket, keys + i, count - i) : 0;
        int rc = good > 1 ? delete_together(storage, bucket, keys + i, good, deadline_ns, own)
                          : delete_by(storage, bucket, keys[i], deadline_ns, own);
        i += good > 1 ? good : 1;
        first = first ? first : rc;
        if (rc == LITHOPS_ECANCELED)
            break;
    }
    return first;
}

int lithops_storage_create_bucket(lithops_storage *storage, const char *bucket, lithops_error *err)
{
    int rc = lithops__storage_check(storage, bucket, "x", err);
    if (rc || !storage->driver->ops->make_bucket)
        return rc; /* buckets need no making */
    struct lithops__request request;
    lithops__request_begin(&request, storage);
    request.kind = LITHOPS__REQUEST_WRITES;
    while (lithops__request_try(&request, &rc))
        rc = storage->driver->ops->make_bucket(storage->state, bucket, &request.op);
    return lithops__request_end(&request, rc, err);
}

int lithops__storage_copy(lithops_storage *storage, const char *bucket, const char *key,
                          const char *to_bucket, const char *to_key, lithops_error *err)
{
    int rc = lithops__storage_check(storage, bucket, key, err);
    rc = rc ? rc : lithops__storage_check(storage, to_bucket, to_key, err);
    if (rc == 0 && !storage->driver->ops->copy)
        rc = lithops__fail(err, LITHOPS_EUNSUPPORTED, "the storage backend '%s' copies nothing",
                           storage->driver->name);
    if (rc)
        return rc;
    struct lithops__request request;
    lithops__request_begin(&request, storage);
    request.kind = LITHOPS__REQUEST_WRITES;
    while (lithops__request_try(&request, &rc))
        rc =
            storage->driver->ops->copy(storage->state, bucket, key, to_bucket, to_key, &request.op);
    /* What is wrong with one of both names, reading and storing tells better. */
    bool is_refused = rc && request.error.http_status >= 400 && request.error.http_status < 500;
    rc = lithops__request_end(&request, rc, err);
    return is_refused ? LITHOPS_EUNSUPPORTED : rc;
}

int lithops__storage_describe(lithops_storage *storage, const char *bucket,
                              void (*say)(const char *what, int code, const char *detail,
                                          void *user),
                              void *user)
{
    struct lithops__request request;
    if (!storage->driver->ops->describe)
        return 0;
    lithops__request_begin(&request, storage);
    return storage->driver->ops->describe(storage->state, bucket, say, user, &request.op);
}

int lithops__storage_path(lithops_storage *storage, const char *bucket, const char *key, char *buf,
                          size_t size, lithops_error *err)
{
    int rc = lithops__storage_check(storage, bucket, key, err);
    if (rc)
        return rc;
    if (!(storage->driver->caps & LITHOPS_STORAGE_LOCAL_FILES) || !storage->driver->ops->path)
        return lithops__fail(err, LITHOPS_EUNSUPPORTED,
                             "objects of the storage backend '%s' are not files of this machine",
                             storage->driver->name);
    struct lithops__request request;
    lithops__request_begin(&request, storage);
    rc = storage->driver->ops->path(storage->state, bucket, key, buf, size, &request.op);
    return lithops__request_end(&request, rc, err);
}
