/* SPDX-License-Identifier: Apache-2.0 */
/* Log: the library prints nothing by itself; a program says where its records go. */
#ifndef LITHOPS_LOG_H
#define LITHOPS_LOG_H

#include <lithops/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum lithops_log_level {
    LITHOPS_LOG_DEBUG,
    LITHOPS_LOG_INFO,
    LITHOPS_LOG_WARNING,
    LITHOPS_LOG_ERROR,
    LITHOPS_LOG_NONE
} lithops_log_level;

/** One record: `where` is the part of the engine ("config", "core", ...), `text` one line. Called
 * from any thread, never at the same time from two. It must not call into the library. */
typedef void lithops_log_sink(lithops_log_level level, const char *where, const char *text,
                              void *user);

/** Send records of `level` and above to `sink`; NULL: to standard error, one line each. The
 * default is LITHOPS_LOG_NONE, or what LITHOPS_LOG_LEVEL in the environment says. A configuration
 * with log_level changes the level when an executor opens, but never a sink of the program's.
 * Thread-safe. */
LITHOPS_PUBLIC void lithops_log_to(lithops_log_level level, lithops_log_sink *sink, void *user);

#ifdef __cplusplus
}
#endif
#endif
