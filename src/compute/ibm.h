/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to the services of IBM Cloud that take JSON and a token of its IAM. */
#ifndef LITHOPS_COMPUTE_IBM_H
#define LITHOPS_COMPUTE_IBM_H

#include "net/credentials.h"
#include "net/transfer.h"

#include <lithops/value.h>

/* What a service needs to know: its region, "" where the settings have its endpoint alone, and a
 * store of tokens for iam_api_key, by iam_endpoint. Nothing is requested. ECONFIG, ENOMEM */
int lithops__ibm_find(const char *section, const lithops_value *settings,
                      const struct lithops__transfer_api *http, char ret_region[64],
                      struct lithops__credential_store **ret_credentials, lithops_error *err);

/* Which service it is. */
struct lithops__ibm_service {
    const char *title;    /* in messages: "Code Engine" */
    const char *section;  /* of the configuration: "code_engine" */
    const char *endpoint; /* of a region, for printf() with its name */
    const char *version;  /* of the API, which each request names */
};

struct lithops__ibm_api {
    const struct lithops__ibm_service *service;
    const struct lithops__transfer_api *http;
    struct lithops__credential_store *credentials;
    char region[64]; /* "": it is not known, but the endpoint is */
    char endpoint[256];
};
/* Read iam_api_key, iam_endpoint, region and endpoint; nothing is requested. ECONFIG, EUNSUPPORTED,
 * ENOMEM; close it then, too. */
int lithops__ibm_api_open(struct lithops__ibm_api *api, const struct lithops__ibm_service *service,
                          const lithops_value *settings, lithops_error *err);
void lithops__ibm_api_close(struct lithops__ibm_api *api);

struct lithops__ibm_request {
    const char *method;  /* "PATCH", "PUT": of what is there, whatever its version */
    const char *path;    /* with a query, or without */
    lithops_value *body; /* which is freed; NULL: none */
    const char *what;    /* could not be done, if it fails: "cannot run a job" */
    struct lithops__bounds bounds;
};
/* Make a request, and again after 429, 5xx and lost connections, with growing pauses.
 * @param ret_answer  a map, for lithops_value_free(); NULL: it does not matter
 * @return 0; or what the status or the answer says, with err->http_status. 0 there, or 500 and
 *   more: nobody knows whether it was carried out */
int lithops__ibm_do(struct lithops__ibm_api *api, const struct lithops__ibm_request *request,
                    lithops_value **ret_answer, lithops_error *err);

#endif
