/* SPDX-License-Identifier: Apache-2.0 */
/* Filling a caller's error record. */
#ifndef LITHOPS_BASE_ERROR_INTERNAL_H
#define LITHOPS_BASE_ERROR_INTERNAL_H

#include <lithops/error.h>

/* Write code and message into *err (NULL is fine) and return `code`, so that a failing function
 * can end with `return lithops__fail(err, LITHOPS_ENOTFOUND, "no file '%s'", path)`. The message
 * passes through lithops__one_line(), since names in it may hold any bytes. */
int lithops__fail(lithops_error *err, int code, const char *format, ...) LITHOPS_PRINTF(3, 4);
int lithops__vfail(lithops_error *err, int code, const char *format, va_list args);

/* The same for a failed system call: chooses the code from `os_errno` (ENOENT: not found, ENOSPC
 * and EMFILE: no space, EACCES: denied, else I/O), says whether it is retryable (EAGAIN,
 * ECONNRESET, ...) and appends its text, for which a long message is shortened. */
int lithops__fail_errno(lithops_error *err, int os_errno, const char *format, ...)
    LITHOPS_PRINTF(3, 4);

#ifdef __clang_analyzer__ /* it does not see that what is returned is a code, and so never 0 */
#define lithops__fail(err, code, ...) ((void)lithops__fail(err, code, __VA_ARGS__), (code))
#define lithops__fail_errno(err, os_errno, ...)                                                    \
    ((void)lithops__fail_errno(err, os_errno, __VA_ARGS__), LITHOPS_EIO)
#endif

/* Prefix the message with "where: ": how a caller adds what it was doing. */
void lithops__error_prefix(lithops_error *err, const char *format, ...) LITHOPS_PRINTF(2, 3);

/* Make `text` one line of valid UTF-8 of at most `limit` bytes, in place: cut at a character's
 * boundary, control characters become blanks and stray bytes '?'; blanks at the end go. */
void lithops__one_line(char *text, size_t limit);

#endif
