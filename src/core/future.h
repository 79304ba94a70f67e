/* SPDX-License-Identifier: Apache-2.0 */
/* The handle of one call. */
#ifndef LITHOPS_CORE_FUTURE_H
#define LITHOPS_CORE_FUTURE_H

#include <lithops/future.h>
#include <lithops/value.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct lithops__job;

struct lithops_future {
    _Atomic uint32_t refs;
    bool embedded; /* in its job's `handles`; else allocated */
    struct lithops__job *job;
    uint64_t index;
    _Atomic(lithops_value *) value; /* the result, once somebody asked for it as a value */
};

#endif
