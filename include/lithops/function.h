/* SPDX-License-Identifier: Apache-2.0 */
/* Functions: what a worker process can call.
 *
 * A function of the program is declared where it is written:
 *
 *     LITHOPS_FUNCTION(square)
 *     {
 *         int64_t x;
 *         if (lithops_args(call, "I", "x", &x) != 0)
 *             return LITHOPS_EARG;
 *         return lithops_return(call, "I", x * x);
 *     }
 *
 * and then named in calls: lithops_map(fexec, square, ...). The same macro in a shared library
 * makes the function available as "libmath.so:square". The name has external linkage, as any C
 * function has. A `lithops_function` is immutable and thread-safe. */
#ifndef LITHOPS_FUNCTION_H
#define LITHOPS_FUNCTION_H

#include <lithops/error.h>

#ifdef __cplusplus
extern "C" {
#define LITHOPS_EXTERN_C extern "C"
#else
#define LITHOPS_EXTERN_C extern
#endif

/** What a function gets: its input, and the way to return. Valid while the function runs. */
typedef struct lithops_call lithops_call;

/** 0 when the function returned a result (or null); any other value fails the call. */
typedef int lithops_entry(lithops_call *call);

#define LITHOPS_FUNCTION_MAGIC 0x6c697468666e3031u /* "lithfn01" */

/** Made by LITHOPS_FUNCTION or lithops_function_open(); read it through the functions below. */
typedef struct lithops_function {
    uint64_t magic;
    const char *name;    /* "square", or "libmath.so:square" */
    lithops_entry *run;  /* NULL in the client for functions of a library */
    const char *library; /* absolute path of the shared library, or NULL */
    const char *symbol;
    const char *signature;               /* of a plain C function, or NULL */
    const struct lithops_function *next; /* registry of the program */
    struct lithops_function_code *code;  /* of a runtime, or NULL: <lithops/plugin/runtime.h> */
} lithops_function;

/** Put a function into the program's registry; LITHOPS_FUNCTION does it before main(). Of two with
 * one name the first stays, and a warning is logged. Thread-safe. */
LITHOPS_PUBLIC void lithops_function_register(lithops_function *function);
/** Take it out again; LITHOPS_FUNCTION does it when its library is unloaded. Thread-safe. */
LITHOPS_PUBLIC void lithops_function_unregister(lithops_function *function);

#define LITHOPS_FUNCTION(fn)                                                                       \
    LITHOPS_EXTERN_C LITHOPS_PUBLIC lithops_function fn[1];                                        \
    static int lithops_run_##fn(lithops_call *call);                                               \
    __attribute__((constructor)) static void lithops_register_##fn(void)                           \
    {                                                                                              \
        lithops_function_register(fn);                                                             \
    }                                                                                              \
    __attribute__((destructor)) static void lithops_unregister_##fn(void)                          \
    {                                                                                              \
        lithops_function_unregister(fn);                                                           \
    }                                                                                              \
    lithops_function fn[1] = {                                                                     \
        {LITHOPS_FUNCTION_MAGIC, #fn, lithops_run_##fn, NULL, #fn, NULL, NULL, NULL}};             \
    static int lithops_run_##fn(lithops_call *call)

/** Name a function of a shared library, "path.so:symbol" or "path.so:symbol:signature", or one of
 * Python, "package.module:function".
 *
 * `symbol` was declared with LITHOPS_FUNCTION; or it is any C function, and `signature` says how
 * to call it: result and arguments as `r(a,b,...)` out of the words void int uint long ulong
 * int32 int64 uint32 uint64 float double string bytes (pointer and size_t), as in
 * "libm.so.6:pow:double(double,double)"; `call` means int f(lithops_call *).
 * The path is looked up as given, then as dlopen(3) does. The library is read, never run, here.
 * A Python function runs in executors whose worker_command is {"python3", "-m", "lithops._worker"}
 * (which run native functions too), and is looked for there. Plain values go in and out.
 * @return for lithops_function_free(); NULL with LITHOPS_ENOTFOUND (library or symbol, with near
 *         names), LITHOPS_EUSAGE (a wrong spec or signature) */
LITHOPS_PUBLIC lithops_function *lithops_function_open(const char *spec, lithops_error *err);
LITHOPS_PUBLIC void lithops_function_free(lithops_function *function);

#ifdef __cplusplus
}
#endif
#endif
