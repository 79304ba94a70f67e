/* SPDX-License-Identifier: Apache-2.0 */
/* Where the bytes of an object come from: a file, a storage, a URL. For one thread at a time. */
#ifndef LITHOPS_PARTITION_SOURCE_H
#define LITHOPS_PARTITION_SOURCE_H

#include "partition/packing.h"
#include "storage/storage.h"

#include <lithops/stream.h>

struct lithops__source;

/* Open what `object` names, by the first of path, url, and bucket and key that it has. Its strings
 * and `storage` are borrowed until the close. Files are opened here, other objects with the first
 * read; a named pipe waits for a writer. A packed object is unpacked as it is read.
 * `of_client`: its path is one of the client, not of this host, where those are not the same.
 * ENOTFOUND, EUSAGE (neither file nor pipe; no storage), EUNSUPPORTED (no libcurl, no zlib). */
int lithops__source_open(const lithops_object *object, enum lithops__packing packing,
                         bool of_client, lithops_storage *storage,
                         struct lithops__source **ret_source, lithops_error *err);
void lithops__source_close(struct lithops__source *source); /* NULL is fine */

/* A file, of this machine or of the client: reading a little costs little, and sizes are exact. */
bool lithops__source_is_file(const struct lithops__source *source);

/* The size, and whether parts can be read without reading all before them. UINT64_MAX: unknown,
 * which only URLs are. */
int lithops__source_size(struct lithops__source *source, uint64_t *ret_size, bool *ret_parts,
                         lithops_error *err);

/* Fill `len` bytes from `offset`; *ret_len less than len only at the end of the object. Pipes and
 * packed objects are read from front to back (sequence.h).
 * `expect_end`: how far the caller will probably read. */
int lithops__source_read(struct lithops__source *source, uint64_t offset, uint64_t expect_end,
                         void *buf, size_t len, size_t *ret_len, lithops_error *err);

#endif
