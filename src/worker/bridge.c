/* SPDX-License-Identifier: Apache-2.0 */
/* Bridges from calls to plain C functions.
 *
 * The input of a call is bound by position: the items of a list, or one scalar; null for a
 * function without arguments; then the items of extra_args. A map has no positions and is refused.
 * Nothing is cut or guessed: an int that the C type cannot hold, a string with a NUL inside, a
 * missing or surplus argument fails the call with LITHOPS_EARG and says which one.
 *
 * A string result is copied and never freed: to whom it belongs, no signature can say.
 *
 * Bridges live in a list, so that a worker which runs a thousand jobs of one function has one. */
#include "worker/bridge.h"

#include "base/error.h"
#include "base/module.h"
#include "function/ffi_module.h"
#include "function/signature.h"
#include "value/value.h"
#include "worker/load.h"

#include <lithops/call.h>

#include <float.h>
#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct bridge {
    struct bridge *next;
    char *name;
    void (*function)(void);
    struct lithops__signature signature;
    void *prepared;
    lithops__ffi_call_fn *ffi_call;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct bridge *bridges; /* under lock; entries never change */

/* ---- arguments ------------------------------------------------------------------------------- */

struct int_range {
    int64_t min, max;
};
/* Values are 64-bit and signed, so nothing above INT64_MAX can arrive. */
static const struct int_range int_ranges[] = {
    [LITHOPS__C_INT] = {INT_MIN, INT_MAX},
    [LITHOPS__C_LONG] = {LONG_MIN, LONG_MAX},
    [LITHOPS__C_INT32] = {INT32_MIN, INT32_MAX},
    [LITHOPS__C_INT64] = {INT64_MIN, INT64_MAX},
    [LITHOPS__C_UINT] = {0, UINT_MAX},
    [LITHOPS__C_UINT32] = {0, UINT32_MAX},
    [LITHOPS__C_ULONG] = {0, ULONG_MAX < INT64_MAX ? (int64_t)ULONG_MAX : INT64_MAX},
    [LITHOPS__C_UINT64] = {0, INT64_MAX},
};

static const char *wanted_type(enum lithops__c_type type)
{
    switch (type) {
    case LITHOPS__C_FLOAT:
    case LITHOPS__C_DOUBLE:
        return "double";
    case LITHOPS__C_STRING:
        return "string";
    case LITHOPS__C_BYTES:
        return "bytes";
    default:
        return "int";
    }
}

static int wrong_type(const struct bridge *bridge, size_t index, const lithops_value *value,
                      lithops_error *err)
{
    return lithops__fail(err, LITHOPS_EARG, "argument %zu of %s: %s expected, %s given", index + 1,
                         bridge->name, wanted_type(bridge->signature.arguments[index]),
                         lithops_type_name(lithops_value_type(value)));
}

static int bind_int(const struct bridge *bridge, size_t index, const lithops_value *value,
                    union lithops__ffi_cell *cell, lithops_error *err)
{
    enum lithops__c_type type = bridge->signature.arguments[index];
    if (lithops_value_type(value) != LITHOPS_INT)
        return wrong_type(bridge, index, value, err);
    int64_t i = lithops_value_get_int(value);
    if (i < int_ranges[type].min || i > int_ranges[type].max)
        return lithops__fail(err, LITHOPS_EARG,
                             "argument %zu of %s: %lld is outside of %lld .. %lld", index + 1,
                             bridge->name, (long long)i, (long long)int_ranges[type].min,
                             (long long)int_ranges[type].max);
    switch (type) {
    case LITHOPS__C_INT:
        cell->i = (int)i;
        break;
    case LITHOPS__C_UINT:
        cell->u = (unsigned)i;
        break;
    case LITHOPS__C_LONG:
        cell->l = (long)i;
        break;
    case LITHOPS__C_ULONG:
        cell->ul = (unsigned long)i;
        break;
    case LITHOPS__C_INT32:
        cell->i32 = (int32_t)i;
        break;
    case LITHOPS__C_UINT32:
        cell->u32 = (uint32_t)i;
        break;
    case LITHOPS__C_UINT64:
        cell->u64 = (uint64_t)i;
        break;
    default:
        cell->i64 = i;
        break;
    }
    return 0;
}

static int bind_real(const struct bridge *bridge, size_t index, const lithops_value *value,
                     union lithops__ffi_cell *cell, lithops_error *err)
{
    lithops_type given = lithops_value_type(value);
    if (given != LITHOPS_DOUBLE && given != LITHOPS_INT)
        return wrong_type(bridge, index, value, err);
    double d = lithops_value_get_double(value);
    if (bridge->signature.arguments[index] == LITHOPS__C_DOUBLE) {
        cell->d = d;
        return 0;
    }
    if (isfinite(d) && fabs(d) > FLT_MAX)
        return lithops__fail(err, LITHOPS_EARG, "argument %zu of %s: %g is too large for a float",
                             index + 1, bridge->name, d);
    cell->f = (float)d;
    return 0;
}

