/* SPDX-License-Identifier: Apache-2.0 */
/* AWS's services that give credentials. Endpoints may be replaced by the environment variables
 * that AWS documents for it: AWS_ENDPOINT_URL_STS, AWS_ENDPOINT_URL_SSO, AWS_ENDPOINT_URL_SSO_OIDC
 * and AWS_EC2_METADATA_SERVICE_ENDPOINT. All functions block within context->bounds.
 *
 * They return 0; EDENIED (the service refuses), ECONFIG (a setting is missing or wrong), EBACKEND
 * (no connection, or an answer that cannot be read), ETIMEDOUT, ECANCELED, ENOMEM. */
#ifndef LITHOPS_NET_AWS_REMOTE_H
#define LITHOPS_NET_AWS_REMOTE_H

#include "base/crypto_module.h"
#include "net/aws_profile.h"
#include "net/credentials.h"
#include "net/fetch.h"

struct lithops__aws_context {
    const struct lithops__transfer_api *http;
    const struct lithops__crypto_api *crypto;
    const char *region; /* "": none */
    struct lithops__bounds bounds;
};

struct lithops__aws_role {
    const char *arn, *session_name;             /* session name NULL: one of ours */
    const char *external_id, *duration_seconds; /* may be NULL */
};

/* STS: by a token that the file holds, or by other credentials. */
int lithops__aws_web_identity(const struct lithops__aws_context *context,
                              const struct lithops__aws_role *role, const char *token_file,
                              struct lithops__credentials *ret_credentials, lithops_error *err);
int lithops__aws_assume_role(const struct lithops__aws_context *context,
                             const struct lithops__aws_role *role,
                             const struct lithops__credentials *by,
                             struct lithops__credentials *ret_credentials, lithops_error *err);
/* By the token that `aws sso login` has left in ~/.aws/sso/cache; renewed if it is about to expire
 * and can be. */
int lithops__aws_sso(const struct lithops__aws_context *context,
                     const struct lithops__aws_profile *profile,
                     struct lithops__credentials *ret_credentials, lithops_error *err);
/* Of a container: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or ..._FULL_URI. */
bool lithops__aws_is_container(void);
int lithops__aws_container(const struct lithops__aws_context *context,
                           struct lithops__credentials *ret_credentials, lithops_error *err);
/* Of a machine of EC2, by version 2 of its metadata service. */
bool lithops__aws_may_be_instance(void); /* unless AWS_EC2_METADATA_DISABLED */
int lithops__aws_instance(const struct lithops__aws_context *context,
                          struct lithops__credentials *ret_credentials, lithops_error *err);

/* By running a command, for up to a minute, which prints them. */
int lithops__aws_process(const struct lithops__aws_context *context, const char *command,
                         struct lithops__credentials *ret_credentials, lithops_error *err);

/* A variable of the environment that is set and not empty, or NULL. */
const char *lithops__environment(const char *name);

#endif
