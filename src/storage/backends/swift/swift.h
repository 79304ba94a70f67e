/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the Swift backend: the state of a handle, and making a request.
 *
 * Objects of many parts are segments in the container `<bucket>_segments`, as Swift's own tools
 * name it, and a manifest in the bucket (a "static large object") whose metadata names the upload
 * that the segments belong to. A state is thread-safe. */
#ifndef LITHOPS_STORAGE_SWIFT_H
#define LITHOPS_STORAGE_SWIFT_H

#include "base/crypto_module.h"
#include "net/credentials.h"
#include "storage/web_request.h"

enum {
    LITHOPS__SWIFT_NAME = 320,  /* of a container of segments */
    LITHOPS__SWIFT_UPLOAD = 25, /* the id of one, with its NUL */
    LITHOPS__SWIFT_MD5 = 2 * LITHOPS__MD5_BYTES + 1,
    /* What servers allow if they are not configured otherwise: */
    LITHOPS__SWIFT_PAGE = 10000,    /* entries of a list */
    LITHOPS__SWIFT_MANIFEST = 1000, /* segments */
};

struct lithops__swift {
    struct lithops__web web;
    const struct lithops__crypto_api *crypto;
    struct lithops__credential_store *credentials;
    char *where;           /* for messages */
    char *bucket;          /* Lithops' own, created if missing; may be NULL */
    size_t page, manifest; /* as above; tests set them */
    pthread_mutex_t lock;
    /* under lock */
    char asked[LITHOPS__SWIFT_NAME]; /* the bucket that was last asked for segments */
    bool has_segments;               /* what was found, which stays true */
    uint64_t asked_ns;               /* and when */
};

struct lithops__swift_header {
    const char *name, *value;
};

struct lithops__swift_request {
    const char *method;
    const char *bucket, *key;                /* key NULL: the container; both NULL: the account */
    const char *query;                       /* encoded; NULL: none */
    struct lithops__swift_header headers[4]; /* a value of NULL: none */
    const char *range, *if_match;
    bool is_new; /* only where there is no such object: else EEXIST */
    bool has_body;
    lithops_bytes body;
};

/* Make the request and wait for the head of a good answer; lithops__web_end() when done with it. A
 * token that the server no longer takes is renewed, once.
 * @return 0; ENOTFOUND, EDENIED, ETHROTTLED, EEXIST, EUSAGE, EBACKEND, ...; op->err->http_status is
 *         the answer's status */
int lithops__swift_begin(struct lithops__swift *swift, const struct lithops__swift_request *request,
                         const lithops_storage_op *op, struct lithops__transfer **ret_transfer);
/* Make a request whose answer's body does not matter. */
int lithops__swift_do(struct lithops__swift *swift, const struct lithops__swift_request *request,
                      const lithops_storage_op *op);

lithops__web_ask lithops__swift_ask;

/* Store a body as `request` says, checked by its MD5.
 * @param ret_md5  in hexadecimal; may be NULL */
int lithops__swift_store(struct lithops__swift *swift, struct lithops__swift_request request,
                         char ret_md5[LITHOPS__SWIFT_MD5], const lithops_storage_op *op);

/* ---- segments of large objects, see large.c -------------------------------------------------- */

/* The upload whose segments make the object; "" if it has none. */
int lithops__swift_upload_of(struct lithops__swift *swift, const char *bucket, const char *key,
                             char ret_id[LITHOPS__SWIFT_UPLOAD], const lithops_storage_op *op);
/* Delete the segments of an upload. "" is none. */
int lithops__swift_drop(struct lithops__swift *swift, const char *bucket, const char *key,
                        const char *id, const lithops_storage_op *op);
/* The same, after a success that a failure of this must not spoil: it is logged. */
void lithops__swift_drop_old(struct lithops__swift *swift, const char *bucket, const char *key,
                             const char *id, const lithops_storage_op *op);
/* Which of the keys have segments, of any upload. */
int lithops__swift_find_segments(struct lithops__swift *swift, const char *bucket,
                                 const char *const *keys, size_t count, bool *ret_has,
                                 const lithops_storage_op *op);

/* Delete objects in one request. */
int lithops__swift_bulk_delete(struct lithops__swift *swift, const char *bucket,
                               const char *const *keys, size_t count, const lithops_storage_op *op);

/* Slots in files of their own. */
int lithops__swift_make_bucket(void *state, const char *bucket, const lithops_storage_op *op);
int lithops__swift_put(void *state, const char *bucket, const char *key, lithops_bytes body,
                       const lithops_storage_op *op);
int lithops__swift_put_new(void *state, const char *bucket, const char *key, lithops_bytes body,
                           const lithops_storage_op *op);
int lithops__swift_upload_begin(void *state, lithops_storage_upload *upload,
                                const lithops_storage_op *op);
int lithops__swift_upload_part(void *state, lithops_storage_upload *upload, size_t number,
                               lithops_bytes body, const lithops_storage_op *op);
int lithops__swift_upload_complete(void *state, const lithops_storage_upload *upload,
                                   const lithops_storage_op *op);
int lithops__swift_upload_abort(void *state, const lithops_storage_upload *upload,
                                const lithops_storage_op *op);
int lithops__swift_list(void *state, const char *bucket, const char *prefix, const char *after,
                        int (*visit)(const lithops_object_info *info, void *user), void *user,
                        const lithops_storage_op *op);
int lithops__swift_del(void *state, const char *bucket, const char *key,
                       const lithops_storage_op *op);
int lithops__swift_del_many(void *state, const char *bucket, const char *const *keys, size_t count,
                            const lithops_storage_op *op);
int lithops__swift_copy(void *state, const char *bucket, const char *key, const char *to_bucket,
                        const char *to_key, const lithops_storage_op *op);
int lithops__swift_describe(void *state, const char *bucket,
                            void (*say)(const char *what, int code, const char *detail, void *user),
                            void *user, const lithops_storage_op *op);

#endif
