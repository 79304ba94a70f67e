/* SPDX-License-Identifier: Apache-2.0 */
/* Moving a large object by parts, several at once.
 *
 * A job says what the next part is, and moves a part. The threads of a crew take parts until there
 * are none, or until one has failed. Memory is bounded: a thread has one part at a time. */
#ifndef LITHOPS_STORAGE_CREW_H
#define LITHOPS_STORAGE_CREW_H

#include "storage/handle.h"

struct lithops__part {
    size_t number; /* 0, 1, ... in the order in which they are taken */
    uint64_t offset;
    size_t len;
    const void *data;    /* what is sent */
    unsigned char *room; /* the thread's buffer, for its part; lithops__part_room() */
    size_t room_size;
};

struct lithops__crew_job {
    /* Fill *part; `*ret_more` false: there are none. One thread at a time. May block, within
     * `bounds`. */
    int (*take)(void *user, struct lithops__part *part, bool *ret_more,
                const struct lithops__bounds *bounds, lithops_error *err);
    /* Many threads at once. */
    int (*move)(void *user, struct lithops__part *part, const struct lithops__bounds *bounds,
                lithops_error *err);
    void *user;
};

/* Run until there are no more parts. The storage's `interrupted` is asked by the calling thread
 * alone. @return 0, or the first failure, when all threads have ended */
int lithops__crew_run(const lithops_storage *storage, const struct lithops__crew_job *job,
                      size_t threads, uint64_t deadline_ns, lithops_error *err);

/* Room for `size` bytes in part->room, its contents undefined. NULL, and *err. */
unsigned char *lithops__part_room(struct lithops__part *part, size_t size, lithops_error *err);

#endif
