/* SPDX-License-Identifier: Apache-2.0 */
/* Bridges: plain C functions, called with a call's input. */
#ifndef LITHOPS_WORKER_BRIDGE_H
#define LITHOPS_WORKER_BRIDGE_H

#include "function/signature.h"
#include "worker/load.h"

#include <lithops/value.h>

/* A bridge to the C function at `address`. The same function and signature give the same bridge,
 * which stays for the life of the process. `name` is for messages and is copied. */
int lithops__bridge_make(const char *name, void *address,
                         const struct lithops__signature *signature,
                         struct lithops__callable *ret_callable, lithops_error *err);

/* What a C function gave, by type: LITHOPS_NULL, LITHOPS_INT, LITHOPS_DOUBLE, or LITHOPS_STRING
 * (valid UTF-8, not ours). */
struct lithops__bridge_result {
    lithops_type type;
    int64_t i;
    double d;
    const char *s;
};
/* The bridge without a call: bind, call, convert. LITHOPS_EARG; LITHOPS_ECALL for a result that
 * cannot be returned. */
int lithops__bridge_call(const void *bridge, const lithops_value *input,
                         const lithops_value *extra_args, struct lithops__bridge_result *ret_result,
                         lithops_error *err);

#endif
