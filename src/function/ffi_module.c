/* SPDX-License-Identifier: Apache-2.0 */
/* The ffi module over libffi: describes a signature once, then calls through the description. */
#include "function/ffi_module.h"

#include <ffi.h>
#include <stdlib.h>

struct prepared {
    ffi_cif cif;
    unsigned count;
    ffi_type *types[LITHOPS__FFI_CELLS];
    enum lithops__c_type result;
};

__attribute__((visibility("default"))) lithops__ffi_prepare_fn lithops__ffi_prepare;
__attribute__((visibility("default"))) lithops__ffi_call_fn lithops__ffi_call;

static ffi_type *type_of(enum lithops__c_type type)
{
    switch (type) {
    case LITHOPS__C_VOID:
        return &ffi_type_void;
    case LITHOPS__C_INT:
        return &ffi_type_sint;
    case LITHOPS__C_UINT:
        return &ffi_type_uint;
    case LITHOPS__C_LONG:
        return &ffi_type_slong;
    case LITHOPS__C_ULONG:
        return &ffi_type_ulong;
    case LITHOPS__C_INT32:
        return &ffi_type_sint32;
    case LITHOPS__C_INT64:
        return &ffi_type_sint64;
    case LITHOPS__C_UINT32:
        return &ffi_type_uint32;
    case LITHOPS__C_UINT64:
        return &ffi_type_uint64;
    case LITHOPS__C_FLOAT:
        return &ffi_type_float;
    case LITHOPS__C_DOUBLE:
        return &ffi_type_double;
    case LITHOPS__C_STRING:
    case LITHOPS__C_BYTES:
        break;
    }
    return &ffi_type_pointer;
}

void *lithops__ffi_prepare(const struct lithops__signature *signature)
{
    struct prepared *prepared = calloc(1, sizeof *prepared);
    if (!prepared)
        return NULL;
    prepared->result = signature->result;
    for (size_t i = 0; i < signature->count; i++) {
        prepared->types[prepared->count++] = type_of(signature->arguments[i]);
        if (signature->arguments[i] == LITHOPS__C_BYTES)
            prepared->types[prepared->count++] =
                sizeof(size_t) == sizeof(uint64_t) ? &ffi_type_uint64 : &ffi_type_uint32;
    }
    if (ffi_prep_cif(&prepared->cif, FFI_DEFAULT_ABI, prepared->count, type_of(signature->result),
                     prepared->types) != FFI_OK) {
        free(prepared);
        return NULL;
    }
    return prepared;
}

void lithops__ffi_call(void *prepared_, void (*function)(void), union lithops__ffi_cell *cells,
                       union lithops__ffi_cell *ret_result)
{
    struct prepared *prepared = prepared_;
    void *values[LITHOPS__FFI_CELLS];
    union {
        ffi_arg word; /* integers narrower than a register come widened to one */
        union lithops__ffi_cell cell;
    } result = {0};
    for (unsigned i = 0; i < prepared->count; i++)
        values[i] = &cells[i];
    ffi_call(&prepared->cif, function, &result, values);
    switch (prepared->result) {
    case LITHOPS__C_INT:
        ret_result->i = (int)result.word;
        break;
    case LITHOPS__C_UINT:
        ret_result->u = (unsigned)result.word;
        break;
    case LITHOPS__C_INT32:
        ret_result->i32 = (int32_t)result.word;
        break;
    case LITHOPS__C_UINT32:
        ret_result->u32 = (uint32_t)result.word;
        break;
    default:
        *ret_result = result.cell;
        break;
    }
}
