/* SPDX-License-Identifier: Apache-2.0 */
/* Commands: what travels of one, and the words that it becomes with an input. */
#ifndef LITHOPS_FUNCTION_COMMAND_H
#define LITHOPS_FUNCTION_COMMAND_H

#include "base/buffer.h"

#include <lithops/command.h>

#define LITHOPS__COMMAND_RUNTIME "lithops.command" /* the native function that runs them */

/* As it travels: a version, flags, then NUL-terminated the folder ("": none) and the words. */
enum {
    LITHOPS__COMMAND_VERSION = 1,
    LITHOPS__COMMAND_SHELL = 1,
    LITHOPS__COMMAND_PIPE = 2,
    LITHOPS__COMMAND_NUMBERED = 4,
};
struct lithops__command {
    unsigned flags;
    const char *folder;      /* or NULL */
    const char *words, *end; /* one after the other, each with its NUL */
};
/* Borrows `code`. LITHOPS_EPARSE when another version has made it. */
int lithops__command_read(lithops_bytes code, struct lithops__command *ret_command,
                          lithops_error *err);

/* The words of one call. Zero it first. */
struct lithops__words {
    struct lithops__buffer text; /* each with its NUL */
    char **argv;                 /* into text; NULL-terminated */
    size_t count;
};
/* Put the inputs in their places; what `words` had is replaced, its memory used again. LITHOPS_EARG
 * when an input has a NUL in it or is not there. */
int lithops__command_expand(const struct lithops__command *command, const lithops_bytes *inputs,
                            size_t count, int64_t number, struct lithops__words *words,
                            lithops_error *err);
void lithops__words_deinit(struct lithops__words *words);
/* Append a word as a shell reads it. */
void lithops__shell_quote(struct lithops__buffer *out, const void *word, size_t len);

/* What a failed call carries besides its error: this, then the words (each with its NUL), the
 * output and the errors. The Python package reads it too: _shared/failure.py. */
#define LITHOPS__COMMAND_FAILURE "LITHCMD1"
struct lithops__command_failure {
    char magic[8];
    int32_t status, signal;
    int32_t os_errno; /* it could not be executed */
    uint32_t flags;   /* of the command */
    uint64_t words_len, out_len, err_len;
};

#endif
