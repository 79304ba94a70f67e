/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the services that HTTP requests start: where one is, and who asks it. */
#ifndef LITHOPS_COMPUTE_SERVICE_H
#define LITHOPS_COMPUTE_SERVICE_H

#include "compute/backends/http/oracle.h"
#include "compute/backends/http/whisk.h"
#include "net/credentials.h"
#include "net/http.h"

/* An activation of OpenWhisk, of the worker of the same number. */
struct activation {
    char id[LITHOPS__WHISK_ID];
    uint64_t look_ns; /* when it is to be looked at again */
    bool has_ended;
    char *how; /* NULL: not known */
};

struct lithops__service {
    const char *backend; /* "knative" */
    const struct lithops__posts_api *api;
    const struct lithops__crypto_api *crypto;
    const struct lithops__transfer_api *transfer;
    struct lithops__posts *posts;
    char *endpoint, *host, *secret, *token, *token_file;
    char *function_key;                      /* of a function of Azure; NULL: none */
    char *account, *audience;                /* of ID tokens of Google's */
    bool is_machine;                         /* they are the machine's */
    struct lithops__credential_store *store; /* they come from there; NULL: none do */
    bool sends_credentials;
    uint64_t start_ns, request_ns;  /* how long starting, and a request, may take */
    struct lithops__post **workers; /* by number; NULL: it has none */
    uint32_t count;
    bool is_oracle;
    struct lithops__oracle_function oracle;
    bool is_whisk;
    struct lithops__whisk whisk;
    char *basic; /* the API key, as HTTP has it; NULL: there is none */
    char *iam_key, *iam_endpoint;
    struct activation *activations; /* by number; the requests for them are in `workers` */
    uint64_t looks_ns; /* the relay's thread: until then there are none, as a token is missing */
};

/* What is invoked runs on its own: its answer says no more than that it was taken. */
static inline bool lithops__service_is_async(const struct lithops__service *http)
{
    return http->is_whisk || http->is_oracle;
}

/* Take what the section says. ECONFIG names what is missing, and how to get it. */
int lithops__service_settings(struct lithops__service *http, const lithops_value *settings,
                              lithops_error *err);
/* Then, what makes requests, and whoever gives tokens for them. EUNSUPPORTED: not in this build. */
int lithops__service_open(struct lithops__service *http, lithops_error *err);
/* All of it, whatever has been opened. */
void lithops__service_close(struct lithops__service *http);

/* "Authorization: Bearer ...", or what else says who asks, or NULL: nothing does. A file is read
 * each time: who keeps it there renews it.
 * @param ret_used  what the store gave, if there is one; the caller's, on failure too */
int lithops__service_authorization(const struct lithops__service *http,
                                   const struct lithops__bounds *bounds, char **ret_header,
                                   struct lithops__credentials *ret_used, lithops_error *err);

#endif
