/* SPDX-License-Identifier: Apache-2.0 */
/* The runtimes of a backend: built, deployed, listed, deleted. What is in one that was deployed is
 * also kept in the storage, as lithops.runtimes/<backend>/<name>.meta.json. */
#ifndef LITHOPS_CORE_RUNTIMES_H
#define LITHOPS_CORE_RUNTIMES_H

#include "compute/compute.h"

/* As the backend's runtime ops. EUNSUPPORTED: it has none. Texts are for free(). */
int lithops__runtime_build(const struct lithops__config *config,
                           const struct lithops__runtime_wish *wish, char **ret_text,
                           lithops_error *err);
/* Of a storage that cannot be reached, a warning is logged. EUNSUPPORTED also where the engine in
 * the runtime is another one than this, as in an image that was built before. */
int lithops__runtime_deploy(const struct lithops__config *config,
                            const struct lithops__runtime_wish *wish, bool must_exist,
                            char **ret_name, lithops_value **ret_meta, lithops_error *err);
int lithops__runtime_list(const struct lithops__config *config,
                          int (*visit)(const struct lithops__runtime_seen *seen, void *user),
                          void *user, lithops_error *err);
int lithops__runtime_remove(const struct lithops__config *config,
                            const struct lithops__runtime_wish *wish, char **ret_name,
                            lithops_error *err);

/* Before workers are started: what the storage says of the configured runtime fits this client.
 * ECONFIG says what is to be built again; errors of the storage. 0, too, where nothing is known.
 * @param ret_installed  a list of the modules that it has for this client's Python; as it was,
 * where that is not known */
int lithops__runtime_check(const struct lithops__config *config,
                           const struct lithops__compute_driver *driver,
                           lithops_value **ret_installed, lithops_error *err);

#endif
