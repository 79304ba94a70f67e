/* SPDX-License-Identifier: Apache-2.0 */
/* A program that is run for what it prints, such as one that gives credentials. */
#ifndef LITHOPS_BASE_PROGRAM_OUTPUT_H
#define LITHOPS_BASE_PROGRAM_OUTPUT_H

#include "base/retry.h"

#include <lithops/error.h>

#include <stddef.h>

/* Run it without input, in a process group of its own, which is killed when the time is up: after
 * 60 s, or when the bounds say so. Its complaints go where this process's go. Thread-safe.
 * @param argv  its words; the first names it, and is looked up on PATH
 * @param env   its environment
 * @param ret_text  what it printed, up to `size` bytes
 * @return 0 once it has ended well; LITHOPS_EDENIED: otherwise; LITHOPS_ENOTFOUND and others: it
 *     cannot be started; LITHOPS_ETIMEDOUT, LITHOPS_ECANCELED. Messages call it "it". */
int lithops__program_output(char *const *argv, char *const *env,
                            const struct lithops__bounds *bounds, char *ret_text, size_t size,
                            size_t *ret_len, lithops_error *err);

#endif
