/* SPDX-License-Identifier: Apache-2.0 */
/* Folder trees as flat lists of keys: "a/b/c" below an open folder, in byte order. */
#ifndef LITHOPS_STORAGE_TREE_H
#define LITHOPS_STORAGE_TREE_H

#include <lithops/error.h>
#include <sys/stat.h>

/* Open the folder path[0, len) below `root` ("" is root itself), for use in *at() calls only.
 * Symbolic links are not followed. With `create`, folders that are missing are made.
 * @return a descriptor, or -errno: -ENOTDIR when a part of the path is not a folder */
int lithops__tree_open(int root, const char *path, size_t len, bool create);

struct lithops__tree_options {
    size_t path_max;   /* longer paths are not visited */
    bool follow_links; /* visit files that symbolic links point to; never folders */
    bool (*hidden)(int folder, const char *name); /* names to skip; may be NULL */
    const char *after; /* only paths greater than this one are visited; NULL: all */
};

/* Visit each regular file below `root` whose path starts with `prefix`, in byte order of whole
 * paths. The visitor may change the tree. Entries that vanish meanwhile are skipped.
 * @return 0; a non-zero result of `visit`, which ends the walk; an error, with err filled */
int lithops__tree_walk(int root, const char *prefix, const struct lithops__tree_options *options,
                       int (*visit)(const char *path, const struct stat *st, void *user),
                       void *user, lithops_error *err);

#endif
