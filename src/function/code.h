/* SPDX-License-Identifier: Apache-2.0 */
/* Code of a runtime: bytes that a function is made of elsewhere. See <lithops/plugin/runtime.h>. */
#ifndef LITHOPS_FUNCTION_CODE_H
#define LITHOPS_FUNCTION_CODE_H

#include <lithops/function.h>

#include <stdatomic.h>

/* Immutable but for the hint. Lives as long as its lithops_function. */
struct lithops_function_code {
    uint64_t id;         /* from 1, never used again in this process */
    _Atomic size_t hint; /* likely place in a function table; SIZE_MAX: never in one */
    size_t len;
    unsigned char bytes[];
};

#endif
