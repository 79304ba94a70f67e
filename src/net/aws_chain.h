/* SPDX-License-Identifier: Apache-2.0 */
/* Where AWS's tools find credentials, in their order:
 *
 *  1. AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN
 *  2. the profile (AWS_PROFILE, else "default"): a role that another profile's credentials, or
 *     those of the environment, the container or the machine, assume
 *  3. a role by a web identity: AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE, or the profile
 *  4. the profile: a login of AWS SSO, or keys, or a program that prints them
 *  5. the container, 6. the machine of EC2 */
#ifndef LITHOPS_NET_AWS_CHAIN_H
#define LITHOPS_NET_AWS_CHAIN_H

#include "net/aws_remote.h"

/* A store over the chain. No request is made; that there is no source at all is told by the first
 * one, but here already where it is certain.
 * @param region  of STS; "": the profile's, or AWS_REGION's; copied
 * @return 0; ECONFIG (no source; a profile that is named and missing), ENOMEM */
int lithops__aws_chain_open(const struct lithops__transfer_api *http,
                            const struct lithops__crypto_api *crypto, const char *region,
                            struct lithops__credential_store **ret_store, lithops_error *err);

/* The region of AWS_REGION, AWS_DEFAULT_REGION or the profile. False if none of them has one, or
 * one that is too long. */
bool lithops__aws_region(char *ret_region, size_t size);

#endif
