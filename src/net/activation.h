/* SPDX-License-Identifier: Apache-2.0 */
/* What a request says that starts a worker: a text that only who knows the shared secret can read,
 * have written, or change, and that is good once and for some minutes.
 *
 * The body is the text, sealed with a key of its own, which is made of the secret and a random
 * nonce. A header has the version, the time, the nonce, and the HMAC of these and the body. So
 * whatever stands between, as an ingress that ends TLS, learns nothing and changes nothing. The
 * answer has a proof that the other side knows the secret, too. */
#ifndef LITHOPS_NET_ACTIVATION_H
#define LITHOPS_NET_ACTIVATION_H

#include "base/buffer.h"
#include "base/crypto_module.h"

#include <lithops/error.h>

#include <time.h>

#define LITHOPS__ACTIVATION_HEADER_NAME "X-Lithops-Activation"
#define LITHOPS__ACTIVATION_PROOF_NAME "X-Lithops-Worker"

enum {
    LITHOPS__ACTIVATION_SECRET_MIN = 32, /* characters of a secret */
    LITHOPS__ACTIVATION_HEADER = 160,    /* the header's value, with its NUL */
    LITHOPS__ACTIVATION_BODY_MAX = 1 << 20,
    LITHOPS__ACTIVATION_GOOD_S = 300, /* how far clocks and delays may be apart */
};

/* Seal `text`.
 * @param header  the value of the header
 * @param proof   what the answer's header has to be
 * @param body    empty; is filled
 * @return 0; ECONFIG: the secret is too short; ENOMEM and others */
int lithops__activation_seal(const struct lithops__crypto_api *crypto, const char *secret,
                             const char *text, time_t now, char header[LITHOPS__ACTIVATION_HEADER],
                             char proof[LITHOPS__HEX_HASH], struct lithops__buffer *body,
                             lithops_error *err);

/* Nonces that were good once. Zeroed, it is empty. One thread at a time. */
struct lithops__activation_seen {
    struct lithops__activation_nonce *nonces;
    size_t count, capacity;
};
void lithops__activation_seen_deinit(struct lithops__activation_seen *seen);

enum lithops__activation_verdict {
    LITHOPS__ACTIVATION_GOOD,
    LITHOPS__ACTIVATION_UNSIGNED, /* no header, or not such a one */
    LITHOPS__ACTIVATION_FORGED,   /* of another secret, or changed */
    LITHOPS__ACTIVATION_STALE,    /* of another time */
    LITHOPS__ACTIVATION_REPLAYED, /* it was good before */
    LITHOPS__ACTIVATION_FAILED,   /* out of memory */
};

/* Open one.
 * @param header    the header's value, or NULL: there was none
 * @param ret_text  where it is good: the text, which the caller wipes and frees
 * @param proof     where it is good: for the answer */
enum lithops__activation_verdict lithops__activation_open(const struct lithops__crypto_api *crypto,
                                                          const char *secret, const char *header,
                                                          lithops_bytes body, time_t now,
                                                          struct lithops__activation_seen *seen,
                                                          char **ret_text,
                                                          char proof[LITHOPS__HEX_HASH]);

#endif
