/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the Azure backend: the state of a handle, and making a request.
 *
 * A state is thread-safe and does not change once it is open. */
#ifndef LITHOPS_STORAGE_AZURE_H
#define LITHOPS_STORAGE_AZURE_H

#include "base/buffer.h"
#include "base/crypto_module.h"
#include "net/credentials.h"
#include "storage/web_request.h"

#define LITHOPS__AZURE_VERSION "2021-12-02" /* of the service's interface */

struct lithops__azure {
    struct lithops__web web;
    const char *section; /* for messages; NULL: azure_storage, set when it opens */
    const struct lithops__crypto_api *crypto;
    char *endpoint; /* without '/' at its end; with the account's name where that is in the path */
    char *account;
    char *key; /* decoded, key_len bytes; NULL: none */
    size_t key_len;
    char *sas;                                /* without '?'; NULL: none */
    struct lithops__credential_store *tokens; /* bearers'; NULL: none */
    char *bucket; /* Lithops' own container, created if missing; may be NULL */
};

struct lithops__azure_parameter {
    const char *name, *value; /* of the query; not encoded */
};

struct lithops__azure_request {
    const char *method;
    const char *bucket, *key; /* key NULL: the container itself */
    /* in the order of names; the last has the name NULL */
    struct lithops__azure_parameter query[7];
    const char *if_match, *if_none_match; /* or NULL */
    const char *blob_type, *range;        /* x-ms-blob-type, x-ms-range, or NULL */
    const char *copy_source;              /* signed URL of the blob that is to be copied, or NULL */
    const char *content_type;             /* of the body; NULL: any bytes */
    bool *ret_no_bucket;                  /* set where there is no such container; or NULL */
    bool is_part;                         /* of a batch, whose version it has */
    bool has_body;
    lithops_bytes body;
};

/* Make the request and wait for the head of a good answer; lithops__web_end() when done with it. A
 * token that the service no longer takes is renewed, once.
 * @return 0; ENOTFOUND, EDENIED, ETHROTTLED, EEXIST, EUSAGE, EBACKEND, ...; op->err->http_status is
 *         the answer's status */
int lithops__azure_begin(struct lithops__azure *azure, const struct lithops__azure_request *request,
                         const lithops_storage_op *op, struct lithops__transfer **ret_transfer);
/* Make a request whose answer's body does not matter. */
int lithops__azure_do(struct lithops__azure *azure, const struct lithops__azure_request *request,
                      const lithops_storage_op *op);

/* A request as it is to be sent, with `token` or, where that is NULL, what else the account has.
 * False: out of memory. */
bool lithops__azure_prepare(const struct lithops__azure *azure,
                            const struct lithops__azure_request *request, const char *token,
                            struct lithops__web_request *out);

/* Append a request without a body, as it would be sent. False: out of memory. */
bool lithops__azure_write_part(const struct lithops__azure *azure,
                               const struct lithops__azure_request *request, const char *token,
                               struct lithops__buffer *out);

/* The URL of a blob which the service itself may read; a secret, which the caller wipes and frees.
 * NULL: out of memory. */
char *lithops__azure_source(const struct lithops__azure *azure, const char *bucket,
                            const char *key);

lithops__web_ask lithops__azure_ask;

/* Slots in files of their own. */
int lithops__azure_describe(void *state, const char *bucket,
                            void (*say)(const char *what, int code, const char *detail, void *user),
                            void *user, const lithops_storage_op *op);
int lithops__azure_make_bucket(void *state, const char *bucket, const lithops_storage_op *op);
int lithops__azure_put(void *state, const char *bucket, const char *key, lithops_bytes body,
                       const lithops_storage_op *op);
int lithops__azure_put_new(void *state, const char *bucket, const char *key, lithops_bytes body,
                           const lithops_storage_op *op);
int lithops__azure_upload_begin(void *state, lithops_storage_upload *upload,
                                const lithops_storage_op *op);
int lithops__azure_upload_part(void *state, lithops_storage_upload *upload, size_t number,
                               lithops_bytes body, const lithops_storage_op *op);
int lithops__azure_upload_complete(void *state, const lithops_storage_upload *upload,
                                   const lithops_storage_op *op);
int lithops__azure_upload_abort(void *state, const lithops_storage_upload *upload,
                                const lithops_storage_op *op);
int lithops__azure_list(void *state, const char *bucket, const char *prefix, const char *after,
                        int (*visit)(const lithops_object_info *info, void *user), void *user,
                        const lithops_storage_op *op);
int lithops__azure_del_many(void *state, const char *bucket, const char *const *keys, size_t count,
                            const lithops_storage_op *op);
int lithops__azure_del(void *state, const char *bucket, const char *key,
                       const lithops_storage_op *op);
int lithops__azure_copy(void *state, const char *bucket, const char *key, const char *to_bucket,
                        const char *to_key, const lithops_storage_op *op);

#endif
