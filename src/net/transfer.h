/* SPDX-License-Identifier: Apache-2.0 */
/* One HTTP request at a time, whose body is pulled piece by piece. Part of the module "http". */
#ifndef LITHOPS_NET_TRANSFER_H
#define LITHOPS_NET_TRANSFER_H

#include "net/http.h"

struct lithops__transfer;

/* What the head of an answer says. */
struct lithops__answer {
    long status;
    uint64_t length;      /* of the body; UINT64_MAX: unknown */
    bool has_range;       /* the body is a part, and begins at: */
    uint64_t range_start; /* (UINT64_MAX in an answer "416": no such part) */
    uint64_t total;       /* size of the whole object; UINT64_MAX: unknown */
    bool accepts_ranges;
    long retry_after_s; /* 0: not said */
    char etag[128];     /* "" when there is none, or a longer one */
};

int lithops__transfer_new(const char *url, const struct lithops__http_limits *limits,
                          struct lithops__transfer **ret_transfer, lithops_error *err);
void lithops__transfer_free(struct lithops__transfer *transfer);
/* The URL as messages may show it: without user, password, query and fragment. Borrowed. */
const char *lithops__transfer_url(const struct lithops__transfer *transfer);

/* Begin a request, ending one under way: HEAD, or GET of bytes [first, end) (0, UINT64_MAX: of the
 * whole object). Nothing is sent before the first pull. */
int lithops__transfer_head(struct lithops__transfer *transfer, lithops_error *err);
int lithops__transfer_get(struct lithops__transfer *transfer, uint64_t first, uint64_t end,
                          lithops_error *err);
/* Go on until `len` bytes of the body are there, or its end is. With len 0, until the head of the
 * answer is there. The body of an answer with an error status is dropped.
 * @return 0, *ret_len less than len only at the end; EBACKEND (retryable where it makes sense),
 *         and what came before is in *ret_len too */
int lithops__transfer_pull(struct lithops__transfer *transfer, void *buf, size_t len,
                           size_t *ret_len, lithops_error *err);
/* Skip the next `len` bytes of the body. Valid after a pull with len 0. */
void lithops__transfer_skip(struct lithops__transfer *transfer, uint64_t len);
/* Valid after the first pull. */
const struct lithops__answer *lithops__transfer_answer(const struct lithops__transfer *transfer);
/* End the request; its connection is kept if the body was read to its end. */
void lithops__transfer_stop(struct lithops__transfer *transfer);

#endif
