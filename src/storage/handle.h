/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of this folder: the handle, and making a request. */
#ifndef LITHOPS_STORAGE_HANDLE_H
#define LITHOPS_STORAGE_HANDLE_H

#include "base/retry.h"
#include "storage/storage.h"

#include <stdatomic.h>

/* What services charge for differently. */
enum lithops__request_kind {
    LITHOPS__REQUEST_READS,  /* GET, HEAD */
    LITHOPS__REQUEST_WRITES, /* PUT, COPY, POST, LIST */
    LITHOPS__REQUEST_DELETES,
    LITHOPS__REQUEST_KINDS
};

struct lithops_storage {
    atomic_uint references;
    const lithops_storage_driver *driver;
    void *state;                 /* the driver's */
    char *bucket;                /* for Lithops' own data */
    struct lithops__retry retry; /* as each request begins with it */
    int64_t timeout_ms;
    _Atomic uint64_t *made; /* requests, by kind */
};

/* One request, repeated while its error is retryable:
 *
 *     struct lithops__request request;
 *     lithops__request_begin(&request, storage);
 *     while (lithops__request_try(&request, &rc))
 *         rc = storage->driver->ops->xxx(storage->state, ..., &request.op);
 *     return lithops__request_end(&request, rc, err);
 */
struct lithops__request {
    const lithops_storage *storage;
    struct lithops__retry retry;
    bool was_tried;
    enum lithops__request_kind kind; /* set after the beginning; 0: it reads */
    unsigned retry_after_s;          /* what the server asked for */
    lithops_error error; /* op.err points here: do not move a request after its first attempt */
    lithops_storage_op op;
};
void lithops__request_begin(struct lithops__request *request, const lithops_storage *storage);
/* The same, for one of several requests of a call, which share one time limit. */
void lithops__request_begin_by(struct lithops__request *request, const lithops_storage *storage,
                               uint64_t deadline_ns);
void lithops__request_begin_within(struct lithops__request *request, const lithops_storage *storage,
                                   const struct lithops__bounds *bounds);
/* Whether to make an attempt. *rc is the result of the last one, or this function's failure. */
bool lithops__request_try(struct lithops__request *request, int *rc);
int lithops__request_end(const struct lithops__request *request, int rc, lithops_error *err);

/* When a call that begins now must have ended. */
uint64_t lithops__storage_deadline(const lithops_storage *storage);
int lithops__storage_check_handle(const lithops_storage *storage, lithops_error *err);
/* The rules for names, the same for every backend; see docs/storage.md. */
int lithops__storage_check(const lithops_storage *storage, const char *bucket, const char *key,
                           lithops_error *err);

#endif
