/* SPDX-License-Identifier: Apache-2.0 */
/* The storage that a configuration names. */
#ifndef LITHOPS_CONFIG_STORAGE_H
#define LITHOPS_CONFIG_STORAGE_H

#include "config/config.h"

#include <lithops/plugin/storage.h>

/* The driver that `config` names, or `backend` when it is not NULL. NULL with LITHOPS_EUNSUPPORTED,
 * which names what there is. */
const lithops_storage_driver *lithops__storage_choose(const struct lithops__config *config,
                                                      const char *backend, lithops_error *err);

/* Open what `config` names, or `backend` when it is not NULL. LITHOPS_EUNSUPPORTED names what
 * there is. Counted: lithops_storage_close() drops one reference. */
lithops_storage *lithops__storage_open(const struct lithops__config *config, const char *backend,
                                       lithops_error *err);

#endif
