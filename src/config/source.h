/* SPDX-License-Identifier: Apache-2.0 */
/* Where a configuration comes from: found, read, and as values, not checked yet. */
#ifndef LITHOPS_CONFIG_SOURCE_H
#define LITHOPS_CONFIG_SOURCE_H

#include <lithops/executor.h>

struct lithops__config_source {
    char *origin;              /* a path, "LITHOPS_CONFIG", "options" or "defaults" */
    char *label;               /* the same for messages: a long path is shortened */
    const lithops_value *root; /* NULL: nothing there */
    lithops_value *owned;      /* root, unless it is options->config */
    /* Lines from 1 in the order of a walk: of each pair of root, then of the pairs of its value
     * where that is a map. NULL where values have no lines. */
    unsigned *lines;
};

/* Find and read, in the order that lithops__config_load() has. */
int lithops__config_find(const lithops_executor_options *options,
                         struct lithops__config_source *ret, lithops_error *err);
void lithops__config_source_deinit(struct lithops__config_source *source);

#endif
