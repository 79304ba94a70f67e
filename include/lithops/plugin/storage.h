/* SPDX-License-Identifier: Apache-2.0 */
/* What a storage backend implements.
 *
 * A driver is a constant table, compiled in or registered by the program. The engine owns argument
 * checks, key rules, retries and threads; a backend owns the protocol. Slots block and may be
 * called from many threads at once on one state. A slot that waits for anything ends soon after
 * op->deadline_ns with LITHOPS_ETIMEDOUT, and looks at op->interrupted at least every 100 ms. Slots
 * return 0 or a lithops_code and fill op->err; they set op->err->retryable for what may pass.
 * Drivers are immutable and thread-safe. */
#ifndef LITHOPS_PLUGIN_STORAGE_H
#define LITHOPS_PLUGIN_STORAGE_H

#include <lithops/plugin/config.h>
#include <lithops/storage.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LITHOPS_STORAGE_ABI 7

/** One request: its bounds, and where its error goes. */
typedef struct lithops_storage_op {
    uint64_t deadline_ns;            /* CLOCK_MONOTONIC; UINT64_MAX: none */
    bool (*interrupted)(void *user); /* true: end with LITHOPS_ECANCELED; NULL: never */
    void *user;
    lithops_error *err;      /* never NULL */
    unsigned *retry_after_s; /* never NULL: set to the pause that the server asks for, if it does */
} lithops_storage_op;

/** Reads of one object that follow each other; one thread at a time. Zeroed before the first. */
typedef struct lithops_storage_cursor {
    uint64_t expect_end; /* how far the caller will probably read on, so that one request may fetch
                          * that much; UINT64_MAX: to the end; 0: what it asks for, no more */
    uint64_t size_bytes; /* set by each read: of the whole object */
    char etag[128];      /* set by each read, "" where unknown; the engine compares them. A driver
                          * may ask its server for this very version */
    bool replaced;       /* set, with a result of 0, by a driver whose server says that this version
                          * is gone */
    bool spoiled;        /* the same, where what has been read does not match its checksum */
    bool has_begun;      /* the engine's: size and etag are those of an earlier read */
    void *connection;    /* the driver's: an answer that has not been read to its end, say */
} lithops_storage_cursor;

/** An object that is stored by parts. The engine zeroes it and frees what it points to. */
typedef struct lithops_storage_upload {
    const char *bucket, *key;
    char *id;            /* upload_begin's, from malloc() */
    char (*etags)[128];  /* by number of the part; upload_part's */
    size_t count;        /* of parts, once all are stored */
    uint64_t size_bytes; /* of the object, then */
} lithops_storage_upload;

enum lithops_storage_caps {
    LITHOPS_STORAGE_LOCAL_FILES = 1 << 0,    /* objects are files of this machine: `path` works */
    LITHOPS_STORAGE_PARALLEL_READS = 1 << 1, /* a large object comes sooner by several reads at
                                              * once; each asks for the version of the first */
};

