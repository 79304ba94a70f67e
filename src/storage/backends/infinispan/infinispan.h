/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the Infinispan backend: the state of a handle, and making a request.
 *
 * A bucket is a cache, an object is an entry of it, whose value is the object as it is. Its key is
 * the object's, but for bytes that the server's lists do not show well: those are "%XX" in it.
 *
 * The server's interface (REST, version 2) has no ranges, no times, and no size of a value but that
 * of the answer that brings it. A state is thread-safe. */
#ifndef LITHOPS_STORAGE_INFINISPAN_H
#define LITHOPS_STORAGE_INFINISPAN_H

#include "base/crypto_module.h"
#include "storage/web_request.h"

enum lithops__infinispan_auth {
    LITHOPS__INFINISPAN_NONE,
    LITHOPS__INFINISPAN_BASIC,
    LITHOPS__INFINISPAN_DIGEST,
};

/* What a server wants to be answered: of "WWW-Authenticate: Digest ...". */
struct lithops__digest_challenge {
    char realm[128], nonce[256], opaque[128];
    bool has_qop, has_algorithm, is_sha256;
    unsigned count; /* of answers; 0 and no nonce: there is none */
};
/* @return whether it is one that can be answered */
bool lithops__digest_read(const char *header, struct lithops__digest_challenge *ret_challenge);
/* The value of the header "Authorization", which the caller wipes and frees; NULL: out of memory,
 * or a policy forbids the hash. Counts.
 * @param client  the client's nonce; NULL: a random one */
char *lithops__digest_answer(const struct lithops__crypto_api *crypto,
                             struct lithops__digest_challenge *challenge, const char *user,
                             const char *password, const char *method, const char *path,
                             const char *client);

struct lithops__infinispan {
    struct lithops__web web;
    const struct lithops__crypto_api *crypto;
    char *endpoint; /* without '/' at its end */
    char *user, *password;
    enum lithops__infinispan_auth auth;
    char *bucket;                      /* Lithops' own cache, created if missing; may be NULL */
    struct lithops_value *cache_names; /* others that are; may be NULL */
    char *template;                    /* that they are created by; NULL: see make_bucket */
    pthread_mutex_t lock;
    /* under lock: challenges that no request is about to answer */
    struct lithops__digest_challenge idle[LITHOPS__WEB_IDLE];
    size_t idle_count;
};

struct lithops__infinispan_request {
    const char *method;
    const char *bucket, *key; /* key NULL: the cache itself */
    const char *query;        /* encoded; NULL: none */
    const char *if_match, *content_type;
    bool has_body;
    lithops_bytes body;
};

/* Make the request and wait for the head of a good answer; lithops__web_end() when done with it. A
 * challenge is answered, and once more where the server has a new one.
 * @return 0; ENOTFOUND, EDENIED, EEXIST, EBACKEND, ...; op->err->http_status is the answer's */
int lithops__infinispan_begin(struct lithops__infinispan *infinispan,
                              const struct lithops__infinispan_request *request,
                              const lithops_storage_op *op,
                              struct lithops__transfer **ret_transfer);
/* Make a request that changes something, whose answer has nothing in it. */
int lithops__infinispan_do(struct lithops__infinispan *infinispan,
                           const struct lithops__infinispan_request *request,
                           const lithops_storage_op *op);

lithops__web_ask lithops__infinispan_ask;

/* Whether the cache is one that is made where it is missing. */
bool lithops__infinispan_makes(const struct lithops__infinispan *infinispan, const char *bucket);

/* Slots in files of their own. */
int lithops__infinispan_describe(void *state, const char *bucket,
                                 void (*say)(const char *what, int code, const char *detail,
                                             void *user),
                                 void *user, const lithops_storage_op *op);
int lithops__infinispan_make_bucket(void *state, const char *bucket, const lithops_storage_op *op);
int lithops__infinispan_put(void *state, const char *bucket, const char *key, lithops_bytes body,
                            const lithops_storage_op *op);
int lithops__infinispan_put_new(void *state, const char *bucket, const char *key,
                                lithops_bytes body, const lithops_storage_op *op);
int lithops__infinispan_list(void *state, const char *bucket, const char *prefix, const char *after,
                             int (*visit)(const lithops_object_info *info, void *user), void *user,
                             const lithops_storage_op *op);
int lithops__infinispan_del(void *state, const char *bucket, const char *key,
                            const lithops_storage_op *op);

#endif
