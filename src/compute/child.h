/* SPDX-License-Identifier: Apache-2.0 */
/* A program of this machine at the other end of a socket pair, for links: its standard input and
 * output are the link, and its standard error is kept in a memory file, for messages. */
#ifndef LITHOPS_COMPUTE_CHILD_H
#define LITHOPS_COMPUTE_CHILD_H

#include "compute/watch.h"

#include <stddef.h>

struct lithops__child {
    struct lithops__watch watch;
    int log_fd; /* its standard error so far; -1: none */
};

/* Start `program`, searched on PATH if its name has no slash, in its own session, without the
 * terminal's signals. The log of an earlier one is dropped. *ret_fd is its standard input and
 * output. 0; an errno: it could not be started, which the caller reports; or a code with `err`. */
int lithops__child_start(struct lithops__child *child, const char *program, char *const *argv,
                         char *const *env, int *ret_fd, lithops_error *err);
/* Wait for its end, and kill it after `wait_ms`; *ret_status says how it ended. The log stays. */
void lithops__child_reap(struct lithops__child *child, int wait_ms, siginfo_t *ret_status);
/* Append its last message to `buf`, as ": text" on one line. */
void lithops__child_log_tail(const struct lithops__child *child, char *buf, size_t size);
/* Its standard error, or the last `size` - 1 bytes of that, unchanged. */
void lithops__child_said(const struct lithops__child *child, char *buf, size_t size);
/* The line of `text` that `part`, a place in it, is on; 200 bytes at most. */
void lithops__line_at(const char *text, const char *part, char *buf, size_t size);
void lithops__child_close_log(struct lithops__child *child);
/* It was waited for. Say how it ended, and what it said last, and close its log. */
void lithops__child_tell_end(struct lithops__child *child, const siginfo_t *status, char *ret_how,
                             size_t size);

#endif
