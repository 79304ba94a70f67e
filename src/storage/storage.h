/* SPDX-License-Identifier: Apache-2.0 */
/* The storage handle. */
#ifndef LITHOPS_STORAGE_INTERNAL_H
#define LITHOPS_STORAGE_INTERNAL_H

#include "storage/drivers.h"

/* Open `driver` with the settings of its section (NULL: none).
 * `bucket` (NULL: "storage") is what lithops_storage_bucket() returns. */
lithops_storage *lithops__storage_open_driver(const lithops_storage_driver *driver,
                                              const lithops_value *settings, const char *bucket,
                                              lithops_error *err);

/* Take a reference, for another lithops_storage_close(). Returns `storage`. */
lithops_storage *lithops__storage_ref(lithops_storage *storage);

/* A request whose error is retryable is made up to `attempts` times (5), after waiting
 * `first_delay_ms` (100), then twice that, and so on. Before other threads use the handle. */
void lithops__storage_set_retries(lithops_storage *storage, unsigned attempts,
                                  unsigned first_delay_ms);

/* A combination of enum lithops_storage_caps. */
unsigned lithops__storage_caps(const lithops_storage *storage);
/* Requests that were made with this handle, as services charge for them: those that read, and those
 * that write or list. Deletions cost nothing. Each attempt counts. */
void lithops__storage_made(const lithops_storage *storage, uint64_t *ret_reads,
                           uint64_t *ret_writes);

/* Read into the caller's buffer; *ret_len less than len only at the end of the object. `cursor`,
 * zeroed before the first read, joins consecutive reads and makes sure that they see one version:
 * LITHOPS_EIO if the object was replaced between two of them. With len 0 it only sets
 * cursor->size_bytes. */
int lithops__storage_read(lithops_storage *storage, const char *bucket, const char *key,
                          lithops_storage_cursor *cursor, uint64_t offset, void *buf, size_t len,
                          size_t *ret_len, lithops_error *err);
/* After the last read with `cursor`, also when it failed. */
void lithops__storage_end_read(lithops_storage *storage, lithops_storage_cursor *cursor);

/* lithops_storage_list() of the keys that are greater than `after`. */
int lithops__storage_list_after(lithops_storage *storage, const char *bucket, const char *prefix,
                                const char *after,
                                int (*visit)(const lithops_object_info *info, void *user),
                                void *user, lithops_error *err);

/* The file behind an object, for reading it directly; LITHOPS_EUNSUPPORTED without LOCAL_FILES. */
int lithops__storage_path(lithops_storage *storage, const char *bucket, const char *key, char *buf,
                          size_t size, lithops_error *err);

/* Store an object under another name by the server alone. EUNSUPPORTED: read and put it instead. */
int lithops__storage_copy(lithops_storage *storage, const char *bucket, const char *key,
                          const char *to_bucket, const char *to_key, lithops_error *err);

/* Tell through `say` what is known of connection, credentials, clock and region, each with 0 or the
 * code of what is wrong. @return 0, or the failure that any request will have */
int lithops__storage_describe(lithops_storage *storage, const char *bucket,
                              void (*say)(const char *what, int code, const char *detail,
                                          void *user),
                              void *user);

/* Where a cloudobject is stored; strings are borrowed from it. LITHOPS_EUSAGE if `value` is not a
 * cloudobject, or not one of the backend of `storage`. */
int lithops__cloudobject_where(lithops_storage *storage, const lithops_value *value,
                               const char **ret_bucket, const char **ret_key, lithops_error *err);

#endif
