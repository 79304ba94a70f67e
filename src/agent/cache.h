/* SPDX-License-Identifier: Apache-2.0 */
/* The folder where a user's workers keep the files that clients sent: ~/.cache/lithops or, if that
 * cannot be created, a private folder in /tmp.
 *
 *     objects/<sha256>      one file each
 *     images/<sha256>/name  links to objects: one folder per image, named by the hash of its list
 *     images/<sha256>.lock  locked by workers that use the image; shows when it was last used, and
 *                           has what its files were when they were read (image.c)
 * engine/<hash>/        an engine that a backend sent (compute/backends/vm); its lock file is SUMS
 *
 * Images and engines are removed as a whole, and only if no one holds their locks; an object once
 * no image links it. So what a worker holds stays unchanged, however many workers use the folder,
 * and whenever one is killed. If the file system has no locks, nothing is removed. */
#ifndef LITHOPS_AGENT_CACHE_H
#define LITHOPS_AGENT_CACHE_H

#include <lithops/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lithops__cache {
    int fd; /* descriptor of the folder; -1: not open */
    char path[4096];
    struct lithops__cache_hold *holds;
};

/* Open it; create it if there is none. Closing it releases everything it holds. */
int lithops__cache_open(struct lithops__cache *cache, lithops_error *err);
void lithops__cache_close(struct lithops__cache *cache);
/* Hold an image, which need not exist yet, until the cache is closed. *ret_fd is its lock file. */
int lithops__cache_hold(struct lithops__cache *cache, const char *image, int *ret_fd,
                        lithops_error *err);
/* Hold the engine that this process runs, if it is in the cache. */
void lithops__cache_hold_engine(struct lithops__cache *cache);
/* A name in objects/ that no one else uses, for a link on its way to another name. */
void lithops__cache_new_name(const char *sha256, char *buf, size_t size);
/* Create such a file, for a transfer, and lock it: what is not locked is removed as the remainder
 * of one that was interrupted. Its descriptor; -1: errno says why not. */
int lithops__cache_new_file(const struct lithops__cache *cache, const char *sha256, char *name,
                            size_t size);

/* Remove what is useless, then the least recently used until `most_bytes` are left. */
struct lithops__cache_trimmed {
    uint64_t bytes, left_bytes; /* removed; still there */
};
struct lithops__cache_trimmed lithops__cache_trim(const struct lithops__cache *cache,
                                                  uint64_t most_bytes, bool dry_run);

/* Remove whatever no worker uses from all caches of this user. Thread-safe. */
struct lithops__cache_trimmed lithops__cache_clean(bool dry_run);

#endif
