/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the Azure backend: the state of a handle, and making a request.
 *
 * A state is thread-safe and does not change once it is open. */
#ifndef LITHOPS_STORAGE_AZURE_H
#define LITHOPS_STORAGE_AZURE_H

#include "base/crypto_module.h"
#include "net/credentials.h"
#include "storage/web.h"

struct lithops__azure {
    struct lithops__web web;
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

lithops__web_ask lithops__azure_ask;

/* Slots in files of their own. */
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
int lithops__azure_del(void *state, const char *bucket, const char *key,
                       const lithops_storage_op *op);

#endif
