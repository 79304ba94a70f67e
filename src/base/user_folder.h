/* SPDX-License-Identifier: Apache-2.0 */
/* Where a user's files are kept, as the XDG Base Directory Specification says. */
#ifndef LITHOPS_BASE_USER_FOLDER_H
#define LITHOPS_BASE_USER_FOLDER_H

#include <stddef.h>

/* The path of a folder, which need not exist: `lithops` in the folder that the environment variable
 * names, else in `otherwise` of the user's home. Thread-safe, as getenv(3) is. */
void lithops__user_folder(char *buf, size_t size, const char *variable, const char *otherwise);

/* That of files that can be made again: $XDG_CACHE_HOME/lithops, else ~/.cache/lithops. */
void lithops__cache_folder(char *buf, size_t size);

/* Create the folder `path` and its parents, for their owner only. What exists stays as it is.
 * `path` is changed meanwhile. Returns 0, or an errno. */
int lithops__make_folders(char *path);

#endif