/* The cells of one argument. @return how many there are, or a code */
static int bind(const struct bridge *bridge, size_t index, const lithops_value *value,
                union lithops__ffi_cell *cells, lithops_error *err)
{
    enum lithops__c_type type = bridge->signature.arguments[index];
    lithops_type given = lithops_value_type(value);
    lithops_bytes bytes = lithops_value_get_bytes(value);
    int code;
    switch (type) {
    case LITHOPS__C_FLOAT:
    case LITHOPS__C_DOUBLE:
        code = bind_real(bridge, index, value, cells, err);
        return code != 0 ? code : 1;
    case LITHOPS__C_STRING:
        if (given != LITHOPS_STRING)
            return wrong_type(bridge, index, value, err);
        if (memchr(bytes.ptr, '\0', bytes.len))
            return lithops__fail(err, LITHOPS_EARG,
                                 "argument %zu of %s: the string holds a NUL; give bytes",
                                 index + 1, bridge->name);
        cells[0].pointer = lithops_value_get_string(value);
        return 1;
    case LITHOPS__C_BYTES:
        if (given != LITHOPS_BYTES && given != LITHOPS_STRING)
            return wrong_type(bridge, index, value, err);
        cells[0].pointer = bytes.ptr;
        cells[1].size = bytes.len;
        return 2;
    default:
        code = bind_int(bridge, index, value, cells, err);
        return code != 0 ? code : 1;
    }
}

/* A call's arguments by position: those of the input, then those of extra_args. */
struct arguments {
    const lithops_value *lists[2]; /* input, extra_args; NULL: none */
    const lithops_value *scalar;   /* the input, unless it is a list */
    size_t counts[2];
};

static int collect(const struct bridge *bridge, const lithops_value *input,
                   const lithops_value *extra_args, struct arguments *ret, lithops_error *err)
{
    const lithops_value *given[2] = {input, extra_args};
    for (int i = 0; i < 2; i++) {
        lithops_type type = lithops_value_type(given[i]);
        if (type == LITHOPS_MAP)
            return lithops__fail(
                err, LITHOPS_EARG,
                "%s is a plain C function, its arguments have no names: give %s as "
                "a list, not as a map",
                bridge->name, i == 0 ? "them" : "extra_args");
        if (type == LITHOPS_LIST) {
            ret->lists[i] = given[i];
            ret->counts[i] = lithops_value_size(given[i]);
        } else if (i == 0 && (type != LITHOPS_NULL || bridge->signature.count > 0)) {
            ret->scalar = given[i];
            ret->counts[i] = 1;
        }
    }
    return 0;
}

static const lithops_value *argument(const struct arguments *arguments, size_t index)
{
    if (index < arguments->counts[0])
        return arguments->scalar ? arguments->scalar : lithops_value_at(arguments->lists[0], index);
    return lithops_value_at(arguments->lists[1], index - arguments->counts[0]);
}

static int bind_all(const struct bridge *bridge, const lithops_value *input,
                    const lithops_value *extra_args, union lithops__ffi_cell *cells,
                    lithops_error *err)
{
    struct arguments arguments = {0};
    int code = collect(bridge, input, extra_args, &arguments, err);
    if (code != 0)
        return code;
    size_t given = arguments.counts[0] + arguments.counts[1], count = bridge->signature.count;
    if (given != count)
        return lithops__fail(err, LITHOPS_EARG, "%s takes %zu argument%s, %zu given", bridge->name,
                             count, count == 1 ? "" : "s", given);
    for (size_t i = 0; i < count; i++) {
        int used = bind(bridge, i, argument(&arguments, i), cells, err);
        if (used < 0)
            return used;
        cells += used;
    }
    return 0;
}

/* ---- result ---------------------------------------------------------------------------------- */

static int unsigned_result(const struct bridge *bridge, uint64_t u,
                           struct lithops__bridge_result *ret, lithops_error *err)
{
    if (u > INT64_MAX)
        return lithops__fail(err, LITHOPS_ECALL,
                             "the result of %s, %llu, is larger than an int can be", bridge->name,
                             (unsigned long long)u);
    ret->i = (int64_t)u;
    return 0;
}

static int string_result(const struct bridge *bridge, const char *s,
                         struct lithops__bridge_result *ret, lithops_error *err)
{
    ret->type = s ? LITHOPS_STRING : LITHOPS_NULL;
    ret->s = s;
    if (s && !lithops__utf8_valid(s, strlen(s)))
        return lithops__fail(err, LITHOPS_ECALL,
                             "the result of %s is not UTF-8 text; return bytes from a function "
                             "declared with LITHOPS_FUNCTION",
                             bridge->name);
    return 0;
}

