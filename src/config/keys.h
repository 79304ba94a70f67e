/* SPDX-License-Identifier: Apache-2.0 */
/* Names that are no keys: compute backends and their modes, and the sections of upstream that
 * nothing here reads. Constant tables. */
#ifndef LITHOPS_CONFIG_KEYS_H
#define LITHOPS_CONFIG_KEYS_H

#include <stdbool.h>

struct lithops__config_backend {
    const char *name, *mode;
    bool is_default; /* of its mode */
};
/* Compute backends, ours and upstream's; ends with a NULL name. */
extern const struct lithops__config_backend lithops__config_backends[];

/* Sections of upstream's storage, monitoring and telemetry backends and of its providers (as
 * `aws`, read by all aws_... backends); ends with NULL. */
extern const char *const lithops__config_other_sections[];

#endif
