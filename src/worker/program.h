/* SPDX-License-Identifier: Apache-2.0 */
/* Running one program to its end, in a process that a worker process starts. */
#ifndef LITHOPS_WORKER_PROGRAM_H
#define LITHOPS_WORKER_PROGRAM_H

#include "base/buffer.h"

#include <lithops/error.h>

struct lithops__program {
    char *const *argv;
    const char *file;     /* to execute: argv[0] that was found */
    const char *folder;   /* to run in, or NULL */
    lithops_bytes *input; /* for its standard input, or NULL: it is empty */
    int err_fd;           /* its standard error; -1: that of this process */
    /* May its output grow to so many bytes? NULL: it may. */
    bool (*may_hold)(void *user, size_t len);
    void *user;
};
struct lithops__program_end {
    int status, signal;
    int os_errno; /* it could not be executed */
};

/* Where the program `name` is, by its path or in the PATH of this process.
 * @param buf  filled, 4096 bytes. @return 0; ENOENT; EACCES: there is one, but it may not run */
int lithops__program_find(const char *name, char *buf, size_t size);

/* Run it; append its standard output to `out`. Its process leads a group, what is left of that is
 * killed when it has ended. LITHOPS_ENOSPACE when `may_hold` said no, LITHOPS_ENOMEM; the program
 * is killed then. */
int lithops__program_run(const struct lithops__program *program, struct lithops__buffer *out,
                         struct lithops__program_end *ret_end, lithops_error *err);

#endif
