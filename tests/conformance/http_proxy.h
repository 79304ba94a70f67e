/* SPDX-License-Identifier: Apache-2.0 */
/* A proxy on loopback that disturbs some of the requests through it, by a plan that a seed makes:
 * it cuts requests and answers, delays them, makes requests twice, and answers itself: 429, 500,
 * 503, and with status 200 what is no answer to the request. */
#ifndef LITHOPS_TESTS_HTTP_PROXY_H
#define LITHOPS_TESTS_HTTP_PROXY_H

#include <stddef.h>

struct http_proxy;

/* @param server   "http://127.0.0.1:PORT"
 * @param one_of   one of so many requests is disturbed; 0: none
 * @param ret_port where it listens */
struct http_proxy *http_proxy_start(const char *server, unsigned seed, unsigned one_of,
                                    int *ret_port);
/* From now on requests with `mark` in their heads get this answer, which ends their connection.
 * Borrowed; NULL: none do. */
void http_proxy_refuse(struct http_proxy *proxy, const char *mark, const char *refusal);
/* Ends all connections. @return how many requests were disturbed */
size_t http_proxy_stop(struct http_proxy *proxy);

#endif
