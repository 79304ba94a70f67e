/* SPDX-License-Identifier: Apache-2.0 */
/* What comes over a link, taken apart into frames. The rest of a long piece is read straight into
 * where it will lie, or passed on without being read; whatever is behind it goes into a buffer. */
#ifndef LITHOPS_WIRE_INTAKE_H
#define LITHOPS_WIRE_INTAKE_H

#include "wire/frame.h"

#include <sys/types.h>

/* Where the rest of a piece goes: into memory, which is not the intake's, or to `pass`. */
struct lithops__rest {
    char *room;
    /* Take up to `len` bytes from the descriptor, as read() does. */
    ssize_t (*pass)(void *user, int fd, size_t len);
    void *user;
};

struct lithops__intake {
    struct lithops__buffer in;
    struct lithops__rest rest;
    size_t rest_len;
    bool was_long; /* the last frame, so the next one may be too: only its beginning is read */
};

/* Who is told. Slots return 0, or what ends the link. */
struct lithops__intake_user {
    /* A frame came. Positive: no more are taken. */
    int (*came)(void *user, const struct lithops__frame *frame, lithops_error *err);
    /* The beginning of a piece of a blob, or of an answer, came; `left` bytes of it are missing.
     * *ret_rest: where they go; the frame is over then. Left empty: it will come as a whole. */
    int (*began)(void *user, const struct lithops__frame *frame, size_t left,
                 struct lithops__rest *ret_rest, lithops_error *err);
};

void lithops__intake_deinit(struct lithops__intake *intake);
/* As read(); ENOMEM too. */
ssize_t lithops__intake_read(struct lithops__intake *intake, int fd);
/* Take the whole frames that are there. @return 0; LITHOPS_EPARSE; what a slot has returned */
int lithops__intake_take(struct lithops__intake *intake, const struct lithops__intake_user *ops,
                         void *user, lithops_error *err);

#endif
