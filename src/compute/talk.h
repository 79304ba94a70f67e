/* SPDX-License-Identifier: Apache-2.0 */
/* A dialogue of lines with a shell on another machine, with a time limit for each answer. */
#ifndef LITHOPS_COMPUTE_TALK_H
#define LITHOPS_COMPUTE_TALK_H

#include "base/buffer.h"

#include <lithops/error.h>

#include <stdint.h>

enum { LITHOPS__TALK_LINE = 1024 };

struct lithops__talk {
    int fd, cancel_fd; /* cancel_fd: -1, or it ends the dialogue once it is readable */
    uint64_t until_ns;
    uint32_t timeout_s;
};

/* The time limit starts anew. */
void lithops__talk_more_time(struct lithops__talk *talk);
/* A line without its end. 0; ECANCELED, ETIMEDOUT; EIO: the other side is gone */
int lithops__talk_read_line(const struct lithops__talk *talk, char line[LITHOPS__TALK_LINE],
                            lithops_error *err);
/* The next line that begins with `word`; others are what the shell's start-up files print. As
 * above; EBACKEND, where it says LITHOPS-ERROR instead. */
int lithops__talk_read_answer(const struct lithops__talk *talk, const char *word,
                              char line[LITHOPS__TALK_LINE], lithops_error *err);
/* 0; 1: it says something, and takes no more; else as above. */
int lithops__talk_write(const struct lithops__talk *talk, const char *ptr, size_t len,
                        lithops_error *err);
/* Append `NAME='TEXT'; ` for the shell. */
void lithops__talk_quote(struct lithops__buffer *out, const char *name, const char *text);
/* What follows the word in front of a line; NULL: that is another one. */
const char *lithops__talk_after(const char *line, const char *word);

#endif