typedef struct lithops_storage_ops {
    /* open - make `state` (zeroed, state_size bytes) usable. Required. `settings` is the section of
     * the driver's name, checked against config_keys and with their defaults; borrowed for the
     * call, NULL where there is none. No request is needed to open. ECONFIG, EIO. */
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
    /* put_new - put, but only where there is no such object: else EEXIST, and it stays. Optional.
     */
    int (*put_new)(void *state, const char *bucket, const char *key, lithops_bytes body,
                   const lithops_storage_op *op);
    /* upload_begin, upload_part, upload_complete, upload_abort - store a large object by parts of
     * up to LITHOPS_STORAGE_PARTS_MAX numbers from 0 on. Optional, all four: without them the
     * engine calls put. Nothing is visible before upload_complete, which stores the parts
     * [0, count) as put does. Parts are stored in any order, several at once, and again after a
     * failure. All but the last have LITHOPS_STORAGE_PART_BYTES or more. upload_abort removes all
     * parts that upload_complete has not made an object of; none there is success. */
    int (*upload_begin)(void *state, lithops_storage_upload *upload, const lithops_storage_op *op);
    int (*upload_part)(void *state, lithops_storage_upload *upload, size_t number,
                       lithops_bytes body, const lithops_storage_op *op);
    /* upload_part_fd - upload_part of `len` bytes of a regular file from `offset` on. Optional: the
     * engine reads them and calls upload_part. The file's own offset is not used, and a file that
     * has fewer bytes by then is EIO. It is read again after a failure: whether one that changes
     * meanwhile is noticed depends on the driver. */
    int (*upload_part_fd)(void *state, lithops_storage_upload *upload, size_t number, int fd,
                          uint64_t offset, size_t len, const lithops_storage_op *op);
    int (*upload_complete)(void *state, const lithops_storage_upload *upload,
                           const lithops_storage_op *op);
    int (*upload_abort)(void *state, const lithops_storage_upload *upload,
                        const lithops_storage_op *op);
    /* read - fill up to `len` bytes from `offset`; *ret_len less than len only at the end of the
     * object. With len 0 (buf NULL) nothing but the cursor's size and etag are wanted; reads from
     * `offset` on will follow. Required. The cursor is changed on success only. ENOTFOUND. */
    int (*read)(void *state, const char *bucket, const char *key, lithops_storage_cursor *cursor,
                uint64_t offset, void *buf, size_t len, size_t *ret_len,
                const lithops_storage_op *op);
    /* end_read - release cursor->connection. Required of drivers that set it. Never blocks. */
    void (*end_read)(void *state, lithops_storage_cursor *cursor);
    /* head - size, time, etag; strings are borrowed until the thread's next call. Required.
     * ENOTFOUND. */
    int (*head)(void *state, const char *bucket, const char *key, lithops_object_info *ret_info,
                const lithops_storage_op *op);
    /* list - visit objects with the prefix ("": all) whose key is greater than `after` ("": all),
     * in key order (byte order). Required. A non-zero result of visit ends it and is returned. A
     * missing bucket is ENOTFOUND; an empty one, or a prefix that no key has, is nothing to visit.
     */
    int (*list)(void *state, const char *bucket, const char *prefix, const char *after,
                int (*visit)(const lithops_object_info *info, void *user), void *user,
                const lithops_storage_op *op);
    /* del - delete one object; none there is success. Required. */
    int (*del)(void *state, const char *bucket, const char *key, const lithops_storage_op *op);
    /* del_many - delete up to LITHOPS_STORAGE_DELETE_MAX objects in one request. Optional: the
     * engine calls del for each. On failure any of them may be gone; all are tried. */
    int (*del_many)(void *state, const char *bucket, const char *const *keys, size_t count,
                    const lithops_storage_op *op);
    /* make_bucket - create a bucket; one that exists, and is the caller's, is success. Optional:
     * buckets then need no making. EDENIED (also when it is somebody else's). */
    int (*make_bucket)(void *state, const char *bucket, const lithops_storage_op *op);
    /* describe - for `lithops storage check`: find out what stands in the way of requests, and tell
     * each fact through `say`: "connection", "credentials", "clock", "region", with 0 or what is
     * wrong. Optional. 0, or the failure that any request will have. */
    int (*describe)(void *state, const char *bucket,
                    void (*say)(const char *what, int code, const char *detail, void *user),
                    void *user, const lithops_storage_op *op);
    /* path - the file that holds the object, into buf. Only with LOCAL_FILES. ENOTFOUND. */
    int (*path)(void *state, const char *bucket, const char *key, char *buf, size_t size,
                const lithops_storage_op *op);
    /* copy - store an object of this storage under another name, as put does, without its bytes
     * passing through here. Optional: they pass then, as they do where the server refuses it, as
     * it may one that is too large. */
    int (*copy)(void *state, const char *bucket, const char *key, const char *to_bucket,
                const char *to_key, const lithops_storage_op *op);
} lithops_storage_ops;

enum {
    LITHOPS_STORAGE_DELETE_MAX = 1000, /* what S3 takes in one request */
    LITHOPS_STORAGE_PARTS_MAX = 10000, /* and of one object */
    LITHOPS_STORAGE_PART_BYTES = 8 << 20,
};

typedef struct lithops_storage_driver {
    int abi; /* LITHOPS_STORAGE_ABI */
    const char *name;
    const char *summary; /* one sentence */
    unsigned caps;
    size_t state_size;
    const lithops_storage_ops *ops;
    /* The keys of the section that bears the driver's name; ends with a row whose name is NULL. May
     * be NULL: no keys. `storage_bucket` is the one that the engine reads too: the default bucket.
     */
    const lithops_config_key *config_keys;
} lithops_storage_driver;

/** Make a driver known under its name to this process, and its keys to configurations read from
 * then on. A program whose functions use the storage registers the driver before lithops_init():
 * then worker processes know it too.
 * @param driver  constant, kept until the process ends
 * @return 0; LITHOPS_EUNSUPPORTED for another interface version; LITHOPS_EEXIST for a name that
 *         belongs to another driver or to a section of the engine (`lithops`, a compute backend);
 * LITHOPS_EUSAGE for a table that lacks a required slot, or for a key without help */
LITHOPS_PUBLIC int lithops_storage_register(const lithops_storage_driver *driver,
                                            lithops_error *err);

#ifdef __cplusplus
}
#endif
#endif
