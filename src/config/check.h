/* SPDX-License-Identifier: Apache-2.0 */
/* One given value against its row of the table, and the words for what is wrong with it. */
#ifndef LITHOPS_CONFIG_CHECK_H
#define LITHOPS_CONFIG_CHECK_H

#include "config/config.h"

/* Where a value was given. */
struct lithops__config_place {
    const char *label; /* a path, "LITHOPS_CONFIG", "options" */
    unsigned line;     /* 0: values have no lines there */
};

/* "label:line", or "label". Returns buf. */
const char *lithops__config_place_text(struct lithops__config_place place, char *buf, size_t size);

/* LITHOPS_ECONFIG with the place in front. */
int lithops__config_fail(struct lithops__config_place place, lithops_error *err, const char *format,
                         ...) LITHOPS_PRINTF(3, 4);

/* Check `given` and make the value to keep: converted, a word in the table's spelling. *ret is
 * NULL when null was given and means unset. */
int lithops__config_check(const char *section, const lithops_config_key *key,
                          struct lithops__config_place place, const lithops_value *given,
                          lithops_value **ret, lithops_error *err);

/* What is said of an unknown name. */
struct lithops__config_unknown {
    char name[72]; /* as it may be shown: cut, and without what may be a secret */
    bool is_typo;  /* of a name that stands there; the message says which */
};

/* A section or key that no table has; the nearest known one is named, if need be of another
 * section. `section` is NULL for an unknown section. */
int lithops__config_fail_unknown(const char *name, const char *section,
                                 struct lithops__config_place place,
                                 struct lithops__config_unknown *ret, lithops_error *err);

#endif
