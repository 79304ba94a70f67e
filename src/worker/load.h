/* SPDX-License-Identifier: Apache-2.0 */
/* From a function that has travelled to something that can be called. */
#ifndef LITHOPS_WORKER_LOAD_H
#define LITHOPS_WORKER_LOAD_H

#include <lithops/function.h>

/* What a worker runs: a function that takes the call itself, or a bridge to a plain C function.
 * Plain memory, valid for the life of the process (libraries are never unloaded). */
struct lithops__callable {
    lithops_entry *run;                             /* used when bridge is NULL */
    int (*bridge)(lithops_call *call, void *state); /* binds the input by a signature */
    void *state;
};
static inline int lithops__callable_run(const struct lithops__callable *callable,
                                        lithops_call *call)
{
    return callable->bridge ? callable->bridge(call, callable->state) : callable->run(call);
}

/* In a worker: load the library (its constructors run here) and find the symbol.
 * @param library    absolute path; NULL: `symbol` is a function of the program
 * @param signature  as in lithops_function_open(); NULL: `symbol` was made by LITHOPS_FUNCTION
 * Once per job, the caller keeps the result. LITHOPS_ENOTFOUND (no such function, or the loader's
 * own text for a library that cannot be loaded), LITHOPS_EUSAGE (bad signature),
 * LITHOPS_EUNSUPPORTED (a plain C function, and the ffi module is not there). Thread-safe. */
int lithops__function_load(const char *library, const char *symbol, const char *signature,
                           struct lithops__callable *ret_callable, lithops_error *err);

#endif
