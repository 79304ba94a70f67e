/* SPDX-License-Identifier: Apache-2.0 */
/* The constant tables: keys that belong to no storage driver, compute backends and their modes, and
 * the sections of upstream that nothing here reads. */
#ifndef LITHOPS_CONFIG_KEYS_H
#define LITHOPS_CONFIG_KEYS_H

#include "config/config.h"

/* In order of display; ends with a NULL name. lithops__config_table() has the drivers' too. */
extern const struct lithops__config_section lithops__config_sections[];

/* Whether a table is of that section. */
bool lithops__config_has_section(const char *name);

struct lithops__config_backend {
    const char *name, *mode;
    bool is_default; /* of its mode */
    bool has_links;  /* the client is there while calls run: no storage need be between */
};
/* Compute backends, ours and upstream's; ends with a NULL name. */
extern const struct lithops__config_backend lithops__config_backends[];

/* Sections of upstream's storage and monitoring backends and of its providers (as
 * `aws`, read by all aws_... backends); ends with NULL. */
extern const char *const lithops__config_other_sections[];

#endif
