/* SPDX-License-Identifier: Apache-2.0 */
/* A job log as GNU parallel writes it: a line per ended call, which a later run reads in order to
 * leave out what is done. */
#ifndef LITHOPS_CLI_JOBLOG_H
#define LITHOPS_CLI_JOBLOG_H

#include "base/buffer.h"

#include <lithops/error.h>

struct cli_joblog {
    int fd;                       /* -1: there is none */
    struct lithops__buffer lines; /* not written yet */
    struct lithops__buffer done;  /* a byte per number: not 0 if it need not run again */
};
enum cli_joblog_use {
    CLI_JOBLOG_NEW,           /* overwrite an old log */
    CLI_JOBLOG_RESUME,        /* leave out calls that ended */
    CLI_JOBLOG_RESUME_FAILED, /* leave out calls that succeeded */
};

struct cli_joblog_entry {
    int64_t number;
    const char *host; /* NULL: this machine */
    double start, seconds;
    uint64_t received;
    int status, signal;
    const char *command;
};

/* `path` may be NULL: no log. LITHOPS_EEXIST when another process has it open. */
int cli_joblog_open(struct cli_joblog *log, const char *path, enum cli_joblog_use use,
                    lithops_error *err);
bool cli_joblog_has(const struct cli_joblog *log, int64_t number);
void cli_joblog_add(struct cli_joblog *log, const struct cli_joblog_entry *entry);
/* Write what was added, once the output of these calls is written. */
int cli_joblog_flush(struct cli_joblog *log, lithops_error *err);
void cli_joblog_close(struct cli_joblog *log);

#endif
