/* SPDX-License-Identifier: Apache-2.0 */
/* The ffi module: calls of plain C functions by a signature known only at run time, with libffi.
 *
 * It uses nothing of the engine, so that it loads whatever way the engine was loaded. */
#ifndef LITHOPS_FUNCTION_FFI_MODULE_H
#define LITHOPS_FUNCTION_FFI_MODULE_H

#include "function/signature.h"

/* One C argument, or the result, at the width of its type. `bytes` are two arguments: pointer,
 * then size. */
union lithops__ffi_cell {
    int i;
    unsigned u;
    long l;
    unsigned long ul;
    int32_t i32;
    int64_t i64;
    uint32_t u32;
    uint64_t u64;
    float f;
    double d;
    const void *pointer;
    size_t size;
};
enum { LITHOPS__FFI_CELLS = 2 * LITHOPS__SIGNATURE_MAX };

/* lithops__ffi_prepare: what lithops__ffi_call needs, once per signature, for free(); NULL when
 * memory is out. */
typedef void *lithops__ffi_prepare_fn(const struct lithops__signature *signature);
typedef void lithops__ffi_call_fn(void *prepared, void (*function)(void),
                                  union lithops__ffi_cell *cells,
                                  union lithops__ffi_cell *ret_result);

#endif
