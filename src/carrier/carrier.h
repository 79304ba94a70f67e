/* SPDX-License-Identifier: Apache-2.0 */
/* Links through a storage, for workers that nothing else reaches.
 *
 * Whoever has such a link, the relay here or the agent there, holds one end of a socket pair and
 * does not know. At the other end the carrier turns what is written into objects, and objects into
 * what is read. docs/jobs-through-storage.md has the layout and who writes what when.
 *
 * All functions are thread-safe; those that concern one worker are called by one thread at a time
 * for it. */
#ifndef LITHOPS_CARRIER_H
#define LITHOPS_CARRIER_H

#include "carrier/stock.h"
#include "config/config.h"

#include <lithops/error.h>
#include <lithops/storage.h>

enum { LITHOPS__CARRIER_KEY = 128 };

/* ---- the client: all links of one executor --------------------------------------------------- */

struct lithops__carrier;

/* The links go through the storage that `config` names. Nothing is requested yet. */
int lithops__carrier_open(const struct lithops__config *config, const char *executor_id,
                          uint32_t workers, struct lithops__carrier **ret, lithops_error *err);
/* All links are disconnected. Waits, but not for longer than some seconds, until workers that were
 * told BYE have gone: before what ends those that have not. NULL is fine. */
void lithops__carrier_await(struct lithops__carrier *carrier);
/* Does that, unless it was done, and deletes what is left of all links. NULL is fine. */
void lithops__carrier_close(struct lithops__carrier *carrier);
/* Make a link to worker number `worker`, which has none. *ret_fd is the caller's end of it; what is
 * written goes to the worker that was given `key` for lithops__carrier_join(). */
int lithops__carrier_connect(struct lithops__carrier *carrier, uint32_t worker,
                             char key[LITHOPS__CARRIER_KEY], int *ret_fd, lithops_error *err);
/* The worker has ended: its caller reads what it has written, and then the end of the link. */
void lithops__carrier_ended(struct lithops__carrier *carrier, uint32_t worker);
/* It is lost, or has ended without being told: it may have left its inbox at the broker. */
void lithops__carrier_lost(struct lithops__carrier *carrier, uint32_t worker);
/* BYE was written to the link, whose worker may be waited for by lithops__carrier_await(). */
void lithops__carrier_told(struct lithops__carrier *carrier, uint32_t worker);
/* The caller has closed its end. Returns within a second or two; `ret_how` is appended to: why
 * the storage failed, if it did. */
void lithops__carrier_disconnect(struct lithops__carrier *carrier, uint32_t worker, char *ret_how,
                                 size_t size);
/* Where the files lie that its workers ask for. Borrowed. */
struct lithops__stock *lithops__carrier_stock(const struct lithops__carrier *carrier);
/* Requests to the storage of the client's side, until now; see lithops__storage_made(). */
void lithops__carrier_made(const struct lithops__carrier *carrier, uint64_t *ret_reads,
                           uint64_t *ret_writes);
/* What the worker's configuration must be, as JSON: the storage and its settings, and nothing
 * else. It may hold secrets. Borrowed. */
const char *lithops__carrier_config(const struct lithops__carrier *carrier);

/* ---- the worker ------------------------------------------------------------------------------ */

struct lithops__carried;

/* Take the worker's side of the link with this key. *ret_fd is the caller's end. The configuration
 * is borrowed until lithops__carrier_leave(). */
int lithops__carrier_join(const struct lithops__config *config, const char *key,
                          struct lithops__carried **ret, int *ret_fd, lithops_error *err);
/* The storage, for requests of other threads, each of which says by lithops__carrier_heed() when it
 * has to end. Borrowed until lithops__carrier_leave(). */
lithops_storage *lithops__carrier_storage(const struct lithops__carried *carried);
/* The caller has closed its end: send what it wrote last. `is_orphan`: the client is gone, so
 * delete what is left of the link. Fails where the storage has failed. */
int lithops__carrier_leave(struct lithops__carried *carried, bool is_orphan, lithops_error *err);

#endif
