/* SPDX-License-Identifier: Apache-2.0 */
/* One HTTP request at a time: any method, with headers and a body sent from memory or a file; the
 * answer's body is pulled piece by piece. Part of the module "http", which offers it to backends as
 * `transfer` of struct lithops__http_api. Nothing is retried here. */
#ifndef LITHOPS_NET_TRANSFER_H
#define LITHOPS_NET_TRANSFER_H

#include "base/retry.h"

#include <lithops/base.h>
#include <lithops/error.h>

struct lithops__transfer;
struct lithops__http_limits;

/* Everything is borrowed until the request has ended. */
struct lithops__http_request {
    const char *method; /* "GET", "HEAD", "PUT", "POST", "DELETE", ... */
    const char *url;
    const char *const *headers; /* "Name: value" each, ends with NULL; NULL: none */
    const char *range;          /* as in "0-99", or NULL */
    bool follow_redirects;      /* not for signed requests: a signature is for one host */
    bool as_it_comes;           /* a pull is content with what has come, one byte at least */
    bool is_long;               /* a part of an object, of which much will come; none is skipped */
    bool has_body;
    lithops_bytes body;                  /* what is sent, or, if body_fd is not -1: */
    int body_fd;                         /* a regular file, */
    uint64_t body_fd_start, body_fd_len; /* these bytes of it; its own offset is not used */
    struct lithops__bounds bounds;
};
#define LITHOPS__HTTP_REQUEST(the_method, the_url)                                                 \
    {                                                                                              \
        .method = (the_method), .url = (the_url), .body_fd = -1, .bounds = {                       \
            .deadline_ns = UINT64_MAX                                                              \
        }                                                                                          \
    }

enum { LITHOPS__HTTP_ERROR_TEXT = 4096 };

/* What the head of an answer says. */
struct lithops__answer {
    long status;
    uint64_t length;      /* of the body; UINT64_MAX: unknown */
    bool has_range;       /* the body is a part, and begins at: */
    uint64_t range_start; /* (UINT64_MAX in an answer "416": no such part) */
    uint64_t total;       /* size of the whole object; UINT64_MAX: unknown */
    bool accepts_ranges;
    long retry_after_s;     /* 0: not said */
    char etag[128];         /* "" when there is none, or a longer one */
    const char *error_text; /* the beginning of the body of an answer of status 400 and up: up to
                             * LITHOPS__HTTP_ERROR_TEXT bytes, then a NUL; complete when a pull has
                             * said that the body has ended */
};

/* Before any use of libcurl in this module. Thread-safe. */
void lithops__curl_init(void);

int lithops__transfer_new(const struct lithops__http_limits *limits,
                          struct lithops__transfer **ret_transfer, lithops_error *err);
void lithops__transfer_free(struct lithops__transfer *transfer);
/* The URL of the last request for messages: without user, password, query and fragment.
 * Borrowed. */
const char *lithops__transfer_url(const struct lithops__transfer *transfer);

/* 0, or EUSAGE: not an http or https URL. */
int lithops__transfer_check_url(const char *url, lithops_error *err);
/* Begin a request, ending one under way. Nothing is sent before the first pull, which is also the
 * one to check what follows "http://" in the URL. EUSAGE (not an http or https URL, a header with a
 * line break), ENOMEM. */
int lithops__transfer_start(struct lithops__transfer *transfer,
                            const struct lithops__http_request *request, lithops_error *err);
/* Receive until `len` bytes of the body have arrived, or its end. With len 0, until the head has
 * arrived. The body of an answer with an error status goes to answer->error_text.
 * @return 0, *ret_len less than len only at the end; EBACKEND (retryable where it makes sense),
 *         EUSAGE (the URL), ETIMEDOUT, ECANCELED (see request->bounds), and what came before is in
 * *ret_len too */
int lithops__transfer_pull(struct lithops__transfer *transfer, void *buf, size_t len,
                           size_t *ret_len, lithops_error *err);
/* Skip the next `len` bytes of the body. Valid after a pull with len 0. */
void lithops__transfer_skip(struct lithops__transfer *transfer, uint64_t len);
/* Valid after the first pull. */
const struct lithops__answer *lithops__transfer_answer(const struct lithops__transfer *transfer);
/* A header of the answer, or NULL. Valid after the first pull, until the
 * request is stopped. */
const char *lithops__transfer_header(struct lithops__transfer *transfer, const char *name);
/* The i-th of several headers of that name, from 0 on, or NULL. */
const char *lithops__transfer_header_at(struct lithops__transfer *transfer, const char *name,
                                        size_t i);
/* End the request; its connection is kept if the body was read to its end. */
void lithops__transfer_stop(struct lithops__transfer *transfer);

/* The same, for callers outside the module. */
struct lithops__transfer_api {
    __typeof__(lithops__transfer_new) *open;
    __typeof__(lithops__transfer_free) *close;
    __typeof__(lithops__transfer_start) *start;
    __typeof__(lithops__transfer_pull) *pull;
    __typeof__(lithops__transfer_skip) *skip;
    __typeof__(lithops__transfer_answer) *answer;
    __typeof__(lithops__transfer_header) *header;
    __typeof__(lithops__transfer_header_at) *header_at;
    __typeof__(lithops__transfer_url) *url;
    __typeof__(lithops__transfer_stop) *stop;
};

#endif
