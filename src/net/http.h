/* SPDX-License-Identifier: Apache-2.0 */
/* Reading http(s) URLs: their size, and ranges of their bytes. The module "http" (libcurl).
 *
 *     const struct lithops__http_api *http = lithops__module_symbol("http", "lithops__http", err);
 *
 * A handle is for one thread at a time; it keeps its connection between reads. */
#ifndef LITHOPS_NET_HTTP_H
#define LITHOPS_NET_HTTP_H

#include "net/posts.h"
#include "net/tcp.h"
#include "net/transfer.h"

#include <lithops/error.h>

struct lithops__http; /* one URL */

struct lithops__http_info {
    uint64_t size_bytes; /* UINT64_MAX: the server does not say */
    bool ranges;         /* the server supports ranges, so several readers may share the work */
};

/* Whom a handle trusts, and what it shows of itself, in PEM; all of it is borrowed for the call
 * that makes the handle. A .ptr of NULL: the system's authorities, and no certificate. */
struct lithops__http_identity {
    lithops_bytes authorities, certificate, key;
    bool any_certificate;   /* nothing is verified */
    const char *connect_to; /* "NAME:PORT:HOST:PORT": a URL of NAME is asked for at HOST; NULL */
    const char *proxy;      /* its URL; NULL: what the environment says */
};

/* Limits, for tests; 0 means the default. */
struct lithops__http_limits {
    long connect_timeout_ms; /* 10 s */
    long stall_timeout_ms;   /* 60 s without a byte end an attempt */
    unsigned attempts;       /* 4; of a request whose error is retryable */
    unsigned first_delay_ms; /* 200; then twice that, and so on; a server's Retry-After wins */
    const struct lithops__http_identity *identity; /* only of transfers; NULL: the defaults */
};

struct lithops__http_api {
    struct lithops__transfer_api transfer; /* requests of any kind; the rest reads URLs */
    struct lithops__tcp_api tcp;           /* for protocols other than HTTP */
    struct lithops__posts_api posts;       /* requests that stay open, many at a time */
    /* Do now what else the first request would do before it connects. */
    void (*prepare)(void);
    /* `limits` may be NULL. No request is made. EUSAGE (not an http or https URL), ENOMEM. */
    int (*open)(const char *url, const struct lithops__http_limits *limits,
                struct lithops__http **ret_http, lithops_error *err);
    void (*close)(struct lithops__http *http); /* NULL is fine */
    /* ENOTFOUND (404, 410), EDENIED (401, 403), ETHROTTLED (429, 503), EBACKEND (no connection, a
     * stall, other answers). err->http_status is set where there was an answer. */
    int (*info)(struct lithops__http *http, struct lithops__http_info *ret_info,
                lithops_error *err);
    /* Fill `len` bytes from `offset`; *ret_len less than len only at the end of the object.
     * `expect_end` is how far the caller will probably read on: one request is made for
     * [offset, expect_end), and successive reads within it share its connection. A server without
     * ranges sends everything; the bytes before are skipped. As info, and EIO when the object has
     * changed since the first request of this handle. */
    int (*read)(struct lithops__http *http, uint64_t offset, uint64_t expect_end, void *buf,
                size_t len, size_t *ret_len, lithops_error *err);
};

#endif
