/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crypto_module.h"

#include <errno.h>
#include <limits.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* EVP_sha256() alone is looked up under a lock for each hash. */
static const EVP_MD *sha256_found;
static pthread_once_t sha256_once = PTHREAD_ONCE_INIT;

static void find_sha256(void)
{
    sha256_found = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (!sha256_found)
        sha256_found = EVP_sha256();
}

static const EVP_MD *sha256_type(void)
{
    pthread_once(&sha256_once, find_sha256);
    return sha256_found;
}

static int sha256_fd(int fd, unsigned char ret_hash[LITHOPS__SHA256_BYTES])
{
    enum { BLOCK = 256 << 10 };
    unsigned char *block = malloc(BLOCK);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int failed = ENOMEM;
    ssize_t n;
    if (!block || !context || EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1)
        goto out;
    while ((n = read(fd, block, BLOCK)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            failed = errno;
            goto out;
        }
        if (EVP_DigestUpdate(context, block, (size_t)n) != 1)
            goto out;
    }
    if (EVP_DigestFinal_ex(context, ret_hash, NULL) == 1)
        failed = 0;
out:
    EVP_MD_CTX_free(context);
    free(block);
    return failed;
}

static int sha256(lithops_bytes data, unsigned char ret_hash[LITHOPS__SHA256_BYTES])
{
    return EVP_Digest(data.ptr, data.len, ret_hash, NULL, sha256_type(), NULL) == 1 ? 0 : ENOMEM;
}

enum { HMAC_BLOCK = 64 };

/* The hash of a key's block, each byte of which is changed, and of what follows it. */
static bool hash_keyed(EVP_MD_CTX *context, const unsigned char block[HMAC_BLOCK],
                       unsigned char change, const void *data, size_t len, unsigned char *ret_hash)
{
    unsigned char changed[HMAC_BLOCK];
    for (size_t i = 0; i < sizeof changed; i++)
        changed[i] = block[i] ^ change;
    bool good = EVP_DigestInit_ex(context, sha256_type(), NULL) == 1 &&
                EVP_DigestUpdate(context, changed, sizeof changed) == 1 &&
                EVP_DigestUpdate(context, data, len) == 1 &&
                EVP_DigestFinal_ex(context, ret_hash, NULL) == 1;
    explicit_bzero(changed, sizeof changed);
    return good;
}

/* As in RFC 2104. libcrypto's HMAC() looks for its parts by their names, each time anew: for the
 * short texts that are signed it takes three times as long. */
static int hmac_sha256(lithops_bytes key, lithops_bytes data,
                       unsigned char ret_mac[LITHOPS__SHA256_BYTES])
{
    unsigned char block[HMAC_BLOCK] = {0}, inner[LITHOPS__SHA256_BYTES];
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = context && (key.len <= sizeof block || sha256(key, block) == 0);
    if (key.len && key.len <= sizeof block)
        memcpy(block, key.ptr, key.len);
    good = good && hash_keyed(context, block, 0x36, data.ptr, data.len, inner) &&
           hash_keyed(context, block, 0x5c, inner, sizeof inner, ret_mac);
    explicit_bzero(block, sizeof block);
    EVP_MD_CTX_free(context);
    return good ? 0 : ENOMEM;
}

static int md5(lithops_bytes data, unsigned char ret_hash[LITHOPS__MD5_BYTES])
{
    return EVP_Digest(data.ptr, data.len, ret_hash, NULL, EVP_md5(), NULL) == 1 ? 0 : ENOMEM;
}

static int sha1(lithops_bytes data, unsigned char ret_hash[LITHOPS__SHA1_BYTES])
{
    return EVP_Digest(data.ptr, data.len, ret_hash, NULL, EVP_sha1(), NULL) == 1 ? 0 : ENOMEM;
}

/* libcrypto's context under another name. */
static struct lithops__digest *digest_begin(enum lithops__digest_kind kind)
{
    const EVP_MD *type = kind == LITHOPS__DIGEST_MD5    ? EVP_md5()
                         : kind == LITHOPS__DIGEST_SHA1 ? EVP_sha1()
                                                        : EVP_sha256();
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (context && EVP_DigestInit_ex(context, type, NULL) != 1) {
        EVP_MD_CTX_free(context);
        context = NULL;
    }
    return (struct lithops__digest *)context;
}

