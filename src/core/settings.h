/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of the configuration that an executor puts into effect when it opens. */
#ifndef LITHOPS_CORE_SETTINGS_H
#define LITHOPS_CORE_SETTINGS_H

#include "compute/compute.h"
#include "config/config.h"

/* log_level, log_stream, log_filename: where log records of this process go, if the configuration
 * says so. LITHOPS_ENOTFOUND, LITHOPS_EDENIED for a file that cannot be written. */
int lithops__settings_log(const struct lithops__config *config, lithops_error *err);
/* Warn of settings that the backend does not support. */
void lithops__settings_warn(const struct lithops__config *config,
                            const struct lithops__compute_driver *driver);
/* execution_timeout, or the backend's runtime_timeout if that is shorter. */
uint64_t lithops__settings_timeout_ms(const struct lithops__config *config, const char *backend);

#endif
