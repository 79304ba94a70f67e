/* SPDX-License-Identifier: Apache-2.0 */
/* Where shared libraries are: the dynamic linker's search, without loading anything. */
#ifndef LITHOPS_FUNCTION_LIBRARY_H
#define LITHOPS_FUNCTION_LIBRARY_H

#include "function/elf_file.h"

#include <limits.h>

struct lithops__library {
    char path[PATH_MAX]; /* absolute, no links */
    struct lithops__elf *elf;
};
void lithops__library_deinit(struct lithops__library *library);

/* The library or program in the file `path`. Errors as lithops__elf_open(). */
int lithops__library_open(const char *path, struct lithops__library *ret_library,
                          lithops_error *err);

/* As dlopen(3) finds it: a name with a slash is a path; else what this process has loaded
 * by that name, the search path of the library `parent` that needs it (NULL: none),
 * LD_LIBRARY_PATH, the folders of /etc/ld.so.conf, the system's. Files of another kind of machine
 * are passed by. LITHOPS_ENOTFOUND says where it was looked for. */
int lithops__library_search(const char *name, const struct lithops__library *parent,
                            struct lithops__library *ret_library, lithops_error *err);

/* /lib, /usr/lib, /lib64, /usr/lib64 or below: where a machine's own libraries are. */
bool lithops__path_is_system(const char *path);
/* Behind the last slash. */
const char *lithops__base_name(const char *path);

#endif
