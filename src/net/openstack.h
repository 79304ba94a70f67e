/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens of OpenStack, as a source of credentials that expire: of Keystone (version 3), which also
 * tells where the object store is; or of the object store's own login (version 1). */
#ifndef LITHOPS_NET_OPENSTACK_H
#define LITHOPS_NET_OPENSTACK_H

#include "net/credentials.h"
#include "net/transfer.h"

/* Texts are borrowed for the call. */
struct lithops__openstack_login {
    const char *auth_url; /* of Keystone, with or without /v3; or one that ends with /v1.0 */
    const char *user, *password;
    const char *user_domain; /* its name; NULL: the domain whose id is "default" */
    const char *project;     /* its id; NULL: the user's default project */
    const char *application_id, *application_secret; /* in place of user and password */
    const char *region;                              /* of the object store; NULL: the first one */
    const char *interface;                           /* "public", "internal" or "admin" */
};

/* No request is made. The credentials of the store have a bearer's token and an endpoint.
 * @return 0; ENOMEM */
int lithops__openstack_open(const struct lithops__transfer_api *http,
                            const struct lithops__openstack_login *login,
                            struct lithops__credential_store **ret_store, lithops_error *err);

#endif
