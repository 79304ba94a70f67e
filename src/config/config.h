/* SPDX-License-Identifier: Apache-2.0 */
/* One checked configuration out of a YAML file, the environment and overrides.
 *
 * Every key is a row of a table; a backend brings the table of its section. Tables drive parsing,
 * error messages, `lithops config show|check` and docs/configuration.md. A checked configuration
 * is immutable and thread-safe. */
#ifndef LITHOPS_CONFIG_H
#define LITHOPS_CONFIG_H

#include <lithops/executor.h>
#include <lithops/plugin/config.h>
#include <lithops/value.h>

struct lithops__config_section {
    const char *name; /* "lithops", "localhost", ... */
    const char *help;
    const lithops_config_key *keys; /* ends with a row whose name is NULL */
};

struct lithops__config;

/* Whether the section is that of a compute backend. */
bool lithops__config_is_backend(const char *section);

/* The i-th table: those of config_keys.c, in order of display, then those of the storage drivers,
 * in the order in which they were registered. Tables are added and never removed. A section may
 * have several: a compute backend's own, that of worker pools, and that of the storage backend of
 * its name. No key is in two of them, and the first table's help is the section's. False behind the
 * last. */
bool lithops__config_table(size_t i, struct lithops__config_section *ret);

/* Find, read, merge and check.
 * Order: options->config (no file is read); options->config_file; LITHOPS_CONFIG (the text
 * itself); LITHOPS_CONFIG_FILE; ./.lithops_config; ~/.lithops/config; /etc/lithops/config; nothing.
 * Over it: options->mode, backend, storage, monitoring, log_level, settings.
 * A backend decides the mode, and a mode without a backend its default backend; options->mode
 * drops a file's backend of another mode. Whether a backend is built in is not asked here.
 * Unknown sections and keys are logged as warnings, and findings; errors with lithops.strict, and
 * in options->settings. `options` may be NULL. LITHOPS_ECONFIG names file, line, key, and the
 * nearest known key; LITHOPS_ENOTFOUND, EDENIED, EIO for a file that was named and cannot be read.
 */
int lithops__config_load(const lithops_executor_options *options, struct lithops__config **ret,
                         lithops_error *err);
void lithops__config_free(struct lithops__config *config);

/* Where it came from: a path, "LITHOPS_CONFIG", "options", or "defaults". Borrowed. */
const char *lithops__config_origin(const struct lithops__config *config);

/* Unknown sections and keys, as lithops_executor_findings() has them; NULL: none. Borrowed. */
const lithops_value *lithops__config_findings(const struct lithops__config *config);

/* A key's value or its default. NULL/0/false when unset; lithops__config_get() != NULL says which.
 * Resolved, whatever the file said: lithops.backend, mode, storage and monitoring are always set,
 * and localhost.worker_processes is a number of processes. Asking for a key that no table has is a
 * bug in the engine: it is logged as an error, and debug builds abort. */
const lithops_value *lithops__config_get(const struct lithops__config *config, const char *section,
                                         const char *key);
const char *lithops__config_string(const struct lithops__config *config, const char *section,
                                   const char *key);
/* Somebody has set it; what else it has is the table's. */
bool lithops__config_is_given(const struct lithops__config *config, const char *section,
                              const char *key);
int64_t lithops__config_int(const struct lithops__config *config, const char *section,
                            const char *key);
double lithops__config_double(const struct lithops__config *config, const char *section,
                              const char *key);
bool lithops__config_bool(const struct lithops__config *config, const char *section,
                          const char *key);

/* The whole, checked and with defaults, as section -> key -> value; secrets masked unless asked.
 * With `secrets` it can be given to lithops__config_load() as options->config again, and includes
 * the sections that no table has, as given. */
lithops_value *lithops__config_value(const struct lithops__config *config, bool secrets);
/* Take from such a value what workers must not learn: the secrets of compute backends, by which
 * other hosts are reached; with `all` every secret, and the sections that no table has, as nobody
 * knows theirs. 0 or ENOMEM. */
int lithops__config_drop_secrets(lithops_value *config, bool all);

/* One section of it, as key -> value; empty where nothing is set. The caller's; NULL: no memory. */
lithops_value *lithops__config_section(const struct lithops__config *config, const char *section,
                                       bool secrets);

#endif
