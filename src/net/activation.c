/* SPDX-License-Identifier: Apache-2.0 */
/* Sealing and opening activations.
 *
 *     header = "1 TIME NONCE MAC"       TIME in seconds since 1970, NONCE 32 and MAC 64 digits
 *     MAC    = HMAC(HMAC(secret, "lithops activation 1 sign"), "1 TIME NONCE\n" body)
 *     body   = AES-256-GCM(HMAC(secret, "lithops activation 1 seal NONCE"), text)
 *     proof  = HMAC(HMAC(secret, "lithops activation 1 sign"), "proof NONCE")
 *
 * The MAC is checked before anything else is looked at, so only who knows the secret can fill the
 * list of nonces, or learn from an answer why it was refused. A nonce is forgotten when its time is
 * over, since it is stale then. */
#include "net/activation.h"

#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define LABEL "lithops activation 1 "

enum { NONCE_BYTES = 16, NONCE_DIGITS = 2 * NONCE_BYTES };

struct lithops__activation_nonce {
    char digits[NONCE_DIGITS];
    int64_t time; /* of its activation */
};

static lithops_bytes text_bytes(const char *text)
{
    return (lithops_bytes){text, strlen(text)};
}

/* ---- keys ------------------------------------------------------------------------------------ */

static int derive(const struct lithops__crypto_api *crypto, const char *secret, const char *purpose,
                  const char *nonce, unsigned char ret_key[LITHOPS__SHA256_BYTES])
{
    char label[sizeof LABEL + 8 + NONCE_DIGITS];
    snprintf(label, sizeof label, LABEL "%s%s%.*s", purpose, nonce ? " " : "", NONCE_DIGITS,
             nonce ? nonce : "");
    return crypto->hmac_sha256(text_bytes(secret), text_bytes(label), ret_key);
}

/* In hexadecimal, of `head`, a line end, and `body`; or of `head` alone. */
static int sign(const struct lithops__crypto_api *crypto, const char *secret, const char *head,
                const lithops_bytes *body, char ret_mac[LITHOPS__HEX_HASH])
{
    unsigned char key[LITHOPS__SHA256_BYTES], mac[LITHOPS__SHA256_BYTES];
    struct lithops__buffer signed_bytes = LITHOPS__BUFFER_INIT;
    lithops__buffer_append_string(&signed_bytes, head);
    if (body) {
        lithops__buffer_append(&signed_bytes, "\n", 1);
        lithops__buffer_append(&signed_bytes, body->ptr, body->len);
    }
    int failed = signed_bytes.failed ? ENOMEM : derive(crypto, secret, "sign", NULL, key);
    if (!failed)
        failed = crypto->hmac_sha256((lithops_bytes){key, sizeof key},
                                     (lithops_bytes){signed_bytes.data, signed_bytes.len}, mac);
    if (!failed)
        lithops__hash_to_hex(mac, ret_mac);
    explicit_bzero(key, sizeof key);
    lithops__buffer_deinit(&signed_bytes);
    return failed;
}

static int make_proof(const struct lithops__crypto_api *crypto, const char *secret,
                      const char *nonce, char ret_proof[LITHOPS__HEX_HASH])
{
    char head[sizeof "proof " + NONCE_DIGITS];
    snprintf(head, sizeof head, "proof %.*s", NONCE_DIGITS, nonce);
    return sign(crypto, secret, head, NULL, ret_proof);
}

/* ---- sealing --------------------------------------------------------------------------------- */

static int make_nonce(char ret_digits[NONCE_DIGITS + 1])
{
    unsigned char bytes[NONCE_BYTES];
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
        return EIO;
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(ret_digits + 2 * i, 3, "%02x", bytes[i]);
    return 0;
}

static int seal_text(const struct lithops__crypto_api *crypto, const char *secret,
                     const char *nonce, const char *text, struct lithops__buffer *body)
{
    unsigned char key[LITHOPS__SHA256_BYTES];
    size_t len = strlen(text);
    unsigned char *sealed = lithops__buffer_reserve(body, len + LITHOPS__SEAL_TAG_BYTES);
    int failed = sealed ? derive(crypto, secret, "seal", nonce, key) : ENOMEM;
    if (!failed)
        failed = crypto->seal(key, text_bytes(text), sealed);
    if (!failed)
        body->len += len + LITHOPS__SEAL_TAG_BYTES;
    explicit_bzero(key, sizeof key);
    return failed;
}

int lithops__activation_seal(const struct lithops__crypto_api *crypto, const char *secret,
                             const char *text, time_t now, char header[LITHOPS__ACTIVATION_HEADER],
                             char proof[LITHOPS__HEX_HASH], struct lithops__buffer *body,
                             lithops_error *err)
{
    char nonce[NONCE_DIGITS + 1], head[80], mac[LITHOPS__HEX_HASH];
    if (strlen(secret) < LITHOPS__ACTIVATION_SECRET_MIN)
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "the secret of the workers has less than %d characters",
                             LITHOPS__ACTIVATION_SECRET_MIN);
    if (strlen(text) > LITHOPS__ACTIVATION_BODY_MAX - LITHOPS__SEAL_TAG_BYTES)
        return lithops__fail(err, LITHOPS_EUSAGE, "the configuration of a worker is too long");
    int failed = make_nonce(nonce);
    if (!failed)
        failed = seal_text(crypto, secret, nonce, text, body);
    if (!failed) {
        const lithops_bytes sealed = {body->data, body->len};
        snprintf(head, sizeof head, "1 %lld %s", (long long)now, nonce);
        failed = sign(crypto, secret, head, &sealed, mac);
    }
    if (!failed)
        failed = make_proof(crypto, secret, nonce, proof);
    if (failed)
        return lithops__fail_errno(err, failed, "cannot seal the request for a worker");
    snprintf(header, LITHOPS__ACTIVATION_HEADER, "%s %s", head, mac);
    return 0;
}

