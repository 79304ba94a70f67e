/* SPDX-License-Identifier: Apache-2.0 */
/* The API of Oracle's functions, as far as workers need it: a function is looked for, and invoked
 * without waiting for its result, by signed requests. */
#ifndef LITHOPS_COMPUTE_ORACLE_H
#define LITHOPS_COMPUTE_ORACLE_H

#include <pthread.h>
#include <stdint.h>

struct lithops__oracle_function {
    char *key_id, *pem;
    char *url;         /* of the function, in the API */
    char *path;        /* of it */
    int64_t timeout_s; /* that the configuration says */
    pthread_mutex_t lock;
    /* under lock */
    char *invoke_url; /* NULL: nobody has said it yet */
};

#endif
