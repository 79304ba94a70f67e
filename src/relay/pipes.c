/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/pipes.h"

#include "ipc/area.h"
#include "wire/message.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    MOST_PIPES = 32,        /* the system limits how much of a user's pipes may be this long */
    PIPE_BYTES = 512 << 10, /* a page for the header, and those of a piece */
};

void lithops__pipes_init(struct lithops__pipes *pipes)
{
    *pipes = (struct lithops__pipes){.idle = NULL};
    pthread_mutex_init(&pipes->lock, NULL);
}

static void free_pipe(struct lithops__pipe *pipe)
{
    if (pipe->read_fd >= 0)
        close(pipe->read_fd);
    if (pipe->write_fd >= 0)
        close(pipe->write_fd);
    free(pipe);
}

void lithops__pipes_deinit(struct lithops__pipes *pipes)
{
    while (pipes->idle) {
        struct lithops__pipe *pipe = pipes->idle;
        pipes->idle = pipe->next;
        free_pipe(pipe);
    }
    pthread_mutex_destroy(&pipes->lock);
}

static struct lithops__pipe *new_pipe(void)
{
    int ends[2];
    struct lithops__pipe *pipe = calloc(1, sizeof *pipe);
    if (!pipe || pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
        free(pipe);
        return NULL;
    }
    pipe->read_fd = lithops__high_fd(ends[0]);
    pipe->write_fd = lithops__high_fd(ends[1]);
    if (pipe->read_fd >= 0 && pipe->write_fd >= 0 &&
        fcntl(pipe->write_fd, F_SETPIPE_SZ, PIPE_BYTES) >= PIPE_BYTES)
        return pipe;
    free_pipe(pipe);
    return NULL;
}

static struct lithops__pipe *take(struct lithops__pipes *pipes)
{
    pthread_mutex_lock(&pipes->lock);
    struct lithops__pipe *pipe = pipes->idle;
    bool may_make = !pipe && pipes->count < MOST_PIPES;
    if (pipe)
        pipes->idle = pipe->next;
    pipes->count += may_make;
    pthread_mutex_unlock(&pipes->lock);
    if (!may_make)
        return pipe;
    pipe = new_pipe();
    if (!pipe) {
        pthread_mutex_lock(&pipes->lock);
        pipes->count--;
        pthread_mutex_unlock(&pipes->lock);
    }
    return pipe;
}

void lithops__pipes_give_back(struct lithops__pipes *pipes, struct lithops__pipe *pipe)
{
    if (!pipe)
        return;
    bool is_empty = pipe->len == 0;
    pthread_mutex_lock(&pipes->lock);
    if (is_empty) {
        pipe->next = pipes->idle;
        pipes->idle = pipe;
    } else {
        pipes->count--;
    }
    pthread_mutex_unlock(&pipes->lock);
    if (!is_empty)
        free_pipe(pipe);
}

struct lithops__pipe *lithops__pipes_fill(struct lithops__pipes *pipes, lithops_bytes header,
                                          int fd, uint64_t offset, size_t len)
{
    struct lithops__pipe *pipe = take(pipes);
    if (!pipe)
        return NULL;
    loff_t at = (loff_t)offset, end = at + (loff_t)len;
    ssize_t n = write(pipe->write_fd, header.ptr, header.len);
    pipe->len = n > 0 ? (size_t)n : 0;
    bool good = n == (ssize_t)header.len;
    while (good && at < end) {
        n = splice(fd, &at, pipe->write_fd, NULL, (size_t)(end - at), SPLICE_F_MOVE);
        good = n > 0 || (n < 0 && errno == EINTR);
        pipe->len += n > 0 ? (size_t)n : 0;
    }
    if (good)
        return pipe;
    lithops__pipes_give_back(pipes, pipe);
    return NULL;
}
