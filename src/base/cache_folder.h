/* SPDX-License-Identifier: Apache-2.0 */
/* Where a user's files are kept that can be made again: as the XDG Base Directory Specification
 * says, $XDG_CACHE_HOME/lithops, else ~/.cache/lithops. */
#ifndef LITHOPS_BASE_CACHE_FOLDER_H
#define LITHOPS_BASE_CACHE_FOLDER_H

#include <stddef.h>

/* The path of the folder, which need not exist. Thread-safe, as getenv(3) is. */
void lithops__cache_folder(char *buf, size_t size);

/* Create the folder `path` and its parents, for their owner only. What exists stays as it is.
 * `path` is changed meanwhile. Returns 0, or an errno. */
int lithops__make_folders(char *path);

#endif
