/* SPDX-License-Identifier: Apache-2.0 */
/* Modules: parts of the engine that link a library of their own (cairo, curl, libyaml, ...).
 *
 * They lie in lithops/ beside liblithops.so, or in ../lib of a program that holds the engine itself
 * (LITHOPS_MODULE_PATH overrides), and are loaded on first use: loading libcurl alone costs 5 ms,
 * more than a whole program with ten calls. */
#ifndef LITHOPS_BASE_MODULE_H
#define LITHOPS_BASE_MODULE_H

#include <lithops/error.h>

/* The symbol `name` of module `module` ("plot"), which stays loaded. NULL with
 * LITHOPS_EUNSUPPORTED naming what to install. Thread-safe. */
void *lithops__module_symbol(const char *module, const char *name, lithops_error *err);

#endif
