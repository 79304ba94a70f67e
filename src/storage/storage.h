/* SPDX-License-Identifier: Apache-2.0 */
/* The storage handle, and the table of drivers that are compiled in. */
#ifndef LITHOPS_STORAGE_INTERNAL_H
#define LITHOPS_STORAGE_INTERNAL_H

#include "config/config.h"

#include <lithops/plugin/storage.h>

extern const lithops_storage_driver lithops__storage_localhost;

/* All drivers; ends with NULL. */
extern const lithops_storage_driver *const lithops__storage_drivers[];

/* Open what `config` names, or `backend` when it is not NULL. LITHOPS_EUNSUPPORTED names what
 * there is. Counted: lithops_storage_close() drops one reference. */
lithops_storage *lithops__storage_open(const struct lithops__config *config, const char *backend,
                                       lithops_error *err);

/* The file behind an object, for reading it directly; LITHOPS_EUNSUPPORTED without LOCAL_FILES. */
int lithops__storage_path(lithops_storage *storage, const char *bucket, const char *key, char *buf,
                          size_t size, lithops_error *err);

#endif
