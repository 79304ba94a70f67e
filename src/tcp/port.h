/* SPDX-License-Identifier: Apache-2.0 */
/* The port that workers connect to, and the addresses that they find it at. */
#ifndef LITHOPS_TCP_PORT_H
#define LITHOPS_TCP_PORT_H

#include "tcp/tcp.h"

/* Listen as the keys tcp_address and tcp_port say. *ret_fd does not block. */
int lithops__tcplink_listen(const lithops_value *settings, const char *section, int *ret_fd,
                            char where[LITHOPS__TCP_WHERE], lithops_error *err);

#endif
