/* SPDX-License-Identifier: Apache-2.0 */
/* What storage.c, reader.c and cloudobject.c share: the handle, and how a request is made. */
#ifndef LITHOPS_STORAGE_HANDLE_H
#define LITHOPS_STORAGE_HANDLE_H

#include "storage/storage.h"

#include <stdatomic.h>

struct lithops_storage {
    atomic_uint references;
    const lithops_storage_driver *driver;
    void *state;  /* the driver's */
    char *bucket; /* for Lithops' own data */
    unsigned attempts, first_delay_ms;
};

/* One request, tried again while its error is retryable:
 *
 *     struct lithops__request request;
 *     lithops__request_begin(&request, storage);
 *     do
 *         rc = storage->driver->ops->xxx(storage->state, ..., &request.op);
 *     while (lithops__request_again(&request, rc));
 *     return lithops__request_end(&request, rc, err);
 */
struct lithops__request {
    const lithops_storage *storage;
    unsigned attempt;
    lithops_error error; /* op.err points here: do not move a request after its first attempt */
    lithops_storage_op op;
};
void lithops__request_begin(struct lithops__request *request, const lithops_storage *storage);
bool lithops__request_again(struct lithops__request *request, int rc);
int lithops__request_end(const struct lithops__request *request, int rc, lithops_error *err);

/* The rules for names, the same for every backend; see docs/storage.md. */
int lithops__storage_check(const lithops_storage *storage, const char *bucket, const char *key,
                           lithops_error *err);

#endif
