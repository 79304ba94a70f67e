/* SPDX-License-Identifier: Apache-2.0 */
/* Functions that HTTP requests start: those of Google's and Microsoft's clouds. */
#ifndef LITHOPS_COMPUTE_FUNCTIONS_H
#define LITHOPS_COMPUTE_FUNCTIONS_H

#include "compute/compute.h"

/* `build` makes a package; how it is deployed is said. */
extern const struct lithops__runtime_ops lithops__function_runtimes;

/* How a package of that backend is deployed. NULL: it has none. */
const char *lithops__functions_deploy(const char *backend);

#endif
