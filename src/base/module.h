/* SPDX-License-Identifier: Apache-2.0 */
/* Modules: parts of the engine that need another library (cairo, curl, libyaml, ...).
 *
 * They lie in lithops/ beside liblithops.so, or in ../lib of a program that holds the engine itself
 * (LITHOPS_MODULE_PATH overrides, but not in a set-user-ID program), and are loaded on first use:
 * loading libcurl alone costs 5 ms, more than a whole program with ten calls. */
#ifndef LITHOPS_BASE_MODULE_H
#define LITHOPS_BASE_MODULE_H

#include <lithops/error.h>

/* The symbol `name` of module `module` ("plot"), which stays loaded. NULL with
 * LITHOPS_EUNSUPPORTED naming what to install, also for a module of another version than the
 * library's. Thread-safe. */
void *lithops__module_symbol(const char *module, const char *name, lithops_error *err);

/* The folder that the modules are in; and the one that holds this library, or the program where
 * that holds the engine itself. Absolute, at most PATH_MAX. */
void lithops__module_folder(char *buf, size_t size);
void lithops__own_folder(char *buf, size_t size);

/* In every module: LITHOPS_VERSION when it was built. lithops_module() in CMake adds
 * module_version.c, which defines it. */
LITHOPS_PUBLIC extern const char lithops_module_version[];

#endif
