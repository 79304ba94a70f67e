/* SPDX-License-Identifier: Apache-2.0 */
/* Links over TCP, encrypted: workers connect to a port of the client.
 *
 * The client has a secret for each worker that it starts, and gives it to that worker by a way that
 * others do not see. Both prove in the handshake of TLS 1.3 that they know it, before either reads
 * a byte of the protocol. A secret serves one connection. docs/remote.md tells more.
 *
 * Whoever has such a link, the relay here or the agent there, holds one end of a socket pair; a
 * thread pumps between the other end and the connection. */
#ifndef LITHOPS_TCP_H
#define LITHOPS_TCP_H

#include <lithops/error.h>
#include <lithops/value.h>

#include <stdint.h>

enum { LITHOPS__TCP_SECRET = 128, LITHOPS__TCP_WHERE = 1024 };

/* The environment variable that gives a worker its secret. */
#define LITHOPS__TCP_VARIABLE "LITHOPS_WORKER_SECRET"

/* ---- the client: the port of one executor ---------------------------------------------------- */

struct lithops__tcplink;

/* Listen, as the keys tcp_address and tcp_port of `settings` say; `section` names it in messages.
 * Functions below are thread-safe; those that concern one worker are called by one thread at a time
 * for it. ECONFIG; EUNSUPPORTED: built without TLS; EBACKEND: the port is not free */
int lithops__tcplink_open(const lithops_value *settings, const char *section, uint32_t workers,
                          struct lithops__tcplink **ret, lithops_error *err);
/* All links are disconnected. NULL is fine. */
void lithops__tcplink_close(struct lithops__tcplink *tcp);
/* Where workers find it, as lithops__tcplink_join() takes it: "10.0.0.5:40123,[fd00::5]:40123".
 * Borrowed */
const char *lithops__tcplink_where(const struct lithops__tcplink *tcp);
/* A new secret for worker number `worker`, which has no link. */
int lithops__tcplink_expect(struct lithops__tcplink *tcp, uint32_t worker,
                            char secret[LITHOPS__TCP_SECRET], lithops_error *err);
/* Wait for the worker that was given it. *ret_fd is the caller's end of the link.
 * @param other_fd  also ends the wait when it is readable or hangs up; -1: none
 * @return 0; ECANCELED: cancel_fd is readable; EIO: other_fd; ETIMEDOUT; ENOSPACE and others.
 * lithops__tcplink_forget() is due in any case */
int lithops__tcplink_await(struct lithops__tcplink *tcp, uint32_t worker, int cancel_fd,
                           int other_fd, uint32_t timeout_ms, int *ret_fd, lithops_error *err);
/* The caller has closed its end, or has none: the secret is worth nothing any more. What was
 * written last is sent, within two seconds. */
void lithops__tcplink_forget(struct lithops__tcplink *tcp, uint32_t worker);
/* How many connections were refused. */
uint64_t lithops__tcplink_refused(struct lithops__tcplink *tcp);

/* ---- the worker ------------------------------------------------------------------------------ */

struct lithops__pump;

/* Connect to the first of the addresses where the client proves that it knows the secret. *ret_fd
 * is the caller's end of the link. EUSAGE: not such texts; EDENIED: the other side does not know
 * it, or refuses; EIO, ETIMEDOUT: it cannot be reached; EUNSUPPORTED */
int lithops__tcplink_join(const char *where, const char *secret, struct lithops__pump **ret,
                          int *ret_fd, lithops_error *err);
/* The caller has closed its end: as lithops__tcplink_forget(). */
void lithops__tcplink_leave(struct lithops__pump *pump);

#endif
