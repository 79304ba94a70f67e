/* SPDX-License-Identifier: Apache-2.0 */
/* One request of a backend over HTTP: its headers, sending it, and an error status as an error of
 * ours. What backends add is their protocol: URLs, signatures, and a table of their error codes. */
#ifndef LITHOPS_STORAGE_WEB_REQUEST_H
#define LITHOPS_STORAGE_WEB_REQUEST_H

#include "storage/web.h"

enum { LITHOPS__WEB_HEADERS = 14 };

/* Bytes of a regular file. */
struct lithops__web_file {
    int fd;
    uint64_t start, len;
};

/* A request as it goes out. Zeroed before; the strings that it owns are wiped, as URLs and headers
 * may hold secrets. */
struct lithops__web_request {
    const char *method;
    bool has_body;
    bool is_expected; /* a large body goes out without asking first whether it is wanted */
    lithops_bytes body;
    const struct lithops__web_file *file; /* what is sent in place of it, or NULL */
    /* owned */
    char *url;
    const char *headers[LITHOPS__WEB_HEADERS + 2];
    size_t count; /* of headers */
};
void lithops__web_request_deinit(struct lithops__web_request *request);
/* Add a header; a value of NULL is none. False: out of memory. */
bool lithops__web_add_header(struct lithops__web_request *request, const char *name,
                             const char *value);
/* The header "authorization", or another one, of a bearer's token. False: out of memory. */
bool lithops__web_add_bearer(struct lithops__web_request *request, const char *name,
                             const char *token);

/* Make the request and wait for the head of its answer, whatever its status; of an answer of status
 * 300 and up, for its whole text. Sets the pause that the server asks for. */
int lithops__web_send(struct lithops__web *web, struct lithops__transfer *transfer,
                      struct lithops__web_request *request, const lithops_storage_op *op);

/* What a code of a server's means. */
struct lithops__web_code {
    const char *code; /* the last row of a table has NULL */
    int means;
    bool passes;        /* the request may be made again */
    const char *advice; /* added to the message, as in "; check the key" */
};

/* An answer that tells of an error. */
struct lithops__web_failure {
    const char *method, *bucket, *key; /* key NULL: the bucket itself */
    const char *where;                 /* the endpoint, for messages */
    long status;
    const char *code, *message; /* the server's; "" where it gives none */
    bool no_bucket;             /* what is not found is the bucket, not the object */
};
/* Fill op->err, by the table where the code is in it, else by the status. @return its code */
int lithops__web_fail(const struct lithops__web_failure *failure,
                      const struct lithops__web_code *codes, const lithops_storage_op *op);

#endif
