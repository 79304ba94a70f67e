/* SPDX-License-Identifier: Apache-2.0 */
/* One request to a service that answers with a short document: tokens, credentials. */
#ifndef LITHOPS_NET_FETCH_H
#define LITHOPS_NET_FETCH_H

#include "net/transfer.h"

enum { LITHOPS__DOCUMENT_MAX = 256 << 10 };

struct lithops__fetch {
    const struct lithops__transfer_api *http;
    struct lithops__bounds bounds;
    const char *method, *url;
    const char *const *headers; /* up to six, as of struct lithops__http_request */
    const char *body;           /* NULL: none */
    long connect_timeout_ms;    /* 0: the default */
    unsigned attempts;          /* 0: 3 */
    size_t most_bytes;          /* of an answer, what is beyond is cut; 0: LITHOPS__DOCUMENT_MAX */
    /* Called with each answer, for its headers; NULL: they do not matter. */
    void (*on_answer)(const struct lithops__transfer_api *http, struct lithops__transfer *transfer,
                      void *user);
    void *user;
};

/* Make the request; again after errors that may pass. Bodies are wiped from buffers, and never in
 * messages: they hold secrets.
 * @param ret_document  of an answer of any status; NUL-terminated; lithops__document_free()
 * @return 0, *ret_status then may be any; EBACKEND, ETIMEDOUT, ECANCELED, ENOMEM */
int lithops__fetch(const struct lithops__fetch *fetch, long *ret_status, char **ret_document,
                   lithops_error *err);
/* Wipes it. NULL is fine. */
void lithops__document_free(char *document);

#endif
