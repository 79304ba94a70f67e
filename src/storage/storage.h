/* SPDX-License-Identifier: Apache-2.0 */
/* The storage handle, and the table of drivers that are compiled in. */
#ifndef LITHOPS_STORAGE_INTERNAL_H
#define LITHOPS_STORAGE_INTERNAL_H

#include "config/config.h"

#include <lithops/plugin/storage.h>

extern const lithops_storage_driver lithops__storage_localhost;

/* All drivers; ends with NULL. */
extern const lithops_storage_driver *const lithops__storage_drivers[];

/* The driver that `config` names, or `backend` when it is not NULL. NULL with LITHOPS_EUNSUPPORTED,
 * which names what there is. */
const lithops_storage_driver *lithops__storage_choose(const struct lithops__config *config,
                                                      const char *backend, lithops_error *err);

/* Open what `config` names, or `backend` when it is not NULL. LITHOPS_EUNSUPPORTED names what
 * there is. Counted: lithops_storage_close() drops one reference. */
lithops_storage *lithops__storage_open(const struct lithops__config *config, const char *backend,
                                       lithops_error *err);

/* Open `driver` with the settings of its section (NULL: none), without a configuration.
 * `bucket` (NULL: "storage") is what lithops_storage_bucket() tells. */
lithops_storage *lithops__storage_open_driver(const lithops_storage_driver *driver,
                                              const lithops_value *settings, const char *bucket,
                                              lithops_error *err);

/* One more reference, for another lithops_storage_close(). Returns `storage`. */
lithops_storage *lithops__storage_ref(lithops_storage *storage);

/* A request whose error is retryable is made up to `attempts` times (5), after waiting
 * `first_delay_ms` (100), then twice that, and so on. Before other threads use the handle. */
void lithops__storage_set_retries(lithops_storage *storage, unsigned attempts,
                                  unsigned first_delay_ms);

/* A combination of enum lithops_storage_caps. */
unsigned lithops__storage_caps(const lithops_storage *storage);

/* Read into the caller's buffer; *ret_len less than len only at the end of the object.
 * `*ret_etag_hash` (may be NULL) gets a number that changes with the content. */
int lithops__storage_read(lithops_storage *storage, const char *bucket, const char *key,
                          uint64_t offset, void *buf, size_t len, size_t *ret_len,
                          uint64_t *ret_etag_hash, lithops_error *err);

/* The file behind an object, for reading it directly; LITHOPS_EUNSUPPORTED without LOCAL_FILES. */
int lithops__storage_path(lithops_storage *storage, const char *bucket, const char *key, char *buf,
                          size_t size, lithops_error *err);

/* Where a cloudobject lies; strings are borrowed from it. LITHOPS_EUSAGE when `value` is none, or
 * when it belongs to another backend than `storage`. */
int lithops__cloudobject_where(lithops_storage *storage, const lithops_value *value,
                               const char **ret_bucket, const char **ret_key, lithops_error *err);

#endif
