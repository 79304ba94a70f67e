/* SPDX-License-Identifier: Apache-2.0 */
/* Answers that lie in pipes: a header, and pages of a file, which go from the page cache to a link
 * without being copied. Thread-safe. */
#ifndef LITHOPS_RELAY_PIPES_H
#define LITHOPS_RELAY_PIPES_H

#include <lithops/base.h>

#include <pthread.h>

struct lithops__pipe {
    struct lithops__pipe *next;
    int read_fd, write_fd;
    size_t len; /* of what is in it */
};

struct lithops__pipes {
    pthread_mutex_t lock;
    struct lithops__pipe *idle; /* [L] */
    unsigned count;             /* [L] */
};

void lithops__pipes_init(struct lithops__pipes *pipes);
void lithops__pipes_deinit(struct lithops__pipes *pipes);
/* A pipe with these bytes and `len` bytes of the file from `offset`, which begins a page. May wait
 * for the disk. NULL: the file has fewer, or it cannot be done; read it. */
struct lithops__pipe *lithops__pipes_fill(struct lithops__pipes *pipes, lithops_bytes header,
                                          int fd, uint64_t offset, size_t len);
/* It is not needed any more, empty or not. NULL is fine. */
void lithops__pipes_give_back(struct lithops__pipes *pipes, struct lithops__pipe *pipe);

#endif
