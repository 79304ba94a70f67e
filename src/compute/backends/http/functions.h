/* SPDX-License-Identifier: Apache-2.0 */
/* Functions that HTTP requests start: those of Google's and Microsoft's clouds. */
#ifndef LITHOPS_COMPUTE_FUNCTIONS_H
#define LITHOPS_COMPUTE_FUNCTIONS_H

#include "compute/compute.h"

/* `build` makes a package; how it is deployed is said. */
extern const struct lithops__runtime_ops lithops__function_runtimes;

enum { LITHOPS__FUNCTIONS_DEPLOY = 512 };

/* How a package of that backend is deployed, so that a request may take `timeout_s`: `buf`. NULL:
 * it has none. */
const char *lithops__functions_deploy(const char *backend, long long timeout_s,
                                      char buf[LITHOPS__FUNCTIONS_DEPLOY]);

#endif
