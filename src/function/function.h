/* SPDX-License-Identifier: Apache-2.0 */
/* Functions as the engine sees them.
 *
 * Three fields of a lithops_function travel to a worker: `library` (absolute path, or NULL for a
 * function of the program), `symbol`, and `signature` (or NULL). There lithops__function_load()
 * makes them callable. The client reads libraries as files and never runs their code. */
#ifndef LITHOPS_FUNCTION_INTERNAL_H
#define LITHOPS_FUNCTION_INTERNAL_H

#include <lithops/function.h>

/* For every call that takes a function. 0; LITHOPS_EUSAGE when it is NULL, was freed, or is no
 * lithops_function at all. */
int lithops__function_check(const lithops_function *function, lithops_error *err);

/* The program's function of that name, or NULL. Takes a lock and walks a list: look it up once
 * per job. Thread-safe. */
const lithops_function *lithops__function_find(const char *name);

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
