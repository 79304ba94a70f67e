/* SPDX-License-Identifier: Apache-2.0 */
/* TLS 1.3 between two sides that know the same key, in the crypto module, with OpenSSL's libssl.
 *
 *     const struct lithops__tls_api *tls = lithops__module_symbol("crypto", "lithops__tls", err);
 *
 * The key is an external pre-shared key: the handshake proves to each side that the other one has
 * it, without sending it, and there are no certificates. A Diffie-Hellman exchange is part of it,
 * so who learns the key later cannot read what was said. A key has a name, which is sent in the
 * clear.
 *
 * A connection belongs to one thread at a time. Sockets do not block; they are the caller's, who
 * blocks SIGPIPE. */
#ifndef LITHOPS_BASE_TLS_MODULE_H
#define LITHOPS_BASE_TLS_MODULE_H

#include <lithops/base.h>

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum {
    LITHOPS__TLS_KEY_BYTES = 32,
    LITHOPS__TLS_NAME = 32, /* of a key, with its NUL */
};

/* What functions return that did not do what they should. */
enum lithops__tls_wait {
    LITHOPS__TLS_READ = -1,  /* the socket must become readable */
    LITHOPS__TLS_WRITE = -2, /* or writable */
    LITHOPS__TLS_LOST = -3,  /* the connection is over */
};

struct lithops__tls;

/* Find the key of that name. False: there is none. It runs in handshake(). */
typedef bool (*lithops__tls_find)(void *user, const char *name,
                                  unsigned char ret_key[LITHOPS__TLS_KEY_BYTES]);

struct lithops__tls_api {
    /* The side that connects, and has one key; the other one, which looks for it by name. Both copy
     * the strings. NULL: out of memory, or OpenSSL is set up without what is needed. */
    struct lithops__tls *(*client)(int fd, const char *name,
                                   const unsigned char key[LITHOPS__TLS_KEY_BYTES]);
    struct lithops__tls *(*server)(int fd, lithops__tls_find find, void *user);
    /* 0: the other side has proven that it has the key; or enum lithops__tls_wait */
    int (*handshake)(struct lithops__tls *tls);
    /* Why it was lost, in OpenSSL's words; "": the other side hung up. */
    void (*reason)(const struct lithops__tls *tls, char *buf, size_t size);
    /* Of a server: the name of the other side's key, once the handshake is done. */
    const char *(*name)(const struct lithops__tls *tls);
    /* Above 0: so many bytes; 0: the other side says nothing more; or enum lithops__tls_wait. */
    ssize_t (*read)(struct lithops__tls *tls, void *buf, size_t size);
    /* Whether there may be more to read that is not in the socket any more. */
    bool (*has_more)(const struct lithops__tls *tls);
    ssize_t (*write)(struct lithops__tls *tls, const void *data, size_t len);
    /* Say that nothing more will be written. Never blocks. */
    void (*end)(struct lithops__tls *tls);
    void (*free)(struct lithops__tls *tls); /* NULL is fine */
};

#endif
