/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to the Runtime API of AWS Lambda: HTTP/1.1 without TLS, one request at a time over one
 * connection to this machine.
 *
 * Not by libcurl: loading it, and the thirty libraries that it may need, would be nearly all of a
 * cold start, and nothing else of this process needs it. */
#ifndef LITHOPS_AGENT_RUNTIME_API_H
#define LITHOPS_AGENT_RUNTIME_API_H

#include <lithops/base.h>
#include <lithops/error.h>

struct lithops__runtime_api; /* one thread at a time */

struct lithops__runtime_request {
    const char *method, *path; /* the path begins with '/' */
    const char *header;        /* one more, "Name: value"; NULL: none */
    bool has_body;
    lithops_bytes body;
    void (*meanwhile)(void *user); /* called when it is sent; NULL: nothing is to be done */
    void *user;
};

/* No connection is made. `place` is HOST:PORT; once `stop_fd` is readable (-1: never) nothing is
 * waited for any more. EUSAGE (no such place), ENOMEM. */
int lithops__runtime_api_open(const char *place, int stop_fd, struct lithops__runtime_api **ret_api,
                              lithops_error *err);
void lithops__runtime_api_close(struct lithops__runtime_api *api); /* NULL is fine */

/* Send a request, and wait for the whole of its answer without a limit: between events the process
 * is frozen. An answer of any status is one. EBACKEND (retryable if there is no connection or it
 * was lost, not if what comes is not HTTP), ECANCELED (stop_fd), ENOMEM. */
int lithops__runtime_api_ask(struct lithops__runtime_api *api,
                             const struct lithops__runtime_request *request, lithops_error *err);

/* Of the last answer, until the next request; a NUL follows the body. */
long lithops__runtime_api_status(const struct lithops__runtime_api *api);
lithops_bytes lithops__runtime_api_body(const struct lithops__runtime_api *api);
/* The first header of that name, or NULL. */
const char *lithops__runtime_api_header(const struct lithops__runtime_api *api, const char *name);

#endif
