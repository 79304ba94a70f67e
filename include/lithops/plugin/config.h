/* SPDX-License-Identifier: Apache-2.0 */
/* The keys that a backend reads from its section of the configuration.
 *
 * A row is all there is to a key: values are checked and defaults set before a backend sees them,
 * and error messages and `lithops config` are made from the rows; for backends that are built in,
 * docs/configuration.md and lithops-config(5) too. Rows are constant and thread-safe. */
#ifndef LITHOPS_PLUGIN_CONFIG_H
#define LITHOPS_PLUGIN_CONFIG_H

#include <lithops/base.h>

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum lithops_key_type {
    LITHOPS_KEY_BOOL,
    LITHOPS_KEY_INT,    /* min..max, or one of the words in `choices` */
    LITHOPS_KEY_DOUBLE, /* the same; an int is converted */
    LITHOPS_KEY_STRING, /* one of `choices`, in any case, when given */
    LITHOPS_KEY_LIST,   /* of strings; null stays null */
    LITHOPS_KEY_ANY,    /* not looked at */
} lithops_key_type;

typedef struct lithops_config_key {
    const char *name;
    lithops_key_type type;
    const char *fallback; /* default as YAML text, or NULL: unset */
    double min, max;      /* both 0: no limits */
    const char *choices;  /* separated by |; a word in place of a number is read as 0 */
    bool secret;          /* shown as ****** and never put into an error */
    bool inert;           /* a key of upstream: accepted, checked, logged as without effect */
    const char *help;     /* sentences without markup */
} lithops_config_key;

#ifdef __cplusplus
}
#endif
#endif
