/* SPDX-License-Identifier: Apache-2.0 */
/* Signing HTTP requests for AWS and compatible services: Signature Version 4.
 *
 * The signed request must be the one sent: the caller encodes path and query with the functions
 * here, and sends exactly the headers that it passed, "host" among them. No state; thread-safe. */
#ifndef LITHOPS_NET_SIGN_H
#define LITHOPS_NET_SIGN_H

#include "base/buffer.h"
#include "base/crypto_module.h"

#include <time.h>

/* In place of the hash of a body that is not hashed, which is good enough over https. */
#define LITHOPS__UNSIGNED_PAYLOAD "UNSIGNED-PAYLOAD"

enum { LITHOPS__AMZ_DATE = 17 };

struct lithops__sign_key {
    const char *access_key, *secret_key;
    const char *region, *service; /* "us-east-1", "s3" */
};

struct lithops__sign_request {
    const char *method;
    const char *path;  /* encoded, begins with '/' */
    const char *query; /* encoded, in the order of names, "name=value" each; "" for none */
    /* "name: value" each, names in lower case, no two the same, ends with NULL; in any order */
    const char *const *headers;
    const char *payload_hash; /* in hexadecimal, or LITHOPS__UNSIGNED_PAYLOAD */
};

/* Append `len` bytes so that any of them may stand in a path or a query: all but letters, digits
 * and "-._~" as %XX; '/' stays where `keep_slashes`. */
void lithops__url_encode(struct lithops__buffer *out, const void *bytes, size_t len,
                         bool keep_slashes);

/* In base64, with its NUL: 4 * (len / 3) + 5 bytes at most. */
void lithops__base64(const unsigned char *in, size_t len, char *out);

/* The reverse, in place. @return the length, 0 if it is not base64 */
size_t lithops__base64_decode(char *text);

/* The header "x-amz-date" of a time, as in 20130524T000000Z. */
void lithops__amz_date(time_t when, char ret_date[LITHOPS__AMZ_DATE]);

/* Append the value of the header "Authorization".
 * @param date  value of the header x-amz-date
 * @return 0, or ENOMEM */
int lithops__sign(const struct lithops__crypto_api *crypto, const struct lithops__sign_key *key,
                  const struct lithops__sign_request *request, const char *date,
                  struct lithops__buffer *out);

#endif
