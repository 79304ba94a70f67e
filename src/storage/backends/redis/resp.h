/* SPDX-License-Identifier: Apache-2.0 */
/* RESP2, the protocol of Redis: writing commands, and reading replies. No state; thread-safe. */
#ifndef LITHOPS_STORAGE_REDIS_RESP_H
#define LITHOPS_STORAGE_REDIS_RESP_H

#include "base/buffer.h"

enum lithops__resp_type {
    LITHOPS__RESP_NIL,
    LITHOPS__RESP_STATUS,  /* text */
    LITHOPS__RESP_ERROR,   /* text */
    LITHOPS__RESP_BULK,    /* text, of any bytes */
    LITHOPS__RESP_INTEGER, /* number */
    LITHOPS__RESP_ARRAY,   /* items */
};

struct lithops__resp {
    enum lithops__resp_type type;
    lithops_bytes text; /* borrowed from what was read; no NUL follows */
    long long number;
    struct lithops__resp *items; /* owned by the reply */
    size_t count;
};

/* Append a command: its name and arguments. Of the last one only the length with `but_last`; its
 * bytes and "\r\n" are then to be sent behind. */
void lithops__resp_write(struct lithops__buffer *out, const lithops_bytes *words, size_t count,
                         bool but_last);

enum lithops__resp_outcome {
    LITHOPS__RESP_WHOLE,
    LITHOPS__RESP_PARTIAL,
    LITHOPS__RESP_BROKEN, /* not RESP2, or larger than any reply that is asked for; or no memory */
};

/* Read one reply from the front of `bytes`.
 * @param ret_reply    set when WHOLE; lithops__resp_free() it before `bytes` goes
 * @param ret_missing  set when PARTIAL: how many more bytes are needed at least */
enum lithops__resp_outcome lithops__resp_read(lithops_bytes bytes, struct lithops__resp *ret_reply,
                                              size_t *ret_missing);
/* The same, but more replies may follow.
 * @param ret_len  when WHOLE: how many bytes it has */
enum lithops__resp_outcome lithops__resp_read_front(lithops_bytes bytes,
                                                    struct lithops__resp *ret_reply,
                                                    size_t *ret_len, size_t *ret_missing);
void lithops__resp_free(struct lithops__resp *reply);

#endif
