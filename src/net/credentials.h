/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials that may expire: kept, and fetched again before they do.
 *
 * A source fetches; the store asks it when it has none, or soon before they expire, and keeps on
 * using what is still valid if that fails. Thread-safe. Secrets are wiped when they are freed. */
#ifndef LITHOPS_NET_CREDENTIALS_H
#define LITHOPS_NET_CREDENTIALS_H

#include "base/retry.h"

#include <lithops/error.h>

/* Either keys, or a bearer's token. */
struct lithops__credentials {
    char *access_key, *secret_key, *session_token; /* token NULL: the keys last */
    char *bearer;
    char *endpoint; /* where they are good, if the service says so */
    double expires; /* seconds since 1970; 0: never */
};
void lithops__credentials_deinit(struct lithops__credentials *credentials);
/* False: out of memory; nothing is kept then. */
bool lithops__credentials_copy(const struct lithops__credentials *from,
                               struct lithops__credentials *ret_copy);
/* Wipe and free a text. NULL is fine. */
void lithops__secret_free(char *secret);
/* Whether a secret may be sent there: over TLS, or to this machine. */
bool lithops__is_safe_url(const char *url);

struct lithops__credential_source {
    /* EDENIED, ECONFIG, EBACKEND, ETIMEDOUT, ECANCELED, ENOMEM. One thread at a time. */
    int (*fetch)(void *user, const struct lithops__bounds *bounds,
                 struct lithops__credentials *ret_credentials, lithops_error *err);
    void (*close)(void *user); /* may be NULL */
    void *user;
};

struct lithops__credential_store;
/* Takes over what the source points to; on failure too. NULL: out of memory. */
struct lithops__credential_store *
lithops__credential_store_new(const struct lithops__credential_source *source);
/* Of keys that are known, and copied. `token` may be NULL. */
struct lithops__credential_store *
lithops__credential_store_of(const char *access_key, const char *secret_key, const char *token);
/* The same of a bearer's token, and where it is good. */
struct lithops__credential_store *lithops__credential_store_of_token(const char *token,
                                                                     const char *endpoint);
void lithops__credential_store_free(struct lithops__credential_store *store);
/* A copy for lithops__credentials_deinit(). */
int lithops__credential_store_get(struct lithops__credential_store *store,
                                  const struct lithops__bounds *bounds,
                                  struct lithops__credentials *ret_credentials, lithops_error *err);
/* A server says that `used` have expired: fetch others, if these are still the store's.
 * @return whether it is worth another try: they can change */
bool lithops__credential_store_expire(struct lithops__credential_store *store,
                                      const struct lithops__credentials *used);

#endif
