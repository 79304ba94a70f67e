/* SPDX-License-Identifier: Apache-2.0 */
/* What a storage backend implements.
 *
 * A driver is a constant table. The engine owns argument checks, key rules, retries and threads;
 * a backend owns the protocol. Slots block, may be called from many threads at once on one state,
 * and honour op->deadline_ns and op->cancel. They return 0 or a lithops_code and fill op->err.
 * Immutable after registration; thread-safe. */
#ifndef LITHOPS_PLUGIN_STORAGE_H
#define LITHOPS_PLUGIN_STORAGE_H

#include <lithops/storage.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LITHOPS_STORAGE_ABI 1

/** One request: its bounds, and where its error goes. */
typedef struct lithops_storage_op {
    uint64_t deadline_ns;        /* CLOCK_MONOTONIC; UINT64_MAX: none */
    const volatile bool *cancel; /* may be NULL */
    lithops_error *err;          /* never NULL */
} lithops_storage_op;

enum lithops_storage_caps {
    LITHOPS_STORAGE_RANGE_GET = 1 << 0,
    LITHOPS_STORAGE_ATOMIC_PUT = 1 << 1,
    LITHOPS_STORAGE_DELETE_MANY = 1 << 2,
    LITHOPS_STORAGE_LOCAL_FILES = 1 << 3, /* objects are files of this machine: `path` works */
};

typedef struct lithops_storage_ops {
    /* open - make `state` (zeroed, state_size bytes) usable. Required. `settings` is the backend's
     * checked section, borrowed for the call. No request is needed to open. ECONFIG, EIO. */
    int (*open)(void *state, const lithops_value *settings, const lithops_storage_op *op);
    /* close - release what open made; also after a failed open. Required. Never blocks. */
    void (*close)(void *state);
    /* put - store one object. Required. Borrows body. Atomic: no reader ever sees a part, and on
     * failure the old object stays. ENOSPACE, EDENIED, EIO, ENOTFOUND (no such bucket). */
    int (*put)(void *state, const char *bucket, const char *key, lithops_bytes body,
               const lithops_storage_op *op);
    /* put_fd - the same, reading fd to its end. Optional: the engine buffers and calls put. */
    int (*put_fd)(void *state, const char *bucket, const char *key, int fd,
                  const lithops_storage_op *op);
    /* read - fill up to `len` bytes from `offset`; *ret_len less than len only at the end of the
     * object. Required. `*ret_etag_hash` (may be NULL) gets a number that changes with the
     * content. ENOTFOUND. */
    int (*read)(void *state, const char *bucket, const char *key, uint64_t offset, void *buf,
                size_t len, size_t *ret_len, uint64_t *ret_etag_hash, const lithops_storage_op *op);
    /* head - size, time, etag; strings are borrowed until the thread's next call. Required.
     * ENOTFOUND. */
    int (*head)(void *state, const char *bucket, const char *key, lithops_object_info *ret_info,
                const lithops_storage_op *op);
    /* list - visit objects with the prefix ("": all) in key order (byte order). Required. A
     * non-zero result of visit ends it and is returned. A missing bucket is ENOTFOUND; an empty
     * one, or a prefix that no key has, is nothing to visit. */
    int (*list)(void *state, const char *bucket, const char *prefix,
                int (*visit)(const lithops_object_info *info, void *user), void *user,
                const lithops_storage_op *op);
    /* del - delete one object; none there is success. Required. */
    int (*del)(void *state, const char *bucket, const char *key, const lithops_storage_op *op);
    /* path - the file that holds the object, into buf. Only with LOCAL_FILES. ENOTFOUND. */
    int (*path)(void *state, const char *bucket, const char *key, char *buf, size_t size,
                const lithops_storage_op *op);
} lithops_storage_ops;

typedef struct lithops_storage_driver {
    int abi; /* LITHOPS_STORAGE_ABI */
    const char *name;
    const char *summary; /* one sentence */
    unsigned caps;
    size_t state_size;
    const lithops_storage_ops *ops;
} lithops_storage_driver;

#ifdef __cplusplus
}
#endif
#endif
