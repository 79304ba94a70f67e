/* SPDX-License-Identifier: Apache-2.0 */
/* Cloudobjects: stored objects that travel as values.
 *
 * The value names the place and holds nothing else, so it can be copied, stored in lists, written
 * as JSON, and outlives the handle. The object lives until it is deleted; generated keys begin like
 * upstream's, so that cleaning a job finds them. */
#include "base/error.h"
#include "base/utf8.h"
#include "storage/handle.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define MARK "$cloudobject"

bool lithops_value_is_cloudobject(const lithops_value *value)
{
    return lithops_value_type(value) == LITHOPS_MAP &&
           lithops_value_get_bool(lithops_value_get(value, MARK));
}

/* "lithops.jobs/tmp/[<session>/]cloudobject_<random>"; the session is that of the running call. */
static int unique_key(char *buf, size_t size, lithops_error *err)
{
    uint64_t random[2];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return lithops__fail_errno(err, errno, "no random numbers for the key of a cloudobject");
    const char *session = getenv("__LITHOPS_SESSION_ID");
    if (!session)
        session = "";
    int len =
        snprintf(buf, size, "lithops.jobs/tmp/%s%scloudobject_%016llx%016llx", session,
                 *session ? "/" : "", (unsigned long long)random[0], (unsigned long long)random[1]);
    return len > 0 && (size_t)len < size
               ? 0
               : lithops__fail(err, LITHOPS_EUSAGE, "__LITHOPS_SESSION_ID is too long");
}

lithops_value *lithops_cloudobject_put(lithops_storage *storage, lithops_bytes body,
                                       const char *bucket, const char *key, lithops_error *err)
{
    char own_key[512];
    if (!key && unique_key(own_key, sizeof own_key, err) != 0)
        return NULL;
    if (!key)
        key = own_key;
    if (!bucket)
        bucket = lithops_storage_bucket(storage);
    if (lithops__storage_check(storage, bucket, key, err) != 0)
        return NULL;
    /* The value comes first: an object that could not be named must not be stored. */
    lithops_value *value =
        lithops_pack("{s:b,s:s,s:s,s:s}", MARK, 1, "backend", lithops_storage_backend(storage),
                     "bucket", bucket, "key", key);
    if (!value) {
        if (lithops__utf8_is_valid(bucket) && lithops__utf8_is_valid(key))
            lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
        else
            lithops__fail(err, LITHOPS_EUSAGE, "bucket and key of a cloudobject must be UTF-8");
        return NULL;
    }
    if (lithops_storage_put(storage, bucket, key, body, err) != 0) {
        lithops_value_free(value);
        return NULL;
    }
    return value;
}

/* A string without NULs inside. */
static const char *text_of(const lithops_value *map, const char *key)
{
    const lithops_value *value = lithops_value_get(map, key);
    const char *text =
        lithops_value_type(value) == LITHOPS_STRING ? lithops_value_get_string(value) : NULL;
    return text && strlen(text) == lithops_value_get_bytes(value).len ? text : NULL;
}

int lithops__cloudobject_where(lithops_storage *storage, const lithops_value *value,
                               const char **ret_bucket, const char **ret_key, lithops_error *err)
{
    const char *backend = text_of(value, "backend"), *bucket = text_of(value, "bucket"),
               *key = text_of(value, "key");
    if (!lithops_value_is_cloudobject(value) || !backend || !bucket || !key)
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "not a cloudobject: a map {\"" MARK
                             "\": true, \"backend\", \"bucket\", "
                             "\"key\"} with three strings is expected");
    if (!storage)
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "the storage handle is NULL; open one with "
                             "lithops_storage_open()");
    if (strcmp(backend, lithops_storage_backend(storage)) != 0)
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "the cloudobject '%s/%s' is stored in '%s', but this storage is '%s'",
                             bucket, key, backend, lithops_storage_backend(storage));
    *ret_bucket = bucket;
    *ret_key = key;
    return 0;
}

int lithops_cloudobject_get(lithops_storage *storage, const lithops_value *cloudobject,
                            void **ret_data, size_t *ret_len, lithops_error *err)
{
    const char *bucket = NULL, *key = NULL;
    int rc = lithops__cloudobject_where(storage, cloudobject, &bucket, &key, err);
    return rc ? rc : lithops_storage_get(storage, bucket, key, 0, SIZE_MAX, ret_data, ret_len, err);
}

int lithops_cloudobject_delete(lithops_storage *storage, const lithops_value *cloudobject,
                               lithops_error *err)
{
    const char *bucket = NULL, *key = NULL;
    int rc = lithops__cloudobject_where(storage, cloudobject, &bucket, &key, err);
    return rc ? rc : lithops_storage_delete(storage, bucket, key, err);
}
