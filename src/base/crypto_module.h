/* SPDX-License-Identifier: Apache-2.0 */
/* The crypto module: hashes and message authentication, with OpenSSL's libcrypto.
 *
 *     const struct lithops__crypto_api *crypto =
 *         lithops__module_symbol("crypto", "lithops__crypto", err);
 *
 * Thread-safe. It uses nothing of the engine. */
#ifndef LITHOPS_BASE_CRYPTO_MODULE_H
#define LITHOPS_BASE_CRYPTO_MODULE_H

#include <lithops/base.h>

#include <stddef.h>

enum {
    LITHOPS__SHA256_BYTES = 32,
    LITHOPS__MD5_BYTES = 16,
    LITHOPS__SHA1_BYTES = 20,
    LITHOPS__RSA_BYTES = 1024, /* the longest signature: of a key of 8192 bits */
    LITHOPS__DIGEST_MAX = LITHOPS__SHA256_BYTES,
    LITHOPS__SEAL_KEY_BYTES = 32,
    LITHOPS__SEAL_TAG_BYTES = 16,
    LITHOPS__HEX_HASH = 2 * LITHOPS__SHA256_BYTES + 1, /* a SHA-256 as text, with its NUL */
};

enum lithops__digest_kind { LITHOPS__DIGEST_MD5, LITHOPS__DIGEST_SHA1, LITHOPS__DIGEST_SHA256 };
struct lithops__digest; /* a hash of bytes that come one after the other; one thread at a time */

struct lithops__crypto_api {
    /* SHA-256 of what can be read from `fd` until its end. 0, or an errno. */
    int (*sha256_fd)(int fd, unsigned char ret_hash[LITHOPS__SHA256_BYTES]);
    /* SHA-256 of bytes in memory. 0, or ENOMEM. */
    int (*sha256)(lithops_bytes data, unsigned char ret_hash[LITHOPS__SHA256_BYTES]);
    /* HMAC-SHA256 (RFC 2104) of `data` under `key`. 0, or ENOMEM. */
    int (*hmac_sha256)(lithops_bytes key, lithops_bytes data,
                       unsigned char ret_mac[LITHOPS__SHA256_BYTES]);
    /* MD5, for protocols that want it as a checksum. 0, or ENOMEM (also where a policy forbids it).
     */
    int (*md5)(lithops_bytes data, unsigned char ret_hash[LITHOPS__MD5_BYTES]);
    /* SHA-1, for names. 0, or ENOMEM. */
    int (*sha1)(lithops_bytes data, unsigned char ret_hash[LITHOPS__SHA1_BYTES]);
    /* NULL: out of memory, or a policy forbids this kind. */
    struct lithops__digest *(*digest_begin)(enum lithops__digest_kind kind);
    void (*digest_add)(struct lithops__digest *digest, lithops_bytes data);
    /* The hash of all that was added; ret_hash NULL: nobody wants it. Frees `digest`. 0, or ENOMEM.
     */
    int (*digest_end)(struct lithops__digest *digest, unsigned char ret_hash[LITHOPS__DIGEST_MAX],
                      size_t *ret_len);
    /* Sign with a private RSA key: SHA-256, PKCS #1 1.5 ("RS256").
     * @param pem  the key, without a password
     * @return 0, ENOMEM, or EINVAL: not such a key */
    int (*rs256)(const char *pem, lithops_bytes data,
                 unsigned char ret_signature[LITHOPS__RSA_BYTES], size_t *ret_len);
    /* Encrypt and authenticate (AES-256-GCM) with a key that is used for this one message: its
     * nonce is always the same. `ret_sealed` has room for the message and the tag behind it. 0,
     * EINVAL (a message of 2 GiB), or ENOMEM. */
    int (*seal)(const unsigned char key[LITHOPS__SEAL_KEY_BYTES], lithops_bytes message,
                unsigned char *ret_sealed);
    /* The reverse; `ret_message` has room for all but the tag. 0, EBADMSG: it was not sealed with
     * this key, or was changed; or ENOMEM. */
    int (*unseal)(const unsigned char key[LITHOPS__SEAL_KEY_BYTES], lithops_bytes sealed,
                  unsigned char *ret_message);
};

/* In hexadecimal, lower case. */
static inline void lithops__hash_to_hex(const unsigned char hash[LITHOPS__SHA256_BYTES],
                                        char ret_hex[LITHOPS__HEX_HASH])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < LITHOPS__SHA256_BYTES; i++) {
        ret_hex[2 * i] = digits[hash[i] >> 4];
        ret_hex[2 * i + 1] = digits[hash[i] & 15];
    }
    ret_hex[LITHOPS__HEX_HASH - 1] = '\0';
}

/* SHA-256 in hexadecimal. 0, or ENOMEM. */
static inline int lithops__hex_sha256(const struct lithops__crypto_api *crypto, lithops_bytes data,
                                      char ret_hex[LITHOPS__HEX_HASH])
{
    unsigned char hash[LITHOPS__SHA256_BYTES];
    int failed = crypto->sha256(data, hash);
    if (!failed)
        lithops__hash_to_hex(hash, ret_hex);
    return failed;
}

#endif
