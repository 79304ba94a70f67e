/* SPDX-License-Identifier: Apache-2.0 */
/* The head of an HTTP/1.1 request, as far as a worker needs it, and a body in chunks.
 *
 * A page, since what stands in front of a worker is an ingress that has checked the request: one
 * request per connection, whose body has a length that is said, or comes in chunks. What is not
 * that is refused with a status, and the connection ends, so nothing depends on where a refused
 * request would have ended.
 */
#ifndef LITHOPS_AGENT_HTTP_REQUEST_H
#define LITHOPS_AGENT_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LITHOPS__HTTP_HEAD_MAX = 32 << 10, LITHOPS__HTTP_NAME_MAX = 128 };

struct lithops__http_head {
    char method[16];
    char path[LITHOPS__HTTP_NAME_MAX]; /* without what follows a '?' */
    bool is_old;                       /* HTTP/1.0 */
    size_t len;                        /* of the head */
    uint64_t body_len;
    bool is_chunked;     /* the body has no length yet */
    bool wants_continue; /* before it sends the body */
    bool has_header;     /* the one that was asked for: */
    char header[2 * LITHOPS__HTTP_NAME_MAX];
};

/* Read the head of what has come so far; `name` is the header that is wanted.
 * @return 0: its end has not come; 1: *ret_head; or a status of HTTP for the answer: 400, 411, 413,
 *         431, 501, 505 */
int lithops__http_head_read(const char *bytes, size_t len, const char *name, uint64_t most_body,
                            struct lithops__http_head *ret_head);

/* Read a body in chunks, of which `len` bytes have come; at its end they are put together in place.
 * @return 0: its end has not come; 1: it is the first *ret_len bytes; or 400, 413 */
int lithops__http_chunks_read(char *bytes, size_t len, uint64_t most, size_t *ret_len);

#endif
