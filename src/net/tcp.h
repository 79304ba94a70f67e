/* SPDX-License-Identifier: Apache-2.0 */
/* Connections for protocols other than HTTP: bytes both ways, over TCP, TLS or a Unix socket. Part
 * of the module "http", which offers it as `tcp` of struct lithops__http_api: libcurl resolves
 * names, connects, and speaks TLS.
 *
 * A connection is for one thread at a time. After a failure it is good for nothing but closing. */
#ifndef LITHOPS_NET_TCP_H
#define LITHOPS_NET_TCP_H

#include "base/retry.h"

#include <lithops/base.h>
#include <lithops/error.h>

struct lithops__tcp;

/* Strings are borrowed during the call; NULL: the default. */
struct lithops__tcp_target {
    const char *host;
    unsigned port;
    const char *unix_path; /* of a socket that is connected to instead */
    bool tls;
    bool any_certificate, any_host; /* what is not verified */
    const char *authorities_file, *authorities_folder;
    const char *certificate_file, *key_file, *key_password; /* of this client */
    long connect_timeout_ms;                                /* 0: 10 s */
    long stall_timeout_ms; /* 0: 60 s without a byte are a failure */
};

/* EBACKEND (retryable where it makes sense), EDENIED (the certificate is not accepted), ETIMEDOUT,
 * ECANCELED, EUSAGE (not the name of a host), ENOMEM. */
int lithops__tcp_open(const struct lithops__tcp_target *target,
                      const struct lithops__bounds *bounds, struct lithops__tcp **ret_tcp,
                      lithops_error *err);
void lithops__tcp_close(struct lithops__tcp *tcp); /* NULL is fine */
/* Send all of it. EBACKEND (retryable), ETIMEDOUT, ECANCELED. */
int lithops__tcp_send(struct lithops__tcp *tcp, lithops_bytes bytes,
                      const struct lithops__bounds *bounds, lithops_error *err);
/* Receive what has come, one byte at least. As send; the server's closing is a failure. */
int lithops__tcp_receive(struct lithops__tcp *tcp, void *buf, size_t size, size_t *ret_len,
                         const struct lithops__bounds *bounds, lithops_error *err);

/* Readable when there may be something to receive. Not all that has come may be seen by it: receive
 * until there is no more. */
int lithops__tcp_fd(const struct lithops__tcp *tcp);

/* The same, for callers outside the module. */
struct lithops__tcp_api {
    __typeof__(lithops__tcp_open) *open;
    __typeof__(lithops__tcp_close) *close;
    __typeof__(lithops__tcp_send) *send;
    __typeof__(lithops__tcp_receive) *receive;
    __typeof__(lithops__tcp_fd) *fd;
};

#endif
