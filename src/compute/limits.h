/* SPDX-License-Identifier: Apache-2.0 */
/* What the services let a worker have at most, as a table: so what is more is said before the first
 * request. docs/serverless.md shows it. */
#ifndef LITHOPS_COMPUTE_LIMITS_H
#define LITHOPS_COMPUTE_LIMITS_H

#include "config/config.h"

/* 0: none is known. */
struct lithops__limits {
    uint64_t request_s;       /* that a request, and so a worker, may take */
    uint64_t memory_mb;       /* of a container */
    uint64_t body_bytes;      /* of a request */
    double cpus;              /* of a container */
    bool memory_is_of_worker; /* `runtime_memory`; else of each of its processes */
    const char *time_key;     /* which says how long a worker may take; NULL: request_timeout */
};

/* Of a backend; all 0 where nothing is known. */
const struct lithops__limits *lithops__limits_of(const char *backend);
/* The key that says how long a worker of it may take. */
const char *lithops__limits_time_key(const char *backend);
/* The section of a backend asks for no more. LITHOPS_ECONFIG names the key and the limit. */
int lithops__limits_check(const struct lithops__config *config, const char *backend,
                          lithops_error *err);
/* How long a call there may take, and how much memory a process may have, by the table and what is
 * configured; 0: without limit. */
void lithops__limits_of_calls(const struct lithops__config *config, const char *backend,
                              uint64_t *ret_ms, uint64_t *ret_mb);

#endif