static int convert(const struct bridge *bridge, const union lithops__ffi_cell *result,
                   struct lithops__bridge_result *ret, lithops_error *err)
{
    *ret = (struct lithops__bridge_result){.type = LITHOPS_INT};
    switch (bridge->signature.result) {
    case LITHOPS__C_INT:
        ret->i = result->i;
        break;
    case LITHOPS__C_LONG:
        ret->i = result->l;
        break;
    case LITHOPS__C_INT32:
        ret->i = result->i32;
        break;
    case LITHOPS__C_INT64:
        ret->i = result->i64;
        break;
    case LITHOPS__C_UINT:
        ret->i = result->u;
        break;
    case LITHOPS__C_UINT32:
        ret->i = result->u32;
        break;
    case LITHOPS__C_ULONG:
        return unsigned_result(bridge, result->ul, ret, err);
    case LITHOPS__C_UINT64:
        return unsigned_result(bridge, result->u64, ret, err);
    case LITHOPS__C_FLOAT:
        ret->type = LITHOPS_DOUBLE;
        ret->d = (double)result->f;
        break;
    case LITHOPS__C_DOUBLE:
        ret->type = LITHOPS_DOUBLE;
        ret->d = result->d;
        break;
    case LITHOPS__C_STRING:
        return string_result(bridge, result->pointer, ret, err);
    case LITHOPS__C_VOID:
    case LITHOPS__C_BYTES: /* refused by lithops__signature_parse() */
        ret->type = LITHOPS_NULL;
        break;
    }
    return 0;
}

/* ---- the bridge ------------------------------------------------------------------------------ */

int lithops__bridge_call(const void *bridge_, const lithops_value *input,
                         const lithops_value *extra_args, struct lithops__bridge_result *ret_result,
                         lithops_error *err)
{
    const struct bridge *bridge = bridge_;
    union lithops__ffi_cell cells[LITHOPS__FFI_CELLS], result;
    int code = bind_all(bridge, input, extra_args, cells, err);
    if (code != 0)
        return code;
    bridge->ffi_call(bridge->prepared, bridge->function, cells, &result);
    return convert(bridge, &result, ret_result, err);
}

static int bridge_run(lithops_call *call, void *state)
{
    lithops_error err; /* 2 KiB: filled on failure, not cleared for every call */
    struct lithops__bridge_result result;
    if (lithops__bridge_call(state, lithops_call_input(call), lithops_call_extra_args(call),
                             &result, &err) != 0)
        return lithops_fail_error(call, &err);
    switch (result.type) {
    case LITHOPS_INT:
        return lithops_return_int(call, result.i);
    case LITHOPS_DOUBLE:
        return lithops_return_double(call, result.d);
    case LITHOPS_STRING:
        return lithops_return_value(call, lithops_value_string(result.s));
    default:
        return 0;
    }
}

static bool same_signature(const struct lithops__signature *a, const struct lithops__signature *b)
{
    return a->result == b->result && a->count == b->count &&
           memcmp(a->arguments, b->arguments, a->count * sizeof a->arguments[0]) == 0;
}

static struct bridge *find_locked(void (*function)(void),
                                  const struct lithops__signature *signature)
{
    struct bridge *bridge = bridges;
    while (bridge &&
           !(bridge->function == function && same_signature(&bridge->signature, signature)))
        bridge = bridge->next;
    return bridge;
}

static int make(const char *name, void (*function)(void),
                const struct lithops__signature *signature, struct bridge **ret_bridge,
                lithops_error *err)
{
    void *prepare = lithops__module_symbol("ffi", "lithops__ffi_prepare", err);
    void *ffi_call = prepare ? lithops__module_symbol("ffi", "lithops__ffi_call", err) : NULL;
    if (!ffi_call)
        return LITHOPS_EUNSUPPORTED;
    struct bridge *bridge = calloc(1, sizeof *bridge);
    void *prepared = ((lithops__ffi_prepare_fn *)(uintptr_t)prepare)(signature);
    char *name_copy = strdup(name);
    if (!bridge || !prepared || !name_copy) {
        free(bridge);
        free(prepared);
        free(name_copy);
        lithops__fail(err, LITHOPS_ENOMEM, "no memory for function '%s'", name);
        return LITHOPS_ENOMEM;
    }
    *bridge = (struct bridge){.name = name_copy,
                              .function = function,
                              .signature = *signature,
                              .prepared = prepared,
                              .ffi_call = (lithops__ffi_call_fn *)(uintptr_t)ffi_call};
    *ret_bridge = bridge;
    return 0;
}

int lithops__bridge_make(const char *name, void *address,
                         const struct lithops__signature *signature,
                         struct lithops__callable *ret_callable, lithops_error *err)
{
    void (*function)(void) = (void (*)(void))(uintptr_t)address;
    int code = 0;
    pthread_mutex_lock(&lock);
    struct bridge *bridge = find_locked(function, signature);
    if (!bridge && (code = make(name, function, signature, &bridge, err)) == 0) {
        bridge->next = bridges;
        bridges = bridge;
    }
    pthread_mutex_unlock(&lock);
    if (code == 0)
        *ret_callable = (struct lithops__callable){.bridge = bridge_run, .state = bridge};
    return code;
}
