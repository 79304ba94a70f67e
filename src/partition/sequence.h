/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that come one after the other, from a pipe or out of a decompressor, for a reader that now
 * and then looks back a little. */
#ifndef LITHOPS_PARTITION_SEQUENCE_H
#define LITHOPS_PARTITION_SEQUENCE_H

#include "partition/packing.h"

struct lithops__sequence;

/* The packed bytes from `offset` on: *ret_len less than len only at the end. */
typedef int lithops__sequence_input(void *user, uint64_t offset, void *buf, size_t len,
                                    size_t *ret_len, lithops_error *err);

/* `once`: `input` cannot go back. EUNSUPPORTED, which says what is missing; ENOMEM. */
int lithops__sequence_open(enum lithops__packing packing, bool once, lithops__sequence_input *input,
                           void *user, struct lithops__sequence **ret_sequence, lithops_error *err);
void lithops__sequence_close(struct lithops__sequence *sequence); /* NULL is fine */

/* As lithops__source_read(). To go far back, the content is decompressed again from the start; a
 * pipe cannot: EUSAGE. EPARSE: corrupt; EIO: cut off. */
int lithops__sequence_read(struct lithops__sequence *sequence, uint64_t offset, void *buf,
                           size_t len, size_t *ret_len, lithops_error *err);

#endif
