/* SPDX-License-Identifier: Apache-2.0 */
/* The storage handle: what is the same for every backend.
 *
 * Arguments and names are checked here, once, so that a driver never sees a NULL, an empty key or
 * a "..". Requests are repeated here, and only when the driver says of its error that the same
 * request may succeed later: it alone knows whether a request that failed has had an effect.
 *
 * A handle is immutable after opening but for its reference count, so any thread may use it.
 * Streams over one object are in reader.c, objects by reference in cloudobject.c. */
#include "storage/storage.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "storage/handle.h"

#include <lithops/plugin/runtime.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUCKET_MAX 255
#define KEY_MAX 1024
#define CHANGED_MAX 20 /* how often a get starts again because the object was replaced */

const lithops_storage_driver *const lithops__storage_drivers[] = {
    &lithops__storage_localhost,
    NULL,
};

/* ---- opening --------------------------------------------------------------------------------- */

lithops_storage *lithops__storage_open_driver(const lithops_storage_driver *driver,
                                              const lithops_value *settings, const char *bucket,
                                              lithops_error *err)
{
    if (driver->abi != LITHOPS_STORAGE_ABI) {
        lithops__fail(err, LITHOPS_EUNSUPPORTED,
                      "storage backend '%s' was built for interface version %d, this library has "
                      "%d; rebuild it",
                      driver->name, driver->abi, LITHOPS_STORAGE_ABI);
        return NULL;
    }
    lithops_storage *storage = calloc(1, sizeof *storage);
    void *state = calloc(1, driver->state_size ? driver->state_size : 1);
    char *own_bucket = strdup(bucket ? bucket : "storage");
    if (!storage || !state || !own_bucket) {
        free(storage);
        free(state);
        free(own_bucket);
        lithops__fail(err, LITHOPS_ENOMEM, "out of memory for a storage handle");
        return NULL;
    }
    *storage = (lithops_storage){.references = 1,
                                 .driver = driver,
                                 .state = state,
                                 .bucket = own_bucket,
                                 .attempts = 5,
                                 .first_delay_ms = 100};
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

const lithops_storage_driver *lithops__storage_choose(const struct lithops__config *config,
                                                      const char *backend, lithops_error *err)
{
    if (!backend)
        backend = lithops__config_string(config, "lithops", "storage");
    if (!backend)
        backend = "localhost";
    struct lithops__buffer there = LITHOPS__BUFFER_INIT;
    for (const lithops_storage_driver *const *d = lithops__storage_drivers; *d; d++) {
        if (strcmp((*d)->name, backend) == 0) {
            lithops__buffer_deinit(&there);
            return *d;
        }
        lithops__buffer_printf(&there, "%s%s", there.len ? ", " : "", (*d)->name);
    }
    lithops__fail(err, LITHOPS_EUNSUPPORTED, "storage backend '%s' is not built in; there is: %.*s",
                  backend, (int)there.len, (const char *)there.data);
    lithops__buffer_deinit(&there);
    return NULL;
}

lithops_storage *lithops__storage_open(const struct lithops__config *config, const char *backend,
                                       lithops_error *err)
{
    const lithops_storage_driver *driver = lithops__storage_choose(config, backend, err);
    if (!driver)
        return NULL;
    lithops_value *all = lithops__config_value(config, true);
    const lithops_value *settings = lithops_value_get(all, driver->name);
    const char *bucket = lithops_value_get_string(lithops_value_get(settings, "storage_bucket"));
    lithops_storage *storage = lithops__storage_open_driver(driver, settings, bucket, err);
    lithops_value_free(all);
    return storage;
}

static lithops_storage *open_with(const lithops_executor_options *options, lithops_error *err)
{
    struct lithops__config *config;
    if (lithops__config_load(options, &config, err) != 0)
        return NULL;
    lithops_storage *storage = lithops__storage_open(config, options->storage, err);
    lithops__config_free(config);
    return storage;
}

lithops_storage *lithops_storage_open(const char *backend, const char *config_file,
                                      lithops_error *err)
{
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    options.storage = backend;
    options.config_file = config_file;
    return open_with(&options, err);
}

lithops_storage *lithops_storage_open_config(const char *backend, const lithops_value *config,
                                             lithops_error *err)
{
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    options.storage = backend;
    options.config = config;
    return open_with(&options, err);
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

unsigned lithops__storage_caps(const lithops_storage *storage)
{
    return storage->driver->caps;
}

void lithops__storage_set_retries(lithops_storage *storage, unsigned attempts,
                                  unsigned first_delay_ms)
{
    storage->attempts = attempts;
    storage->first_delay_ms = first_delay_ms;
}

/* ---- requests -------------------------------------------------------------------------------- */

void lithops__request_begin(struct lithops__request *request, const lithops_storage *storage)
{
    *request = (struct lithops__request){.storage = storage, .error = LITHOPS_ERROR_INIT};
    request->op.deadline_ns = UINT64_MAX;
    request->op.err = &request->error;
}

bool lithops__request_again(struct lithops__request *request, int rc)
{
    const lithops_storage *storage = request->storage;
    if (rc == 0 || !request->error.retryable || ++request->attempt >= storage->attempts)
        return false;
    /* Between half and all of it: clients that failed together must not come back together. */
    uint64_t delay_ns = (uint64_t)storage->first_delay_ms * 1000000u << (request->attempt - 1);
    delay_ns -= (delay_ns / 2) * (lithops__ticks() % 1024) / 1024;
    lithops__log(LITHOPS_LOG_DEBUG, "storage", "attempt %u failed, again in %.3f s: %s",
                 request->attempt, (double)delay_ns / 1e9, request->error.message);
    struct timespec left = {.tv_sec = (time_t)(delay_ns / 1000000000u),
                            .tv_nsec = (long)(delay_ns % 1000000000u)};
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR)
        ;
    request->error = (lithops_error)LITHOPS_ERROR_INIT;
    return true;
}

int lithops__request_end(const struct lithops__request *request, int rc, lithops_error *err)
{
    if (rc == 0 || !err)
        return rc;
    *err = request->error;
    if (err->code == LITHOPS_OK) /* a driver that forgot */
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

static int check_handle(const lithops_storage *storage, lithops_error *err)
{
    return storage ? 0
                   : lithops__fail(err, LITHOPS_EUSAGE,
                                   "the storage handle is NULL; open one with "
                                   "lithops_storage_open()");
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
    int rc = check_handle(storage, err);
    if (rc == 0)
        rc = check_bucket(bucket, err);
    if (rc == 0 && (!key || !*key))
        rc = lithops__fail(err, LITHOPS_EUSAGE, "the key is missing (bucket '%s')", bucket);
    return rc ? rc : check_key("key", key, err);
}

/* ---- objects --------------------------------------------------------------------------------- */

int lithops_storage_put(lithops_storage *storage, const char *bucket, const char *key,
                        lithops_bytes body, lithops_error *err)
{
    int rc = lithops__storage_check(storage, bucket, key, err);
    if (rc == 0 && !body.ptr && body.len)
        rc = lithops__fail(err, LITHOPS_EUSAGE, "the body of '%s/%s' is NULL, its length %zu",
                           bucket, key, body.len);
    if (rc)
        return rc;
    struct lithops__request request;
    lithops__request_begin(&request, storage);
    do
        rc = storage->driver->ops->put(storage->state, bucket, key, body, &request.op);
    while (lithops__request_again(&request, rc));
    return lithops__request_end(&request, rc, err);
}

static int read_all(int fd, struct lithops__buffer *body, lithops_error *err)
{
    for (;;) {
        void *room = lithops__buffer_reserve(body, 1 << 18);
        if (!room)
            return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for a body of %zu bytes",
                                 body->len);
        ssize_t got = read(fd, room, 1 << 18);
        if (got == 0)
            return 0;
        if (got < 0 && errno != EINTR)
            return lithops__fail_errno(err, errno, "cannot read the body");
        body->len += got > 0 ? (size_t)got : 0;
    }
}

int lithops_storage_put_fd(lithops_storage *storage, const char *bucket, const char *key, int fd,
                           lithops_error *err)
{
    int rc = lithops__storage_check(storage, bucket, key, err);
    if (rc)
        return rc;
    if (!storage->driver->ops->put_fd) {
        struct lithops__buffer body = LITHOPS__BUFFER_INIT;
        rc = read_all(fd, &body, err);
        if (rc == 0)
            rc = lithops_storage_put(storage, bucket, key, (lithops_bytes){body.data, body.len},
                                     err);
        lithops__buffer_deinit(&body);
        return rc;
    }
    off_t start = lseek(fd, 0, SEEK_CUR); /* -1 for a pipe: what was read from it is gone */
    struct lithops__request request;
    lithops__request_begin(&request, storage);
    do
        rc = storage->driver->ops->put_fd(storage->state, bucket, key, fd, &request.op);
    while (rc < 0 && start >= 0 && lseek(fd, start, SEEK_SET) == start &&
           lithops__request_again(&request, rc));
    return lithops__request_end(&request, rc, err);
}

int lithops__storage_read(lithops_storage *storage, const char *bucket, const char *key,
                          uint64_t offset, void *buf, size_t len, size_t *ret_len,
                          uint64_t *ret_etag_hash, lithops_error *err)
{
    int rc = lithops__storage_check(storage, bucket, key, err);
    if (rc)
        return rc;
    uint64_t etag_hash = 0;
    struct lithops__request request;
    lithops__request_begin(&request, storage);
    do
        rc = storage->driver->ops->read(storage->state, bucket, key, offset, buf, len, ret_len,
                                        &etag_hash, &request.op);
    while (lithops__request_again(&request, rc));
    if (rc == 0 && ret_etag_hash)
        *ret_etag_hash = etag_hash;
    return lithops__request_end(&request, rc, err);
}

/* Read once, as much as a head has promised. *ret_changed: it was another object by then. */
static int get_once(lithops_storage *storage, const char *bucket, const char *key, uint64_t offset,
                    size_t len, void **ret_data, size_t *ret_len, bool *ret_changed,
                    lithops_error *err)
{
    lithops_object_info info;
    int rc = lithops_storage_head(storage, bucket, key, &info, err);
    if (rc)
        return rc;
    uint64_t there = info.size_bytes > offset ? info.size_bytes - offset : 0;
    bool to_end = len >= there;
    uint64_t wanted = to_end ? there : len;
    /* One byte more than there should be, so that an object that has grown is noticed. */
    void *data = wanted < SIZE_MAX / 2 ? malloc((size_t)wanted + 1) : NULL;
    if (!data)
        return lithops__fail(err, LITHOPS_ENOMEM,
                             "out of memory for '%s/%s' (%llu bytes); read it in ranges", bucket,
                             key, (unsigned long long)wanted);
    rc = lithops__storage_read(storage, bucket, key, offset, data, (size_t)wanted + to_end, ret_len,
                               NULL, err);
    *ret_changed = rc == 0 && *ret_len != wanted;
    if (rc || *ret_changed)
        free(data);
    else
        *ret_data = data;
    return rc;
}

int lithops_storage_get(lithops_storage *storage, const char *bucket, const char *key,
                        uint64_t offset, size_t len, void **ret_data, size_t *ret_len,
                        lithops_error *err)
{
    int rc = lithops__storage_check(storage, bucket, key, err);
    if (rc)
        return rc;
    void *data = NULL;
    size_t got = 0;
    bool changed = true;
    for (int i = 0; i < CHANGED_MAX && rc == 0 && changed; i++)
        rc = get_once(storage, bucket, key, offset, len, &data, &got, &changed, err);
    if (rc)
        return rc;
    if (changed) {
        rc = lithops__fail(err, LITHOPS_EIO,
                           "'%s/%s' gives another number of bytes than its size says, %d times in "
                           "a row; is something writing it all the time?",
                           bucket, key, CHANGED_MAX);
        if (err)
            err->retryable = true;
        return rc;
    }
    *ret_data = data;
    *ret_len = got;
    return 0;
}

int lithops_storage_head(lithops_storage *storage, const char *bucket, const char *key,
                         lithops_object_info *ret_info, lithops_error *err)
{
    int rc = lithops__storage_check(storage, bucket, key, err);
    if (rc)
        return rc;
    lithops_object_info info = {0};
    struct lithops__request request;
    lithops__request_begin(&request, storage);
    do
        rc = storage->driver->ops->head(storage->state, bucket, key, &info, &request.op);
    while (lithops__request_again(&request, rc));
    if (rc == 0)
        *ret_info = info;
    return lithops__request_end(&request, rc, err);
}

/* A listing that is tried again goes on behind the last key that the visitor has seen; that keys
 * come in order makes this one comparison. */
struct listing {
    int (*visit)(const lithops_object_info *info, void *user);
    void *user;
    int stopped; /* what the visitor ended the listing with */
    char last[KEY_MAX + 1];
};

static int visit_behind_last(const lithops_object_info *info, void *user)
{
    struct listing *listing = user;
    if (strlen(info->key) > KEY_MAX || strcmp(info->key, listing->last) <= 0)
        return 0;
    memcpy(listing->last, info->key, strlen(info->key) + 1);
    listing->stopped = listing->visit(info, listing->user);
    return listing->stopped;
}

int lithops_storage_list(lithops_storage *storage, const char *bucket, const char *prefix,
                         int (*visit)(const lithops_object_info *info, void *user), void *user,
                         lithops_error *err)
{
    int rc = check_handle(storage, err);
    if (rc == 0)
        rc = check_bucket(bucket, err);
    if (rc == 0 && prefix)
        rc = check_key("prefix", prefix, err);
    if (rc)
        return rc;
    struct listing listing = {visit, user, 0, ""};
    struct lithops__request request;
    lithops__request_begin(&request, storage);
    do
        rc = storage->driver->ops->list(storage->state, bucket, prefix ? prefix : "",
                                        visit_behind_last, &listing, &request.op);
    while (!listing.stopped && lithops__request_again(&request, rc));
    return listing.stopped ? listing.stopped : lithops__request_end(&request, rc, err);
}

int lithops_storage_delete(lithops_storage *storage, const char *bucket, const char *key,
                           lithops_error *err)
{
    int rc = lithops__storage_check(storage, bucket, key, err);
    if (rc)
        return rc;
    struct lithops__request request;
    lithops__request_begin(&request, storage);
    do
        rc = storage->driver->ops->del(storage->state, bucket, key, &request.op);
    while (lithops__request_again(&request, rc));
    return lithops__request_end(&request, rc, err);
}

int lithops_storage_delete_many(lithops_storage *storage, const char *bucket,
                                const char *const *keys, size_t count, lithops_error *err)
{
    int first = 0;
    for (size_t i = 0; i < count; i++) {
        int rc = lithops_storage_delete(storage, bucket, keys[i], first ? NULL : err);
        first = first ? first : rc;
    }
    return first;
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
