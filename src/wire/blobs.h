/* SPDX-License-Identifier: Apache-2.0 */
/* Blobs: long bytes that arrive in pieces, before the message that they belong to. */
#ifndef LITHOPS_WIRE_BLOBS_H
#define LITHOPS_WIRE_BLOBS_H

#include "wire/intake.h"

#include <stdbool.h>

struct lithops__blob {
    struct lithops__blob *next;
    uint32_t number;
    uint64_t at; /* the receiver's place for it; 0: it has none */
    char *room;  /* NULL: there was none, its bytes are dropped. Where `at` is 0: malloc()'s */
    uint64_t length, filled;
};

/* Room for `size` bytes, and its place for the receiver; NULL and 0: there is none. Room without a
 * place is of malloc(), and freed with the blob. */
typedef void *lithops__blob_room(void *user, uint64_t length, uint64_t *ret_at);

/* A piece came. */
int lithops__blobs_came(struct lithops__blob **blobs, const struct lithops__frame *frame,
                        lithops__blob_room *room, void *user, lithops_error *err);
/* The beginning of a piece came, `left` bytes are missing. *ret_rest: where they go, before
 * anything else is read; unchanged: there is no room, so the piece must come as a whole. */
int lithops__blobs_began(struct lithops__blob **blobs, const struct lithops__frame *frame,
                         size_t left, lithops__blob_room *room, void *user,
                         struct lithops__rest *ret_rest, lithops_error *err);
/* A complete one; NULL: it is incomplete. */
const struct lithops__blob *lithops__blobs_find(const struct lithops__blob *blobs, uint64_t number);
/* Take a complete one; false: it is incomplete. */
bool lithops__blobs_take(struct lithops__blob **blobs, uint64_t number, uint64_t *ret_at);
/* Remove the first one. @return its place; the caller owns the room */
uint64_t lithops__blobs_drop(struct lithops__blob **blobs);

#endif
