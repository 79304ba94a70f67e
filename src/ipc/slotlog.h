/* SPDX-License-Identifier: Apache-2.0 */
/* What calls write to their standard output and error: a memory file per worker slot, in the
 * client. A worker process has it as its descriptors 1 and 2, and notes which part is a call's; for
 * a remote worker, its relay writes what it sends. All of it [L]. */
#ifndef LITHOPS_IPC_SLOTLOG_H
#define LITHOPS_IPC_SLOTLOG_H

#include "base/buffer.h"
#include "ipc/table.h"

#define LITHOPS__LOG_NAME "lithops-log" /* of the memory files */

/* The slot's file, made when it is first asked for; -1 with `err` filled. */
int lithops__slotlog_open(struct lithops__table *table, uint32_t slot, lithops_error *err);
/* Its length; 0 where there is none. */
uint64_t lithops__slotlog_size(const struct lithops__table *table, uint32_t slot);
/* Read up to `len` bytes from `begin` on. @return how many */
size_t lithops__slotlog_read(const struct lithops__table *table, uint32_t slot, uint64_t begin,
                             void *buf, size_t len);
/* Write what a call elsewhere has written, as far as there is memory for it, and trim.
 * @param ret_begin, ret_end  where it lies */
void lithops__slotlog_store(struct lithops__table *table, uint32_t slot, lithops_bytes output,
                            uint64_t *ret_begin, uint64_t *ret_end);
/* After a call has written between two positions: give back the memory of what is not kept. That is
 * the middle of what is longer than control->log_call_bytes, and the oldest calls, half of
 * control->log_slot_bytes at a time. Positions stay. By the slot's worker, or for one that is dead;
 * `fd` is the slot's file. */
void lithops__slotlog_trim(int fd, const struct lithops__control *control,
                           struct lithops__worker *line, uint64_t begin, uint64_t end);
/* The first byte of the file is 0; it is not where a call has emptied the file (`tee /dev/stderr`).
 * Positions stay then: what the call has written goes behind all that there was, and that is not
 * kept. By whom trim() is.
 * @param begin  the file's end before the call, @param end  and after it: changed where need be */
void lithops__slotlog_mend(int fd, const struct lithops__control *control,
                           struct lithops__worker *line, uint64_t *begin, uint64_t *end);
/* Append what a call has written between two positions, with a line in place of what was cut. */
void lithops__slotlog_append(const struct lithops__table *table, uint32_t slot, uint64_t begin,
                             uint64_t end, struct lithops__buffer *out);
/* Close the files: the output of calls is gone. */
void lithops__slotlogs_close(struct lithops__table *table);

#endif
