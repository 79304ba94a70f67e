/* SPDX-License-Identifier: Apache-2.0 */
/* Bearer tokens of Google's, IBM's and Microsoft's clouds, as sources of credentials that expire.
 */
#ifndef LITHOPS_NET_OAUTH_H
#define LITHOPS_NET_OAUTH_H

#include "base/crypto_module.h"
#include "net/credentials.h"
#include "net/transfer.h"

#include <lithops/value.h>

/* What a token of Google's is good for. */
#define LITHOPS__GOOGLE_STORAGE "https://www.googleapis.com/auth/devstorage.full_control"
#define LITHOPS__GOOGLE_PUBSUB "https://www.googleapis.com/auth/pubsub"

/* Of the service account whose key is in the file: signs a statement, which Google's token server
 * exchanges for a token. No request is made.
 * @param scope        one of the above; borrowed for ever
 * @param ret_project  the account's project, which the caller frees; NULL if the file has none
 * @return 0; ECONFIG (not such a file), ENOMEM */
int lithops__google_open(const struct lithops__transfer_api *http,
                         const struct lithops__crypto_api *crypto, const char *path,
                         const char *scope, struct lithops__credential_store **ret_store,
                         char **ret_project, lithops_error *err);
/* Of the identity that the machine has at Google, whose metadata server gives tokens. No request is
 * made. ENOMEM. */
int lithops__google_machine_open(const struct lithops__transfer_api *http,
                                 struct lithops__credential_store **ret_store, lithops_error *err);

/* ID tokens, which say to a service of Google's who calls it, and are good for one `audience`.
 * @param path   the file of a service account, as above; NULL: the identity of the machine, whose
 *               metadata server gives tokens
 * @param host   of that server; NULL: what GCE_METADATA_HOST says, or that of Google's machines */
int lithops__google_identity_open(const struct lithops__transfer_api *http,
                                  const struct lithops__crypto_api *crypto, const char *path,
                                  const char *host, const char *audience,
                                  struct lithops__credential_store **ret_store, lithops_error *err);

/* Of an API key of IBM's cloud.
 * @param endpoint  NULL: https://iam.cloud.ibm.com */
int lithops__ibm_open(const struct lithops__transfer_api *http, const char *api_key,
                      const char *endpoint, struct lithops__credential_store **ret_store,
                      lithops_error *err);

/* What a token of Microsoft's is good for. */
#define LITHOPS__ENTRA_STORAGE "https://storage.azure.com/"
#define LITHOPS__ENTRA_MANAGEMENT "https://management.azure.com/"

/* Of Microsoft Entra ID. Texts are borrowed for the call. */
struct lithops__entra_login {
    const char *resource;  /* one of the above */
    const char *authority; /* NULL: https://login.microsoftonline.com */
    const char *tenant, *client;
    const char *secret;     /* of the client; or: */
    const char *token_file; /* the token of a workload's identity is in it, read each time */
    /* Neither: the identity of the machine, whose metadata service gives tokens. */
    const char *metadata;        /* its URL; NULL: that of Azure's machines */
    const char *metadata_secret; /* what the service of an app wants to see; NULL: a machine's */
};
int lithops__entra_open(const struct lithops__transfer_api *http,
                        const struct lithops__entra_login *login,
                        struct lithops__credential_store **ret_store, lithops_error *err);
/* What the settings say: token; or tenant_id, client_id and client_secret; or managed_identity; or
 * what Azure's tools take from the environment instead. 0, with a store of NULL: nothing. */
int lithops__entra_find(const struct lithops__transfer_api *http, const lithops_value *settings,
                        const char *section, const char *resource,
                        struct lithops__credential_store **ret_store, lithops_error *err);

/* The token in an answer of a service; `service` is named in errors.
 * @return 0; EDENIED, EBACKEND, ENOMEM */
int lithops__oauth_read_token(const char *text, long status, const char *service,
                              struct lithops__credentials *ret_credentials, lithops_error *err);

#endif