static void digest_add(struct lithops__digest *digest, lithops_bytes data)
{
    EVP_DigestUpdate((EVP_MD_CTX *)digest, data.ptr, data.len);
}

static int digest_end(struct lithops__digest *digest, unsigned char *ret_hash, size_t *ret_len)
{
    EVP_MD_CTX *context = (EVP_MD_CTX *)digest;
    unsigned len = 0;
    bool good = !ret_hash || EVP_DigestFinal_ex(context, ret_hash, &len) == 1;
    EVP_MD_CTX_free(context);
    if (ret_len)
        *ret_len = len;
    return good ? 0 : ENOMEM;
}

/* A key with a password is refused, not asked for on the terminal. */
static int no_password(char *buf, int size, int writing, void *user)
{
    (void)buf;
    (void)size;
    (void)writing;
    (void)user;
    return -1;
}

static int rs256(const char *pem, lithops_bytes data,
                 unsigned char ret_signature[LITHOPS__RSA_BYTES], size_t *ret_len)
{
    BIO *text = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = text ? PEM_read_bio_PrivateKey(text, NULL, no_password, NULL) : NULL;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int failed = text && context ? EINVAL : ENOMEM;
    if (key && context && EVP_PKEY_base_id(key) == EVP_PKEY_RSA &&
        (size_t)EVP_PKEY_size(key) <= LITHOPS__RSA_BYTES) {
        *ret_len = LITHOPS__RSA_BYTES;
        bool good = EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
                    EVP_DigestSign(context, ret_signature, ret_len, data.ptr, data.len) == 1;
        failed = good ? 0 : ENOMEM;
    }
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    BIO_free(text);
    return failed;
}

static const unsigned char no_nonce[12];

static int seal(const unsigned char key[LITHOPS__SEAL_KEY_BYTES], lithops_bytes message,
                unsigned char *ret_sealed)
{
    static const unsigned char nothing[1];
    int len = 0, rest = 0;
    if (message.len > INT_MAX)
        return EINVAL;
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    bool good = context && EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), NULL, key, no_nonce) == 1;
    good = good && EVP_EncryptUpdate(context, ret_sealed, &len, message.len ? message.ptr : nothing,
                                     (int)message.len) == 1;
    good = good && EVP_EncryptFinal_ex(context, ret_sealed + len, &rest) == 1;
    good = good && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, LITHOPS__SEAL_TAG_BYTES,
                                       ret_sealed + message.len) == 1;
    EVP_CIPHER_CTX_free(context);
    return good ? 0 : ENOMEM;
}

static int unseal(const unsigned char key[LITHOPS__SEAL_KEY_BYTES], lithops_bytes sealed,
                  unsigned char *ret_message)
{
    unsigned char tag[LITHOPS__SEAL_TAG_BYTES];
    int len = 0, rest = 0;
    if (sealed.len < sizeof tag || sealed.len > INT_MAX)
        return EBADMSG;
    const unsigned char *bytes = sealed.ptr;
    size_t message_len = sealed.len - sizeof tag;
    memcpy(tag, bytes + message_len, sizeof tag);
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    if (!context || EVP_DecryptInit_ex(context, EVP_aes_256_gcm(), NULL, key, no_nonce) != 1) {
        EVP_CIPHER_CTX_free(context);
        return ENOMEM;
    }
    bool good = EVP_DecryptUpdate(context, ret_message, &len, bytes, (int)message_len) == 1 &&
                EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, sizeof tag, tag) == 1 &&
                EVP_DecryptFinal_ex(context, ret_message + len, &rest) == 1;
    EVP_CIPHER_CTX_free(context);
    if (!good)
        explicit_bzero(ret_message, message_len);
    return good ? 0 : EBADMSG;
}

LITHOPS_PUBLIC extern const struct lithops__crypto_api lithops__crypto;
const struct lithops__crypto_api lithops__crypto = {
    .sha256_fd = sha256_fd,
    .sha256 = sha256,
    .hmac_sha256 = hmac_sha256,
    .md5 = md5,
    .sha1 = sha1,
    .digest_begin = digest_begin,
    .digest_add = digest_add,
    .digest_end = digest_end,
    .rs256 = rs256,
    .seal = seal,
    .unseal = unseal,
};
