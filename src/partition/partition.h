/* SPDX-License-Identifier: Apache-2.0 */
/* From names of objects to partitions, and from a partition to a stream of whole lines.
 *
 * The client plans: it lists folders and prefixes, looks up sizes, and cuts each object into byte
 * ranges, without reading it. The worker aligns: it moves its range to line boundaries, so that
 * each line is in the chunk where its first byte lies. Both sides follow the one definition of a
 * line in docs/partitions.md, which holds for separators that overlap themselves too. */
#ifndef LITHOPS_PARTITION_H
#define LITHOPS_PARTITION_H

#include "storage/storage.h"

#include <lithops/stream.h>

struct lithops__partition_options {
    int64_t chunk_size;   /* LITHOPS_DEFAULT: one chunk */
    int64_t chunk_number; /* LITHOPS_DEFAULT: by chunk_size; wins over it */
    const char *newline;  /* NULL: plain byte ranges */
};

/* Plan `objects` (a list of names and cloudobjects, see lithops_map()).
 * Objects of zero bytes get one (empty) chunk. Chunk sizes under 1 MiB are logged as a warning.
 * @param storage     where "bucket/key" lives; borrowed
 * @param ret_specs   a list of maps, one per chunk, in order of the objects; the caller's. A spec
 *                    is what lithops__stream_open() takes, and all that a worker needs
 * @param ret_counts  chunks per object, freed with free(); *ret_objects of them
 * @return 0; LITHOPS_ENOTFOUND naming the object; LITHOPS_EUSAGE for sizes of 0 or less */
int lithops__partition_plan(lithops_storage *storage, const lithops_value *objects,
                            const struct lithops__partition_options *options,
                            lithops_value **ret_specs, size_t **ret_counts, size_t *ret_objects,
                            lithops_error *err);

/* Open the stream of one spec; `storage` is borrowed for the stream's life, and may be NULL for
 * paths and URLs. A `spec` that is a string opens the whole object of that name. The stream keeps
 * nothing of spec. Buffers are taken on first use and kept small: a stream over an empty range
 * costs no file access but one open. */
int lithops__stream_open(const lithops_value *spec, lithops_storage *storage,
                         lithops_stream **ret_stream, lithops_error *err);
/* The same in a worker: names and paths are the client's, wherever that is. */
int lithops__stream_open_of_client(const lithops_value *spec, lithops_storage *storage,
                                   lithops_stream **ret_stream, lithops_error *err);
/* The spec of all of the one object that `name` stands for, the caller's; NULL: there is none. */
lithops_value *lithops__stream_find(const lithops_value *name, lithops_storage *storage,
                                    lithops_error *err);
void lithops__stream_close(lithops_stream *stream);

/* True when `value` is a partition spec. */
bool lithops__is_partition(const lithops_value *value);

#endif
