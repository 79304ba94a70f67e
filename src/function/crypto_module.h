/* SPDX-License-Identifier: Apache-2.0 */
/* The crypto module: SHA-256, with OpenSSL. It uses nothing of the engine. */
#ifndef LITHOPS_FUNCTION_CRYPTO_MODULE_H
#define LITHOPS_FUNCTION_CRYPTO_MODULE_H

/* The hash of what can be read from `fd`. 0, or an errno. */
typedef int lithops__crypto_sha256_fn(int fd, unsigned char ret_hash[32]);

#endif
