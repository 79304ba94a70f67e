/* SPDX-License-Identifier: Apache-2.0 */
/* Storage: objects in buckets, and cloudobjects, objects passed by reference.
 *
 * On localhost a bucket is a folder and an object a file in it. A put is atomic: no reader sees a
 * part of it, and on failure the old object stays. A storage handle is thread-safe; a reader is
 * for one thread at a time. */
#ifndef LITHOPS_STORAGE_H
#define LITHOPS_STORAGE_H

#include <lithops/value.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lithops_storage lithops_storage;

/** What head and list report about an object. Strings are borrowed from the call that gave it. */
typedef struct lithops_object_info {
    const char *key;
    uint64_t size_bytes;
    double last_modified; /* seconds since 1970-01-01 UTC */
    const char *etag;     /* changes when the content does; "" where unknown */
} lithops_object_info;

/** Open the storage that a configuration names.
 * @param backend      "localhost", or NULL for what the configuration says
 * @param config_file  NULL: the usual search (LITHOPS_CONFIG, LITHOPS_CONFIG_FILE, ...)
 * @return a handle for lithops_storage_close(), or NULL */
LITHOPS_PUBLIC lithops_storage *lithops_storage_open(const char *backend, const char *config_file,
                                                     lithops_error *err);
LITHOPS_PUBLIC void lithops_storage_close(lithops_storage *storage); /* NULL is fine */
/** The name of the backend, as in "localhost". Borrowed. */
LITHOPS_PUBLIC const char *lithops_storage_backend(const lithops_storage *storage);
/** The bucket that the configuration names for Lithops' own data. Borrowed. */
LITHOPS_PUBLIC const char *lithops_storage_bucket(const lithops_storage *storage);

/** Bound all requests that are made through the handle from now on, retries and pauses included.
 * Call it before other threads use the handle.
 * @param timeout_ms   longest time for one call of these functions, or for one read of a reader,
 *                     then LITHOPS_ETIMEDOUT; LITHOPS_FOREVER: no limit, the default
 * @param interrupted  asked every 100 ms or so while a request waits, and between pieces of long
 *                     ones, by the thread that makes it; true ends it with LITHOPS_ECANCELED.
 *                     NULL: never
 * @return 0; LITHOPS_EUSAGE for a handle that is NULL, or a negative time */
LITHOPS_PUBLIC int lithops_storage_set_bounds(lithops_storage *storage, int64_t timeout_ms,
                                              bool (*interrupted)(void *user), void *user,
                                              lithops_error *err);

/** Store one object; an existing one is replaced. Creates the bucket where the backend's rules
 * allow it (localhost does). LITHOPS_ENOSPACE leaves nothing behind. */
LITHOPS_PUBLIC int lithops_storage_put(lithops_storage *storage, const char *bucket,
                                       const char *key, lithops_bytes body, lithops_error *err);
/** Store one object unless there is one of that name: then LITHOPS_EEXIST, and it stays. (An
 * attempt whose answer was lost is repeated, and may then find its own object.)
 * LITHOPS_EUNSUPPORTED where the backend cannot. */
LITHOPS_PUBLIC int lithops_storage_put_new(lithops_storage *storage, const char *bucket,
                                           const char *key, lithops_bytes body, lithops_error *err);
/** Store what can be read from `fd` until its end. Memory is bounded: object stores get large
 * objects by parts, several at once, and an object is there when all of them are. */
LITHOPS_PUBLIC int lithops_storage_put_fd(lithops_storage *storage, const char *bucket,
                                          const char *key, int fd, lithops_error *err);
/** Read `len` bytes from `offset` (len SIZE_MAX: to the end). A range past the end is cut; an
 * offset at or past the end gives no bytes. `*ret_data` is freed with free(). */
LITHOPS_PUBLIC int lithops_storage_get(lithops_storage *storage, const char *bucket,
                                       const char *key, uint64_t offset, size_t len,
                                       void **ret_data, size_t *ret_len, lithops_error *err);

/** The same into memory that the caller has: for large objects twice as fast, as it need not be
 * made first. At most `len` bytes; *ret_len is less where the object ends. On failure `buf` may
 * have been written to. */
LITHOPS_PUBLIC int lithops_storage_get_into(lithops_storage *storage, const char *bucket,
                                            const char *key, uint64_t offset, void *buf, size_t len,
                                            size_t *ret_len, lithops_error *err);
/** Write an object to `fd`, from its offset on, which moves past it. Memory is bounded; into a
 * regular file parts of a large object come several at once. On failure a part of it may have been
 * written. */
LITHOPS_PUBLIC int lithops_storage_get_fd(lithops_storage *storage, const char *bucket,
                                          const char *key, int fd, uint64_t *ret_len,
                                          lithops_error *err);

/** A stream over one object. */
typedef struct lithops_reader lithops_reader;
LITHOPS_PUBLIC int lithops_storage_open_reader(lithops_storage *storage, const char *bucket,
                                               const char *key, uint64_t offset, uint64_t len,
                                               lithops_reader **ret_reader, lithops_error *err);
/** Fill up to `len` bytes; `*ret_len` 0 is the end. */
LITHOPS_PUBLIC int lithops_reader_read(lithops_reader *reader, void *buf, size_t len,
                                       size_t *ret_len, lithops_error *err);
LITHOPS_PUBLIC void lithops_reader_close(lithops_reader *reader);

LITHOPS_PUBLIC int lithops_storage_head(lithops_storage *storage, const char *bucket,
                                        const char *key, lithops_object_info *ret_info,
                                        lithops_error *err);
/** Call `visit` for each object whose key starts with `prefix` (NULL: all), in key order; a
 * non-zero result of `visit` stops and is returned. */
LITHOPS_PUBLIC int lithops_storage_list(lithops_storage *storage, const char *bucket,
                                        const char *prefix,
                                        int (*visit)(const lithops_object_info *info, void *user),
                                        void *user, lithops_error *err);
/** Deleting what is not there is not an error. */
LITHOPS_PUBLIC int lithops_storage_delete(lithops_storage *storage, const char *bucket,
                                          const char *key, lithops_error *err);
/** Delete many; goes on after a failure and reports the first one. */
LITHOPS_PUBLIC int lithops_storage_delete_many(lithops_storage *storage, const char *bucket,
                                               const char *const *keys, size_t count,
                                               lithops_error *err);

/** Create a bucket; one that is there already, and the caller's, is fine. */
LITHOPS_PUBLIC int lithops_storage_create_bucket(lithops_storage *storage, const char *bucket,
                                                 lithops_error *err);

/** An object by reference: a value of type map {"$cloudobject": true, backend, bucket, key} that
 * can be returned from a function, stored in lists, and given to map() as an input object. */
LITHOPS_PUBLIC lithops_value *lithops_cloudobject_put(lithops_storage *storage, lithops_bytes body,
                                                      const char *bucket, const char *key,
                                                      lithops_error *err);
LITHOPS_PUBLIC int lithops_cloudobject_get(lithops_storage *storage,
                                           const lithops_value *cloudobject, void **ret_data,
                                           size_t *ret_len, lithops_error *err);
LITHOPS_PUBLIC int lithops_cloudobject_delete(lithops_storage *storage,
                                              const lithops_value *cloudobject, lithops_error *err);
LITHOPS_PUBLIC bool lithops_value_is_cloudobject(const lithops_value *value);

#ifdef __cplusplus
}
#endif
#endif
