/* SPDX-License-Identifier: Apache-2.0 */
/* Writing log records; see lithops/log.h for where they go. */
#ifndef LITHOPS_BASE_LOG_INTERNAL_H
#define LITHOPS_BASE_LOG_INTERNAL_H

#include <lithops/log.h>

/* Never put a secret into a record. */
void lithops__log(lithops_log_level level, const char *where, const char *format, ...)
    LITHOPS_PRINTF(3, 4);

/* Set the level; the sink too, unless the program has set one of its own. NULL: standard error.
 * @return whether the sink was set */
bool lithops__log_configure(lithops_log_level level, lithops_log_sink *sink, void *user);

/* "debug", "info", "warning" ("warn"), "error", "none" (or NULL); any case.
 * 0, or -1 for another word. */
int lithops__log_level_parse(const char *word, lithops_log_level *ret_level);

#endif
