/* SPDX-License-Identifier: Apache-2.0 */
/* The crypto module over OpenSSL's libcrypto. */
#include "function/crypto_module.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((visibility("default"))) lithops__crypto_sha256_fn lithops__crypto_sha256;

int lithops__crypto_sha256(int fd, unsigned char ret_hash[32])
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
