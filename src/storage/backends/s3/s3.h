/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the S3 backend: the state of a handle, and making a request.
 *
 * One driver serves all object stores that speak S3's protocol; their differences are rows of the
 * table in dialects.c. A state is thread-safe: each request takes an HTTP handle from a pool that
 * keeps connections open. */
#ifndef LITHOPS_STORAGE_S3_H
#define LITHOPS_STORAGE_S3_H

#include "base/buffer.h"
#include "base/crypto_module.h"
#include "net/credentials.h"
#include "net/skew.h"
#include "storage/web_request.h"

#include <lithops/plugin/storage.h>

#include <pthread.h>
#include <stdatomic.h>

enum { LITHOPS__S3_REGION = 64 };

struct lithops__s3_dialect {
    const char *section;
    const char *endpoint;       /* with %s for the region; NULL: must be given */
    const char *endpoint_key;   /* its name in the section */
    const char *default_region; /* NULL: must be given, unless the endpoint is */
    const char *secret_name;    /* of the secret key in the section */
    const char *new_header;     /* makes a put fail where there is an object; NULL: none does */
    bool virtual_host;          /* the bucket is a part of the host's name */
    bool aws_credentials;       /* keys may also be where AWS's tools look for them */
    bool google_credentials;    /* or a service account's key */
    bool ibm_credentials;       /* or an API key */
    bool sends_location;        /* the region is sent when a bucket is created */
};

struct lithops__s3 {
    const struct lithops__s3_dialect *dialect;
    const struct lithops__crypto_api *crypto;
    const struct lithops__transfer_api *http; /* web's */
    struct lithops__web web;
    char *endpoint; /* as configured, without '/' at its end; NULL: the dialect's */
    struct lithops__credential_store *credentials;
    char *new_bucket_header;       /* for creating a bucket; may be NULL */
    const char *new_object_header; /* the dialect's, or Google's with a bearer's token */
    char *bucket;                  /* Lithops' own bucket, created if missing; may be NULL */
    bool virtual_host;
    struct lithops__skew skew;
    pthread_mutex_t lock;
    /* under lock */
    char region[LITHOPS__S3_REGION]; /* changes if a server names another one */
};

struct lithops__s3_request {
    const char *method;
    const char *bucket, *key; /* key NULL: the bucket itself */
    const char *query;        /* encoded, in the order of names; NULL: none */
    const char *headers[5];   /* more of them, "name: value", names in lower case */
    bool has_body;
    bool is_expected; /* a large body goes out without asking first whether it is wanted */
    lithops_bytes body;
    const struct lithops__web_file *file; /* what is sent in place of it, or NULL */
};

/* Make the request and wait for the head of a good answer; lithops__s3_end() when done with it. If
 * the clock or the region was wrong, it is made again, once.
 * @return 0; ENOTFOUND, EDENIED, ETHROTTLED, EUSAGE, ENOSPACE, EBACKEND, ...; op->err->http_status
 *         is the answer's status */
int lithops__s3_begin(struct lithops__s3 *s3, const struct lithops__s3_request *request,
                      const lithops_storage_op *op, struct lithops__transfer **ret_transfer);
void lithops__s3_end(struct lithops__s3 *s3, struct lithops__transfer *transfer);
/* Make a request whose good answer has no body. */
int lithops__s3_do(struct lithops__s3 *s3, const struct lithops__s3_request *request,
                   const lithops_storage_op *op);
/* Make a request whose answer is a document, which the caller frees. */
int lithops__s3_fetch(struct lithops__s3 *s3, const struct lithops__s3_request *request,
                      const lithops_storage_op *op, char **ret_document, size_t *ret_len);

/* Fill op->err from an error response: its status, and its document. */
int lithops__s3_fail(const struct lithops__s3 *s3, const struct lithops__s3_request *request,
                     long status, const char *code, const char *message,
                     const lithops_storage_op *op);
/* Code and message of an error document ("" if missing). @return whether it is one */
struct lithops__s3_error {
    char code[64], message[256], region[LITHOPS__S3_REGION];
};
bool lithops__s3_read_error(const char *document, size_t len, struct lithops__s3_error *ret_error);

/* Create a bucket; an existing one is success. */
int lithops__s3_make_bucket(void *state, const char *bucket, const lithops_storage_op *op);

/* Whether a bucket is created when something is put into it: Lithops' own. */
bool lithops__s3_makes(const struct lithops__s3 *s3, const char *bucket);
/* Append text to an XML document. */
void lithops__s3_append_escaped(struct lithops__buffer *out, const char *text);

lithops__web_ask lithops__s3_ask;

/* Slots in files of their own. */
int lithops__s3_list(void *state, const char *bucket, const char *prefix, const char *after,
                     int (*visit)(const lithops_object_info *info, void *user), void *user,
                     const lithops_storage_op *op);
int lithops__s3_del_many(void *state, const char *bucket, const char *const *keys, size_t count,
                         const lithops_storage_op *op);
int lithops__s3_put(void *state, const char *bucket, const char *key, lithops_bytes body,
                    const lithops_storage_op *op);
int lithops__s3_put_new(void *state, const char *bucket, const char *key, lithops_bytes body,
                        const lithops_storage_op *op);
int lithops__s3_upload_begin(void *state, lithops_storage_upload *upload,
                             const lithops_storage_op *op);
int lithops__s3_upload_part(void *state, lithops_storage_upload *upload, size_t number,
                            lithops_bytes body, const lithops_storage_op *op);
int lithops__s3_upload_part_fd(void *state, lithops_storage_upload *upload, size_t number, int fd,
                               uint64_t offset, size_t len, const lithops_storage_op *op);
int lithops__s3_upload_complete(void *state, const lithops_storage_upload *upload,
                                const lithops_storage_op *op);
int lithops__s3_upload_abort(void *state, const lithops_storage_upload *upload,
                             const lithops_storage_op *op);
int lithops__s3_read(void *state, const char *bucket, const char *key,
                     lithops_storage_cursor *cursor, uint64_t offset, void *buf, size_t len,
                     size_t *ret_len, const lithops_storage_op *op);
void lithops__s3_end_read(void *state, lithops_storage_cursor *cursor);
int lithops__s3_head(void *state, const char *bucket, const char *key,
                     lithops_object_info *ret_info, const lithops_storage_op *op);
int lithops__s3_copy(void *state, const char *bucket, const char *key, const char *to_bucket,
                     const char *to_key, const lithops_storage_op *op);
int lithops__s3_del(void *state, const char *bucket, const char *key, const lithops_storage_op *op);

int lithops__s3_describe(void *state, const char *bucket,
                         void (*say)(const char *what, int code, const char *detail, void *user),
                         void *user, const lithops_storage_op *op);

/* For tests: open with a row of the table. */
int lithops__s3_open(void *state, const struct lithops__s3_dialect *dialect,
                     const lithops_value *settings, const lithops_storage_op *op);
void lithops__s3_close(void *state);

#endif
