/* SPDX-License-Identifier: Apache-2.0 */
/* What an executor has put into the storage for its workers: each bundle (bundle.h) once, however
 * many of them ask for it at the same time. Threads put; nobody waits for them.
 *
 * Where the storage does not take a bundle, wishes for it come true all the same: the worker does
 * not find it there, and asks for its files over the link. All functions are thread-safe. */
#ifndef LITHOPS_CARRIER_STOCK_H
#define LITHOPS_CARRIER_STOCK_H

#include "carrier/bundle.h"

#include <stdbool.h>

struct lithops__stock;
struct lithops__wish;

/* `storage` is borrowed, and has the bounds of lithops__carrier_bound(). NULL: no memory. */
struct lithops__stock *lithops__stock_new(lithops_storage *storage);
/* Ends what is on its way within a second. All wishes are freed; NULL is fine. */
void lithops__stock_end(struct lithops__stock *stock);
/* Delete what was put, after the end. Others may have use for it, and put it again. */
void lithops__stock_delete(struct lithops__stock *stock);
void lithops__stock_free(struct lithops__stock *stock);
uint64_t lithops__stock_requests(const struct lithops__stock *stock);

/* A worker lacks these files, which have paths: they are to be in the storage. `wake` is called
 * from another thread when a wish may have come true. NULL: no memory, or no thread. */
struct lithops__wish *lithops__stock_wish(struct lithops__stock *stock,
                                          const struct lithops__bundle_file *files, size_t count,
                                          void (*wake)(void *user), void *user, lithops_error *err);
bool lithops__wish_is_done(struct lithops__stock *stock, const struct lithops__wish *wish);
void lithops__wish_free(struct lithops__wish *wish); /* NULL is fine */
/* A worker has not found a file with this hash: what has it is put again when it is wished for. */
void lithops__stock_doubt(struct lithops__stock *stock, const char *sha256);

#endif
