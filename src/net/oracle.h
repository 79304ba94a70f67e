/* SPDX-License-Identifier: Apache-2.0 */
/* Signing HTTP requests for Oracle's cloud: version 1 of its signatures, which are those of the
 * draft cavage-http-signatures-08, with RSA and SHA-256. No state; thread-safe. */
#ifndef LITHOPS_NET_ORACLE_H
#define LITHOPS_NET_ORACLE_H

#include "base/crypto_module.h"

#include <lithops/error.h>

struct lithops__oracle_request {
    const char *method; /* "get", "post": in lower case */
    const char *url;
    const char *date;   /* as the header Date */
    const char *type;   /* of the body */
    lithops_bytes body; /* of a post */
};

/* Headers of the request, besides what the body's type says. */
struct lithops__oracle_signed {
    char date[64], hash[80];
    char *authorization; /* the caller frees it */
};

/* @param key_id  "TENANCY/USER/FINGERPRINT"
 * @param pem     the private key
 * @return 0; ECONFIG: it is no such key; ENOMEM */
int lithops__oracle_sign(const struct lithops__crypto_api *crypto, const char *key_id,
                         const char *pem, const struct lithops__oracle_request *request,
                         struct lithops__oracle_signed *ret_signed, lithops_error *err);

#endif
