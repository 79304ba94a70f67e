/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures of plain C functions, as in "double(double,double)". */
#ifndef LITHOPS_FUNCTION_SIGNATURE_H
#define LITHOPS_FUNCTION_SIGNATURE_H

#include <lithops/error.h>

enum { LITHOPS__SIGNATURE_MAX = 16 }; /* arguments */

/* word, enumerator */
#define LITHOPS__C_TYPES(X)                                                                        \
    X("void", LITHOPS__C_VOID)                                                                     \
    X("int", LITHOPS__C_INT)                                                                       \
    X("uint", LITHOPS__C_UINT)                                                                     \
    X("long", LITHOPS__C_LONG)                                                                     \
    X("ulong", LITHOPS__C_ULONG)                                                                   \
    X("int32", LITHOPS__C_INT32)                                                                   \
    X("int64", LITHOPS__C_INT64)                                                                   \
    X("uint32", LITHOPS__C_UINT32)                                                                 \
    X("uint64", LITHOPS__C_UINT64)                                                                 \
    X("float", LITHOPS__C_FLOAT)                                                                   \
    X("double", LITHOPS__C_DOUBLE)                                                                 \
    X("string", LITHOPS__C_STRING) /* const char * */                                              \
    X("bytes", LITHOPS__C_BYTES)   /* const void *, size_t */

enum lithops__c_type {
#define LITHOPS__C_TYPE_ENUM(word, name) name,
    LITHOPS__C_TYPES(LITHOPS__C_TYPE_ENUM)
#undef LITHOPS__C_TYPE_ENUM
};

struct lithops__signature {
    bool takes_call; /* "call": int f(lithops_call *); the rest is unused */
    enum lithops__c_type result;
    size_t count;
    enum lithops__c_type arguments[LITHOPS__SIGNATURE_MAX];
};

/* 0; LITHOPS_EUSAGE, naming the word that is wrong and the ones there are. */
int lithops__signature_parse(const char *text, struct lithops__signature *ret_signature,
                             lithops_error *err);

#endif
