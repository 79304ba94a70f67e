/* SPDX-License-Identifier: Apache-2.0 */
/* Servers on loopback for tests: nginx over a folder, and a scripted one for faults. */
#ifndef LITHOPS_NET_TEST_SERVER_H
#define LITHOPS_NET_TEST_SERVER_H

#include <stdbool.h>
#include <stddef.h>

/* nginx over `folder`, on a port of its own.
 *
 *     /          files, with ranges            /noranges/  the same without ranges
 *     /nohead/   HEAD is refused               /nosize/    no Content-Length, no ranges
 *     /status/N  answers with status N         /to/X       redirects to /X
 *     /dav/      files that PUT makes and DELETE removes
 *     /loop      redirects to itself           /to-file    redirects to file:///etc/passwd
 *     /nowhere   redirects to what is no URL
 */
struct nginx {
    int pid, port;
    char folder[64];
};
/* False without nginx on this machine. */
bool nginx_start(struct nginx *nginx, const char *folder);
void nginx_stop(struct nginx *nginx);
/* How many requests with `mark` in their line nginx has answered. Waits until there are `expected`
 * of them, but not for long. */
size_t nginx_count_requests(const struct nginx *nginx, const char *mark, size_t expected);

/* A server that gives the n-th connection the n-th answer and then closes it, or holds it open
 * where an answer ends with the byte 1. */
struct script {
    int port;
    char requests[16][4096]; /* the requests, to be read after script_stop() */
    size_t count;            /* of answers given */
    struct script_state *state;
};
void script_start(struct script *script, const char *const *answers, size_t count);
void script_stop(struct script *script);

#endif
