/* SPDX-License-Identifier: Apache-2.0 */
/* The memory file, mapped into this process. */
#ifndef LITHOPS_IPC_AREA_H
#define LITHOPS_IPC_AREA_H

#include "ipc/layout.h"

#include <lithops/error.h>

struct lithops__area {
    int fd; /* close-on-exec, at least 10: worker processes get it by dup2 */
    char *base;
    ino_t
        inode; /* of the file: a function may close the descriptor and get another at its number */
    size_t total_bytes;
    struct lithops__control *control;
    struct lithops__span *spans;
    struct lithops__range *ranges;
    struct lithops__function_slot *functions;
};

/* Make an area for `max_workers` worker processes that may take `memory_limit` bytes in all.
 * LITHOPS_ENOSPACE when descriptors, address space or memory are used up. */
int lithops__area_create(struct lithops__area *area, const char *executor_id, uint32_t max_workers,
                         uint64_t memory_limit, lithops_error *err);
/* Map another process's area. Takes `fd`, also on failure. LITHOPS_EPARSE when it is not an area,
 * or of another version. */
int lithops__area_attach(struct lithops__area *area, int fd, lithops_error *err);
/* The same, read-only: for inspecting jobs. */
int lithops__area_peek(struct lithops__area *area, int fd, lithops_error *err);
/* The descriptor is still that of the file. */
bool lithops__area_has_fd(const struct lithops__area *area);
/* Worker: keep the file at a high, close-on-exec descriptor, out of the way of functions. */
int lithops__area_move_fd(struct lithops__area *area);
void lithops__area_detach(struct lithops__area *area);
/* In a child of the process: make later writes private. */
void lithops__area_make_private(const struct lithops__area *area);

/* Take real memory for [offset, offset + len), both multiples of 4096: a file system or a machine
 * that is full says so here, where a first touch would end in SIGBUS. 0 or an errno. */
int lithops__area_commit(struct lithops__area *area, lithops__offset offset, uint64_t len);
/* Give it back. */
void lithops__area_decommit(struct lithops__area *area, lithops__offset offset, uint64_t len);

/* The same descriptor at 10 or above, close-on-exec; closes `fd`. The program may have
 * closed 0, 1 or 2, and would read and write ours there. -1 and errno. */
int lithops__high_fd(int fd);

static inline void *lithops__at(const struct lithops__area *area, lithops__offset offset)
{
    return area->base + offset;
}
static inline lithops__state *lithops__range_states(const struct lithops__area *area,
                                                    const struct lithops__range *range)
{
    return lithops__at(area, range->states);
}
static inline struct lithops__record *lithops__range_records(const struct lithops__area *area,
                                                             const struct lithops__range *range)
{
    return lithops__at(area, range->records);
}
static inline uint32_t *lithops__range_extras(const struct lithops__area *area,
                                              const struct lithops__range *range)
{
    return lithops__at(area, range->extras);
}
/* The bytes behind a payload that is an offset. */
static inline lithops_bytes lithops__payload_bytes(const struct lithops__area *area,
                                                   lithops__offset payload)
{
    const struct lithops__block *block = lithops__at(area, payload - sizeof *block);
    return (lithops_bytes){lithops__at(area, payload), block->len};
}

#endif