/* ---- opening --------------------------------------------------------------------------------- */

void lithops__activation_seen_deinit(struct lithops__activation_seen *seen)
{
    free(seen->nonces);
    *seen = (struct lithops__activation_seen){NULL, 0, 0};
}

static bool are_digits(const char *text, size_t len)
{
    return strspn(text, "0123456789abcdef") >= len;
}

/* Split "1 TIME NONCE MAC". */
static bool split(const char *header, long long *ret_time, const char **ret_nonce,
                  const char **ret_mac)
{
    char *end;
    if (!header || strncmp(header, "1 ", 2) != 0 || header[2] < '0' || header[2] > '9')
        return false;
    errno = 0;
    *ret_time = strtoll(header + 2, &end, 10);
    if (errno != 0 || *end != ' ' ||
        strlen(end) != 1 + NONCE_DIGITS + 1 + 2 * LITHOPS__SHA256_BYTES)
        return false;
    *ret_nonce = end + 1;
    *ret_mac = end + 1 + NONCE_DIGITS + 1;
    return are_digits(*ret_nonce, NONCE_DIGITS) && (*ret_nonce)[NONCE_DIGITS] == ' ' &&
           are_digits(*ret_mac, 2 * LITHOPS__SHA256_BYTES);
}

/* In a time that does not tell where they differ. */
static bool is_same(const char *a, const char *b, size_t len)
{
    unsigned differ = 0;
    for (size_t i = 0; i < len; i++)
        differ |= (unsigned char)a[i] ^ (unsigned char)b[i];
    return differ == 0;
}

static enum lithops__activation_verdict note(struct lithops__activation_seen *seen,
                                             const char *nonce, int64_t sent, int64_t now)
{
    size_t kept = 0;
    bool is_known = false;
    for (size_t i = 0; i < seen->count; i++) {
        if (seen->nonces[i].time + LITHOPS__ACTIVATION_GOOD_S < now)
            continue; /* stale: refused without it */
        is_known |= memcmp(seen->nonces[i].digits, nonce, NONCE_DIGITS) == 0;
        seen->nonces[kept++] = seen->nonces[i];
    }
    seen->count = kept;
    if (is_known)
        return LITHOPS__ACTIVATION_REPLAYED;
    if (seen->count == seen->capacity) {
        size_t capacity = seen->capacity ? 2 * seen->capacity : 64;
        void *longer = realloc(seen->nonces, capacity * sizeof *seen->nonces);
        if (!longer)
            return LITHOPS__ACTIVATION_FAILED;
        seen->nonces = longer;
        seen->capacity = capacity;
    }
    struct lithops__activation_nonce *added = &seen->nonces[seen->count++];
    memcpy(added->digits, nonce, NONCE_DIGITS);
    added->time = sent;
    return LITHOPS__ACTIVATION_GOOD;
}

static enum lithops__activation_verdict unseal_text(const struct lithops__crypto_api *crypto,
                                                    const char *secret, const char *nonce,
                                                    lithops_bytes body, char **ret_text)
{
    unsigned char key[LITHOPS__SHA256_BYTES];
    if (body.len < LITHOPS__SEAL_TAG_BYTES)
        return LITHOPS__ACTIVATION_FORGED;
    size_t len = body.len - LITHOPS__SEAL_TAG_BYTES;
    char *text = malloc(len + 1);
    int failed = text ? derive(crypto, secret, "seal", nonce, key) : ENOMEM;
    if (!failed)
        failed = crypto->unseal(key, body, (unsigned char *)text);
    explicit_bzero(key, sizeof key);
    if (failed) {
        free(text);
        return failed == EBADMSG ? LITHOPS__ACTIVATION_FORGED : LITHOPS__ACTIVATION_FAILED;
    }
    text[len] = '\0';
    *ret_text = text;
    return LITHOPS__ACTIVATION_GOOD;
}

enum lithops__activation_verdict lithops__activation_open(const struct lithops__crypto_api *crypto,
                                                          const char *secret, const char *header,
                                                          lithops_bytes body, time_t now,
                                                          struct lithops__activation_seen *seen,
                                                          char **ret_text,
                                                          char proof[LITHOPS__HEX_HASH])
{
    long long sent;
    const char *nonce, *mac;
    char head[80], expected[LITHOPS__HEX_HASH];
    if (!split(header, &sent, &nonce, &mac))
        return LITHOPS__ACTIVATION_UNSIGNED;
    snprintf(head, sizeof head, "1 %lld %.*s", sent, NONCE_DIGITS, nonce);
    if (sign(crypto, secret, head, &body, expected) != 0 ||
        make_proof(crypto, secret, nonce, proof) != 0)
        return LITHOPS__ACTIVATION_FAILED;
    if (!is_same(expected, mac, 2 * LITHOPS__SHA256_BYTES))
        return LITHOPS__ACTIVATION_FORGED;
    if (sent > now + LITHOPS__ACTIVATION_GOOD_S || sent + LITHOPS__ACTIVATION_GOOD_S < now)
        return LITHOPS__ACTIVATION_STALE;
    enum lithops__activation_verdict verdict = note(seen, nonce, sent, now);
    return verdict == LITHOPS__ACTIVATION_GOOD ? unseal_text(crypto, secret, nonce, body, ret_text)
                                               : verdict;
}
