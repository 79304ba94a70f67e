/* SPDX-License-Identifier: Apache-2.0 */
/* A storage backend in memory, for tests.
 *
 * A sorted array of objects under one lock. It is the reference for localhost, and shows how small
 * a backend can be. */
#include "storage_memory.h"

#include "base/error.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct object {
    char *bucket, *key;
    void *data;
    size_t len;
    uint64_t version;
    double modified;
};

struct memory {
    pthread_mutex_t lock;
    struct object *objects; /* sorted by bucket, then key */
    size_t count, capacity;
    uint64_t versions;
};

static int memory_open(void *state, const lithops_value *settings, const lithops_storage_op *op)
{
    (void)settings;
    (void)op;
    struct memory *memory = state;
    return pthread_mutex_init(&memory->lock, NULL);
}

static void free_object(struct object *object)
{
    free(object->bucket);
    free(object->key);
    free(object->data);
}

static void memory_close(void *state)
{
    struct memory *memory = state;
    for (size_t i = 0; i < memory->count; i++)
        free_object(&memory->objects[i]);
    free(memory->objects);
    pthread_mutex_destroy(&memory->lock);
}

/* The first object at or after bucket and key. */
static size_t lower_bound(const struct memory *memory, const char *bucket, const char *key)
{
    size_t low = 0, high = memory->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct object *object = &memory->objects[middle];
        int order = strcmp(object->bucket, bucket);
        if (order == 0)
            order = strcmp(object->key, key);
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_at(const struct memory *memory, size_t i, const char *bucket, const char *key)
{
    return i < memory->count && strcmp(memory->objects[i].bucket, bucket) == 0 &&
           strcmp(memory->objects[i].key, key) == 0;
}

static struct object *find(const struct memory *memory, const char *bucket, const char *key,
                           const lithops_storage_op *op)
{
    size_t i = lower_bound(memory, bucket, key);
    if (is_at(memory, i, bucket, key))
        return &memory->objects[i];
    lithops__fail(op->err, LITHOPS_ENOTFOUND, "no object '%s' in bucket '%s'", key, bucket);
    return NULL;
}

static int memory_put(void *state, const char *bucket, const char *key, lithops_bytes body,
                      const lithops_storage_op *op)
{
    struct memory *memory = state;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct object object = {.bucket = strdup(bucket),
                            .key = strdup(key),
                            .data = malloc(body.len + 1),
                            .len = body.len,
                            .modified = (double)now.tv_sec + (double)now.tv_nsec / 1e9};
    if (!object.bucket || !object.key || !object.data) {
        free_object(&object);
        return lithops__fail(op->err, LITHOPS_ENOMEM, "out of memory");
    }
    if (body.len)
        memcpy(object.data, body.ptr, body.len);
    pthread_mutex_lock(&memory->lock);
    object.version = ++memory->versions;
    size_t i = lower_bound(memory, bucket, key);
    if (is_at(memory, i, bucket, key)) {
        free_object(&memory->objects[i]);
    } else {
        if (memory->count == memory->capacity) {
            memory->capacity = memory->capacity ? 2 * memory->capacity : 16;
            memory->objects = realloc(memory->objects, memory->capacity * sizeof object);
            if (!memory->objects)
                abort(); /* out of memory in a test */
        }
        memmove(&memory->objects[i + 1], &memory->objects[i], (memory->count - i) * sizeof object);
        memory->count++;
    }
    memory->objects[i] = object;
    pthread_mutex_unlock(&memory->lock);
    return 0;
}

static int memory_read(void *state, const char *bucket, const char *key,
                       lithops_storage_cursor *cursor, uint64_t offset, void *buf, size_t len,
                       size_t *ret_len, const lithops_storage_op *op)
{
    struct memory *memory = state;
    pthread_mutex_lock(&memory->lock);
    const struct object *object = find(memory, bucket, key, op);
    if (object) {
        size_t there = offset < object->len ? object->len - (size_t)offset : 0;
        *ret_len = len < there ? len : there;
        if (*ret_len)
            memcpy(buf, (const char *)object->data + offset, *ret_len);
        cursor->size_bytes = object->len;
        snprintf(cursor->etag, sizeof cursor->etag, "%llu", (unsigned long long)object->version);
    }
    pthread_mutex_unlock(&memory->lock);
    return object ? 0 : LITHOPS_ENOTFOUND;
}

static void describe(const struct object *object, const char *key, lithops_object_info *ret_info)
{
    static _Thread_local char etag[24];
    snprintf(etag, sizeof etag, "v%llu", (unsigned long long)object->version);
    *ret_info = (lithops_object_info){
        .key = key, .size_bytes = object->len, .last_modified = object->modified, .etag = etag};
}

static int memory_head(void *state, const char *bucket, const char *key,
                       lithops_object_info *ret_info, const lithops_storage_op *op)
{
    struct memory *memory = state;
    pthread_mutex_lock(&memory->lock);
    const struct object *object = find(memory, bucket, key, op);
    if (object)
        describe(object, key, ret_info);
    pthread_mutex_unlock(&memory->lock);
    return object ? 0 : LITHOPS_ENOTFOUND;
}

/* The lock is not held while the visitor runs, which may put and delete. So each step looks for the
 * first key after the last one. */
static int memory_list(void *state, const char *bucket, const char *prefix, const char *after,
                       int (*visit)(const lithops_object_info *info, void *user), void *user,
                       const lithops_storage_op *op)
{
    struct memory *memory = state;
    char key[1100];
    bool behind = *after && strcmp(after, prefix) >= 0;
    snprintf(key, sizeof key, "%s", behind ? after : prefix);
    pthread_mutex_lock(&memory->lock);
    size_t i = lower_bound(memory, bucket, "");
    bool there = i < memory->count && strcmp(memory->objects[i].bucket, bucket) == 0;
    pthread_mutex_unlock(&memory->lock);
    if (!there)
        return lithops__fail(op->err, LITHOPS_ENOTFOUND, "no bucket '%s'", bucket);
    for (bool first = !behind;; first = false) {
        lithops_object_info info;
        pthread_mutex_lock(&memory->lock);
        i = lower_bound(memory, bucket, key);
        i += !first && is_at(memory, i, bucket, key);
        there = i < memory->count && strcmp(memory->objects[i].bucket, bucket) == 0 &&
                strncmp(memory->objects[i].key, prefix, strlen(prefix)) == 0;
        if (there) {
            snprintf(key, sizeof key, "%s", memory->objects[i].key);
            describe(&memory->objects[i], key, &info);
        }
        pthread_mutex_unlock(&memory->lock);
        int rc = there ? visit(&info, user) : 0;
        if (rc || !there)
            return rc;
    }
}

static int memory_del(void *state, const char *bucket, const char *key,
                      const lithops_storage_op *op)
{
    (void)op;
    struct memory *memory = state;
    pthread_mutex_lock(&memory->lock);
    size_t i = lower_bound(memory, bucket, key);
    if (is_at(memory, i, bucket, key)) {
        free_object(&memory->objects[i]);
        memory->count--;
        memmove(&memory->objects[i], &memory->objects[i + 1],
                (memory->count - i) * sizeof *memory->objects);
    }
    pthread_mutex_unlock(&memory->lock);
    return 0;
}

static int memory_del_many(void *state, const char *bucket, const char *const *keys, size_t count,
                           const lithops_storage_op *op)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = memory_del(state, bucket, keys[i], op);
    return rc;
}

static const lithops_storage_ops memory_ops = {
    .open = memory_open,
    .close = memory_close,
    .put = memory_put,
    .read = memory_read,
    .head = memory_head,
    .list = memory_list,
    .del = memory_del,
    .del_many = memory_del_many,
};

static const lithops_config_key memory_keys[] = {
    {.name = "storage_bucket",
     .type = LITHOPS_KEY_STRING,
     .fallback = "storage",
     .help = "Bucket for Lithops' own data."},
    {.name = NULL},
};

const lithops_storage_driver storage_memory = {
    .abi = LITHOPS_STORAGE_ABI,
    .name = "memory",
    .summary = "A sorted array, for tests.",
    .state_size = sizeof(struct memory),
    .ops = &memory_ops,
    .config_keys = memory_keys,
};
