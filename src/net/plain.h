/* SPDX-License-Identifier: Apache-2.0 */
/* A long range of an object over http, which goes from the socket straight into the caller's
 * memory: libcurl receives into a buffer of its own, from where all is copied once more. Part of
 * the module "http".
 *
 * One request at a time, and one kind of answer: a range or an error, whose length is said, of
 * HTTP/1.1. What else a server may answer is libcurl's: the caller makes the request again with it.
 * The connection is kept between requests, beside libcurl's. */
#ifndef LITHOPS_NET_PLAIN_H
#define LITHOPS_NET_PLAIN_H

#include "net/transfer.h"

#include <curl/curl.h>

struct lithops__plain;

/* Whether a request may be made so: GET, http, no proxy in the environment. */
bool lithops__plain_fits(const struct lithops__http_request *request);

/* NULL: out of memory. */
struct lithops__plain *lithops__plain_new(long connect_timeout_ms, long stall_timeout_ms);
void lithops__plain_free(struct lithops__plain *plain);

/* Begin a request that fits, which is borrowed until there is an answer. False: out of memory. */
bool lithops__plain_begin(struct lithops__plain *plain,
                          const struct lithops__http_request *request);
/* Make the connection, send the request, and wait for the head of its answer.
 * @return 0: *ret_known tells whether the answer is of the known kind; else the request has ended;
 *         ETIMEDOUT, ECANCELED (request->bounds); EBACKEND: see lithops__plain_failure() */
int lithops__plain_ask(struct lithops__plain *plain, bool *ret_known, lithops_error *err);
/* Receive until `len` bytes of the body have come, or its end. As above; *ret_len is set always. */
int lithops__plain_read(struct lithops__plain *plain, void *buf, size_t len, size_t *ret_len,
                        lithops_error *err);
/* Why it was EBACKEND, and a text for people. */
CURLcode lithops__plain_failure(const struct lithops__plain *plain, const char **ret_text);
/* The i-th header of that name of the known answer, or NULL. */
const char *lithops__plain_header(const struct lithops__plain *plain, const char *name, size_t i);
long lithops__plain_status(const struct lithops__plain *plain);
/* The length of its body, and how much of that has not been read. */
uint64_t lithops__plain_length(const struct lithops__plain *plain);
uint64_t lithops__plain_left(const struct lithops__plain *plain);
/* End the request; its connection is kept if the body was read to its end. */
void lithops__plain_end(struct lithops__plain *plain);

#endif
