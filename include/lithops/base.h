/* SPDX-License-Identifier: Apache-2.0 */
/* What every other header needs: visibility, byte views, defaults, version.
 *
 * Units are in names: `_ms` milliseconds, `_bytes` bytes, `_mb` mebibytes.
 * A pointer that a function returns is borrowed; one that it stores through `**ret_x` belongs to
 * the caller. Every header says of its type whether it is immutable, thread-safe, or for one
 * thread at a time. */
#ifndef LITHOPS_BASE_H
#define LITHOPS_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define LITHOPS_PUBLIC __attribute__((visibility("default")))
#define LITHOPS_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define LITHOPS_MUST_CHECK __attribute__((warn_unused_result))
#define LITHOPS_EXTENSION __extension__ /* C11's anonymous unions, in C99 */
#else
#define LITHOPS_PUBLIC
#define LITHOPS_PRINTF(fmt, args)
#define LITHOPS_MUST_CHECK
#define LITHOPS_EXTENSION
#endif

#define LITHOPS_VERSION_MAJOR 0
#define LITHOPS_VERSION_MINOR 1
#define LITHOPS_VERSION_PATCH 0
#define LITHOPS_VERSION "0.1.0"

#ifdef __cplusplus
extern "C" {
#endif

/** A number option that was not set. Zero and negative values are values, and are checked. */
#define LITHOPS_DEFAULT INT64_MIN

/** A time without limit, in milliseconds. */
#define LITHOPS_FOREVER INT64_MAX

/** Bytes that somebody else owns. `ptr` may be NULL when `len` is 0. */
typedef struct lithops_bytes {
    const void *ptr;
    size_t len;
} lithops_bytes;

/** The version of the library that is running, as "major.minor.patch". Thread-safe. */
LITHOPS_PUBLIC const char *lithops_version(void);

/** Be a worker process if this program was started as one, else return.
 *
 * Call it first in main(). Worker processes are this same program, started again: in them this
 * function runs calls until the client is done with the process and then exits; it never returns.
 * In the client it notes that the program can be started so. A program that skips it gets
 * LITHOPS_EUSAGE from lithops_executor_open(). It may take an argument of its own out of argv.
 * One thread: call it before any other thread exists. */
LITHOPS_PUBLIC void lithops_init(int *argc, char ***argv);

#ifdef __cplusplus
}
#endif
#endif
