/* SPDX-License-Identifier: Apache-2.0 */
/* A thread between an encrypted connection and one end of a socket pair, so that who has the other
 * end sees a plain stream. */
#ifndef LITHOPS_TCP_PUMP_H
#define LITHOPS_TCP_PUMP_H

#include "base/tls_module.h"

#include <lithops/error.h>

struct lithops__pump;

/* Start one over a connection whose handshake is done. It takes `tls` and `fd`, its socket, over,
 * also where it fails. *ret_fd is the caller's end. */
int lithops__pump_start(const struct lithops__tls_api *api, struct lithops__tls *tls, int fd,
                        struct lithops__pump **ret, int *ret_fd, lithops_error *err);
/* The caller has closed its end. What was written there last is sent, within two seconds. */
void lithops__pump_stop(struct lithops__pump *pump);

/* Set a TCP socket up for a link: it does not block, waits for nothing before it sends, and finds
 * out within a minute that the other machine is gone, if nothing is on its way there. */
void lithops__tcplink_prepare(int fd);

#endif
