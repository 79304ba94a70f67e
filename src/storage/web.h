/* SPDX-License-Identifier: Apache-2.0 */
/* What backends over HTTP have in common: a pool of handles that keep connections open, documents,
 * and reads that share an answer. Thread-safe. */
#ifndef LITHOPS_STORAGE_WEB_H
#define LITHOPS_STORAGE_WEB_H

#include "base/crypto_module.h"
#include "net/transfer.h"

#include <lithops/plugin/storage.h>

#include <pthread.h>
#include <stdatomic.h>

enum { LITHOPS__WEB_IDLE = 32 };

/* Make a request for an object and wait for the head of a good answer; lithops__web_end() when done
 * with it. `state` is the backend's. op->err->http_status is the answer's status: 412 when the
 * object is not that of `if_match`, 416 when it has no such bytes.
 * @param method    "GET" or "HEAD"
 * @param if_match  an ETag, or NULL
 * @param range     as in "bytes=0-99", or NULL */
typedef int lithops__web_ask(void *state, const char *method, const char *bucket, const char *key,
                             const char *if_match, const char *range, const lithops_storage_op *op,
                             struct lithops__transfer **ret_transfer);

struct lithops__web {
    const char *section; /* for messages */
    const struct lithops__transfer_api *http;
    const struct lithops__crypto_api *crypto; /* NULL: not there, so only CRCs are checked */
    lithops__web_ask *ask;
    void *state;
    bool checks;    /* reads are compared with checksums; off until a backend wants it */
    bool no_ranges; /* `ask` gives what is behind the start of a range, to the object's end */
    atomic_bool ranges_lack; /* what is sent with a range is a checksum of the whole object */
    pthread_mutex_t lock;
    /* under lock */
    struct lithops__transfer *idle[LITHOPS__WEB_IDLE];
    size_t idle_count;
};

/* `web` is zeroed; lithops__web_deinit() also after a failure. EUNSUPPORTED (no libcurl) */
int lithops__web_init(struct lithops__web *web, const char *section, lithops__web_ask *ask,
                      void *state, lithops_error *err);
void lithops__web_deinit(struct lithops__web *web);

/* A handle of the pool, and back. */
int lithops__web_take(struct lithops__web *web, struct lithops__transfer **ret_transfer,
                      lithops_error *err);
void lithops__web_end(struct lithops__web *web, struct lithops__transfer *transfer);

/* The body of an answer, which the caller frees; a NUL follows it. Ends the transfer. */
int lithops__web_document(struct lithops__web *web, struct lithops__transfer *transfer,
                          const lithops_storage_op *op, char **ret_document, size_t *ret_len);

/* Every answer about an object has an ETag. One without comes from something else: a proxy's page,
 * say, with status 200. 0, or EBACKEND (retryable). */
int lithops__web_check_etag(const struct lithops__web *web, struct lithops__transfer *transfer,
                            const lithops_storage_op *op);
/* The answer shows that it comes from something else: EBACKEND (retryable).
 * @param why  as in "has no ETag" */
int lithops__web_fail_stranger(const struct lithops__web *web, struct lithops__transfer *transfer,
                               const char *why, const lithops_storage_op *op);

/* The slots read, end_read and head. */
int lithops__web_read(struct lithops__web *web, const char *bucket, const char *key,
                      lithops_storage_cursor *cursor, uint64_t offset, void *buf, size_t len,
                      size_t *ret_len, const lithops_storage_op *op);
void lithops__web_end_read(struct lithops__web *web, lithops_storage_cursor *cursor);
int lithops__web_head(struct lithops__web *web, const char *bucket, const char *key,
                      lithops_object_info *ret_info, const lithops_storage_op *op);

/* An ETag without its quotes. */
void lithops__web_etag(const char *raw, char *ret_etag, size_t size);

#endif
