/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/blobs.h"

#include "base/error.h"
#include "wire/message.h"

#include <stdlib.h>
#include <string.h>

/* The blob of a piece that ends `left` bytes behind what is there of it. */
static int find(struct lithops__blob **blobs, const struct lithops__frame *frame, size_t left,
                lithops__blob_room *room, void *user, struct lithops__blob **ret_blob,
                lithops_bytes *ret_piece, lithops_error *err)
{
    uint64_t length = 0;
    int rc = lithops__blob_read(frame, &length, ret_piece, err);
    if (rc != 0)
        return rc;
    struct lithops__blob *blob = *blobs;
    while (blob && blob->number != frame->stream)
        blob = blob->next;
    if (!blob && (frame->flags & LITHOPS__FRAME_FIRST)) {
        if (!(blob = calloc(1, sizeof *blob)))
            return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
        blob->number = frame->stream;
        blob->length = length;
        blob->room = room(user, length, &blob->at);
        blob->next = *blobs;
        *blobs = blob;
    }
    if (!blob || ret_piece->len + left > blob->length - blob->filled)
        return lithops__fail(err, LITHOPS_EPARSE, "a piece of a blob that was never begun");
    *ret_blob = blob;
    return 0;
}

static void put(struct lithops__blob *blob, lithops_bytes piece)
{
    if (blob->room && piece.len)
        memcpy(blob->room + blob->filled, piece.ptr, piece.len);
    blob->filled += piece.len;
}

int lithops__blobs_came(struct lithops__blob **blobs, const struct lithops__frame *frame,
                        lithops__blob_room *room, void *user, lithops_error *err)
{
    struct lithops__blob *blob;
    lithops_bytes piece;
    int rc = find(blobs, frame, 0, room, user, &blob, &piece, err);
    if (rc == 0)
        put(blob, piece);
    return rc;
}

int lithops__blobs_began(struct lithops__blob **blobs, const struct lithops__frame *frame,
                         size_t left, lithops__blob_room *room, void *user,
                         struct lithops__rest *ret_rest, lithops_error *err)
{
    struct lithops__blob *blob;
    lithops_bytes piece;
    int rc = find(blobs, frame, left, room, user, &blob, &piece, err);
    if (rc != 0 || !blob->room)
        return rc;
    put(blob, piece);
    ret_rest->room = blob->room + blob->filled;
    blob->filled += left;
    return 0;
}

const struct lithops__blob *lithops__blobs_find(const struct lithops__blob *blobs, uint64_t number)
{
    while (blobs && blobs->number != number)
        blobs = blobs->next;
    return blobs && blobs->filled == blobs->length ? blobs : NULL;
}

bool lithops__blobs_take(struct lithops__blob **blobs, uint64_t number, uint64_t *ret_at)
{
    while (*blobs && (*blobs)->number != number)
        blobs = &(*blobs)->next;
    if (!*blobs || (*blobs)->filled != (*blobs)->length)
        return false;
    *ret_at = lithops__blobs_drop(blobs);
    return true;
}

uint64_t lithops__blobs_drop(struct lithops__blob **blobs)
{
    struct lithops__blob *blob = *blobs;
    uint64_t at = blob->at;
    *blobs = blob->next;
    if (at == 0)
        free(blob->room);
    free(blob);
    return at;
}
