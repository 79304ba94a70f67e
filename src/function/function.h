/* SPDX-License-Identifier: Apache-2.0 */
/* Functions as the engine sees them.
 *
 * Three fields of a lithops_function travel to a worker: `library` (absolute path, or NULL for a
 * function of the program), `symbol`, and `signature` (or NULL). There worker/load.c
 * makes them callable. The client reads libraries as files and never runs their code. */
#ifndef LITHOPS_FUNCTION_INTERNAL_H
#define LITHOPS_FUNCTION_INTERNAL_H

#include <lithops/function.h>

/* For every call that takes a function. 0; LITHOPS_EUSAGE when it is NULL, was freed, or is not a
 * lithops_function at all. */
int lithops__function_check(const lithops_function *function, lithops_error *err);

/* The program's function of that name, or NULL. Takes a lock and walks a list: look it up once
 * per job. Thread-safe. */
const lithops_function *lithops__function_find(const char *name);

#endif
