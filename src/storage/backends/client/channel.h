/* SPDX-License-Identifier: Apache-2.0 */
/* A connection to this process's worker: questions go through a socket, answers come in order
 * through a pipe, into which the worker moves long ones without reading them. */
#ifndef LITHOPS_STORAGE_CLIENT_CHANNEL_H
#define LITHOPS_STORAGE_CLIENT_CHANNEL_H

#include "base/buffer.h"

#include <lithops/plugin/storage.h>

struct lithops__channel {
    int fd;
    int pipe_fd;        /* answers come from it */
    int write_fd;       /* its other end, which goes with the first question; -1: it has gone */
    size_t asked;       /* and not answered */
    size_t left;        /* bytes of the last answer that were not taken */
    uint64_t waited_ns; /* for the last answer */
    bool is_wide;       /* see _widen() */
};

/* All of these return at the op's deadline, or when it is interrupted; then, and after any failure
 * to send or receive, the channel can only be closed. */
int lithops__channel_open(struct lithops__channel *channel, const lithops_storage_op *op);
void lithops__channel_close(struct lithops__channel *channel);
/* The same, but keep it for the next one to open a channel if everything was answered and taken. */
void lithops__channel_give_back(struct lithops__channel *channel);
/* Long answers are to come, two of which its pipe is to hold. */
void lithops__channel_widen(struct lithops__channel *channel);
/* Append a question, whose map it takes, to what is to be sent. */
int lithops__channel_add(struct lithops__buffer *out, lithops_value *map, lithops_bytes bytes,
                         const lithops_storage_op *op);
/* Send `count` questions. */
int lithops__channel_ask(struct lithops__channel *channel, const struct lithops__buffer *out,
                         size_t count, const lithops_storage_op *op);
/* The answer to the oldest open question, once the one before was taken: its map, owned by the
 * caller; its bytes are `left`. A failure on the client's side is one here. */
int lithops__channel_hear(struct lithops__channel *channel, lithops_value **ret_map,
                          const lithops_storage_op *op);
/* The next `len` bytes of the answer, of which there are as many. */
int lithops__channel_take(struct lithops__channel *channel, void *buf, size_t len,
                          const lithops_storage_op *op);
/* Ask one question over a separate channel, and get the map of its answer. */
int lithops__channel_once(lithops_value *question, lithops_value **ret_map,
                          const lithops_storage_op *op);

#endif
