/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets of workers as text: the name of the key, ":", and the key in hexadecimal. The name is the
 * number of the worker and how many it has had: "3-1". */
#ifndef LITHOPS_TCP_SECRET_H
#define LITHOPS_TCP_SECRET_H

#include "base/tls_module.h"
#include "tcp/tcp.h"

enum { LITHOPS__TCP_HANDSHAKE_MS = 10000 };

struct lithops__tcplink_key {
    char name[LITHOPS__TLS_NAME];
    unsigned char bytes[LITHOPS__TLS_KEY_BYTES];
};

void lithops__tcplink_key_write(const struct lithops__tcplink_key *key,
                                char text[LITHOPS__TCP_SECRET]);
/* False: it is not such a text. */
bool lithops__tcplink_key_read(const char *text, struct lithops__tcplink_key *ret_key);

/* The text of a socket's address: "10.0.0.5:40123". */
struct sockaddr;
void lithops__tcplink_address(const struct sockaddr *address, size_t size, char *buf,
                              size_t buf_size);
/* NULL: EUNSUPPORTED, built without it */
const struct lithops__tls_api *lithops__tcplink_tls(lithops_error *err);

#endif
