/* SPDX-License-Identifier: Apache-2.0 */
/* Functions that are code of a runtime.
 *
 * In the client such a function is its bytes under a number; the function table stores them once
 * per executor, and a worker passes them to the runtime, which recognises code it has seen by the
 * number. The runtime itself is an ordinary function of the worker's program: `symbol`. */
#include "function/code.h"

#include "base/error.h"

#include <lithops/plugin/runtime.h>

#include <stdlib.h>
#include <string.h>

static uint64_t next_id(void)
{
    static _Atomic uint64_t last;
    return atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
}

lithops_function *lithops_code_function(const char *runtime, const char *name, lithops_bytes code,
                                        lithops_error *err)
{
    if (!runtime || !runtime[0] || !name || (!code.ptr && code.len)) {
        lithops__fail(err, LITHOPS_EUSAGE, "a code function needs a runtime, a name and code");
        return NULL;
    }
    const size_t runtime_len = strlen(runtime) + 1, name_len = strlen(name) + 1;
    lithops_function *function = malloc(sizeof *function + runtime_len + name_len);
    struct lithops_function_code *own =
        code.len < PTRDIFF_MAX - sizeof *own ? malloc(sizeof *own + code.len) : NULL;
    if (!function || !own) {
        free(function);
        free(own);
        lithops__fail(err, LITHOPS_ENOMEM, "out of memory for the code of '%s'", name);
        return NULL;
    }
    char *strings = (char *)(function + 1);
    memcpy(strings, runtime, runtime_len);
    memcpy(strings + runtime_len, name, name_len);
    own->id = next_id();
    atomic_init(&own->hint, SIZE_MAX);
    own->len = code.len;
    if (code.len)
        memcpy(own->bytes, code.ptr, code.len);
    *function = (lithops_function){.magic = LITHOPS_FUNCTION_MAGIC,
                                   .name = strings + runtime_len,
                                   .symbol = strings,
                                   .code = own};
    return function;
}
