/* SPDX-License-Identifier: Apache-2.0 */
/* One checked configuration out of a YAML file, the environment and overrides.
 *
 * Every key is a row of a table; a backend brings the table of its section. Tables drive parsing,
 * error messages, `lithops config show|check` and docs/configuration.md. A checked configuration
 * is immutable and thread-safe. */
#ifndef LITHOPS_CONFIG_H
#define LITHOPS_CONFIG_H

#include <lithops/executor.h>
#include <lithops/value.h>

enum lithops__key_type {
    LITHOPS__KEY_BOOL,
    LITHOPS__KEY_INT,    /* min..max, or one of the words in `choices` */
    LITHOPS__KEY_DOUBLE, /* the same; an int is converted */
    LITHOPS__KEY_STRING, /* one of `choices`, in any case, when given */
    LITHOPS__KEY_LIST,   /* of strings; null stays null */
    LITHOPS__KEY_ANY,    /* not looked at: a key of upstream without effect here */
};
struct lithops__config_key {
    const char *name;
    enum lithops__key_type type;
    const char *fallback; /* default as YAML text, or NULL: unset */
    double min, max;      /* both 0: no limits */
    const char *choices;  /* separated by |; a word in place of a number is read as 0 */
    bool secret;          /* shown as ****** and never put into an error */
    bool inert;           /* upstream's key: accepted, checked, logged as without effect */
    const char *help;
};
struct lithops__config_section {
    const char *name; /* "lithops", "localhost", ... */
    const char *help;
    const struct lithops__config_key *keys; /* ends with a row whose name is NULL */
};

struct lithops__config;

/* The table of all sections, in order of display; ends with a NULL name. Compiled in:
 * config_keys.c. */
extern const struct lithops__config_section lithops__config_sections[];

/* Find, read, merge and check.
 * Order: options->config (no file is read); options->config_file; LITHOPS_CONFIG (the text
 * itself); LITHOPS_CONFIG_FILE; ./.lithops_config; ~/.lithops/config; /etc/lithops/config; nothing.
 * Over it: options->mode, backend, storage, monitoring, log_level, settings.
 * A backend decides the mode, and a mode without a backend its default backend; options->mode
 * drops a file's backend of another mode. Whether a backend is built in is not asked here.
 * `options` may be NULL. LITHOPS_ECONFIG names file, line, key, and the nearest known key;
 * LITHOPS_ENOTFOUND, EDENIED, EIO for a file that was named and cannot be read. */
int lithops__config_load(const lithops_executor_options *options, struct lithops__config **ret,
                         lithops_error *err);
void lithops__config_free(struct lithops__config *config);

/* Where it came from: a path, "LITHOPS_CONFIG", "options", or "defaults". Borrowed. */
const char *lithops__config_origin(const struct lithops__config *config);

/* A key's value or its default. NULL/0/false when unset; lithops__config_get() != NULL tells.
 * Resolved, whatever the file said: lithops.backend, mode, storage and monitoring are always set,
 * and localhost.worker_processes is a number of processes. Asking for a key that no table has is a
 * bug in the engine: it is logged as an error, and debug builds abort. */
const lithops_value *lithops__config_get(const struct lithops__config *config, const char *section,
                                         const char *key);
const char *lithops__config_string(const struct lithops__config *config, const char *section,
                                   const char *key);
int64_t lithops__config_int(const struct lithops__config *config, const char *section,
                            const char *key);
double lithops__config_double(const struct lithops__config *config, const char *section,
                              const char *key);
bool lithops__config_bool(const struct lithops__config *config, const char *section,
                          const char *key);

/* The whole, checked and with defaults, as section -> key -> value; secrets masked unless asked.
 * With `secrets` it can be given to lithops__config_load() as options->config again. */
lithops_value *lithops__config_value(const struct lithops__config *config, bool secrets);

#endif
