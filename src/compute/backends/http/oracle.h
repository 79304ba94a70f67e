/* SPDX-License-Identifier: Apache-2.0 */
/* The API of Oracle's functions, as far as workers need it: a function is looked for, and invoked
 * without waiting for its result, by signed requests. */
#ifndef LITHOPS_COMPUTE_ORACLE_H
#define LITHOPS_COMPUTE_ORACLE_H

#include "base/crypto_module.h"
#include "net/oracle.h"
#include "net/transfer.h"

#include <lithops/error.h>
#include <lithops/value.h>

#include <pthread.h>

struct lithops__oracle_function {
    char *key_id, *pem;
    char *url;         /* of the function, in the API */
    char *path;        /* of it */
    int64_t timeout_s; /* that the configuration says */
    pthread_mutex_t lock;
    /* under lock */
    char *invoke_url; /* NULL: nobody has said it yet */
};

/* From the sections oracle_f and oracle: who signs, and which function. Frees nothing on failure:
 * close does. ECONFIG names what is missing. */
int lithops__oracle_open(struct lithops__oracle_function *function, const lithops_value *settings,
                         lithops_error *err);
void lithops__oracle_close(struct lithops__oracle_function *function);

/* Ask for the function: where it is invoked, unless the configuration says it, and whether it has
 * enough time. @param ret_text  NULL, or a line about it, which the caller frees
 * @return 0; EDENIED, ENOTFOUND, ECONFIG; EBACKEND */
int lithops__oracle_look(struct lithops__oracle_function *function,
                         const struct lithops__transfer_api *http,
                         const struct lithops__crypto_api *crypto,
                         const struct lithops__bounds *bounds, char **ret_text, lithops_error *err);
/* The URL of invocations; the function is asked for if nobody knows it. The caller frees it. */
int lithops__oracle_invoke_url(struct lithops__oracle_function *function,
                               const struct lithops__transfer_api *http,
                               const struct lithops__crypto_api *crypto,
                               const struct lithops__bounds *bounds, char **ret_url,
                               lithops_error *err);

/* Sign a POST of JSON there. */
int lithops__oracle_sign_post(const struct lithops__oracle_function *function,
                              const struct lithops__crypto_api *crypto, const char *url,
                              lithops_bytes body, struct lithops__oracle_signed *ret_signed,
                              lithops_error *err);

#endif
