/* SPDX-License-Identifier: Apache-2.0 */
/* Columns, tab-separated: Seq Host Starttime JobRuntime Send Receive Exitval Signal Command.
 *
 * Each line is appended by one write. A killed process leaves at most one unfinished line, which
 * does not count; the next run ends it. */
#include "cli/joblog.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define HEADER "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n"
enum { COLUMNS = 9, EXITVAL = 6, SIGNAL = 7, READ_BYTES = 1 << 16 };
#define MOST_NUMBER ((int64_t)1 << 32)

/* ---- reading --------------------------------------------------------------------------------- */

/* A line without its newline, NUL-terminated. */
static void read_line(struct cli_joblog *log, char *line, bool failed_again)
{
    char *columns[COLUMNS];
    int count = 0;
    for (char *at = line; at && count < COLUMNS; count++) {
        columns[count] = at;
        char *tab = count + 1 < COLUMNS ? strchr(at, '\t') : NULL;
        if (tab)
            *tab++ = '\0';
        at = tab;
    }
    char *end;
    int64_t number = count == COLUMNS ? strtoll(columns[0], &end, 10) : 0;
    if (number <= 0 || *end || number > MOST_NUMBER)
        return;
    bool went_well = strcmp(columns[EXITVAL], "0") == 0 && strcmp(columns[SIGNAL], "0") == 0;
    if ((size_t)number >= log->done.len) {
        size_t more = (size_t)number + 1 - log->done.len;
        unsigned char *room = lithops__buffer_reserve(&log->done, more);
        if (!room)
            return;
        memset(room, 0, more);
        log->done.len += more;
    }
    log->done.data[number] = !failed_again || went_well;
}

static int read_log(struct cli_joblog *log, const char *path, bool failed_again, lithops_error *err)
{
    struct lithops__buffer text = LITHOPS__BUFFER_INIT;
    ssize_t got = 1;
    int rc = 0;
    while (rc == 0 && got > 0) {
        void *room = lithops__buffer_reserve(&text, READ_BYTES);
        got = room ? read(log->fd, room, READ_BYTES) : 0;
        text.len += got > 0 ? (size_t)got : 0;
        if (got < 0)
            rc = lithops__fail_errno(err, errno, "--joblog '%s'", path);
        char *line = (char *)text.data, *end = line + text.len, *newline;
        for (; line < end && (newline = memchr(line, '\n', (size_t)(end - line))) != NULL;
             line = newline + 1) {
            *newline = '\0';
            read_line(log, line, failed_again);
        }
        size_t rest = (size_t)(end - line);
        if (rest && line != (char *)text.data)
            memmove(text.data, line, rest);
        text.len = rest;
    }
    if (text.len > 0)
        lithops__buffer_append(&log->lines, "\n", 1);
    if (rc == 0 && (text.failed || log->done.failed))
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory for the job log");
    lithops__buffer_deinit(&text);
    return rc;
}

int cli_joblog_open(struct cli_joblog *log, const char *path, enum cli_joblog_use use,
                    lithops_error *err)
{
    *log = (struct cli_joblog){.fd = -1};
    if (!path)
        return 0;
    log->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (log->fd < 0)
        return lithops__fail_errno(err, errno, "--joblog '%s' cannot be opened", path);
    if (flock(log->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return lithops__fail(err, LITHOPS_EEXIST,
                             "--joblog '%s' is being written by another run: wait for it, or use "
                             "another file",
                             path);
    if (use == CLI_JOBLOG_NEW && ftruncate(log->fd, 0) != 0 && errno != EINVAL) /* a pipe */
        return lithops__fail_errno(err, errno, "--joblog '%s' cannot be emptied", path);
    int rc = use == CLI_JOBLOG_NEW ? 0 : read_log(log, path, use == CLI_JOBLOG_RESUME_FAILED, err);
    if (rc == 0 && lseek(log->fd, 0, SEEK_END) <= 0)
        lithops__buffer_append_string(&log->lines, HEADER);
    return rc == 0 ? cli_joblog_flush(log, err) : rc;
}

bool cli_joblog_has(const struct cli_joblog *log, int64_t number)
{
    return (size_t)number < log->done.len && log->done.data[number];
}

/* ---- writing --------------------------------------------------------------------------------- */

/* As in the job logs of GNU parallel, which call this machine ":". */
static const char *host_column(const char *host)
{
    char own[256] = "";
    if (gethostname(own, sizeof own - 1) != 0 || !host || strcmp(host, own) == 0)
        return ":";
    return host;
}

void cli_joblog_add(struct cli_joblog *log, const struct cli_joblog_entry *entry)
{
    if (log->fd < 0)
        return;
    struct lithops__buffer *lines = &log->lines;
    lithops__buffer_printf(lines, "%" PRId64 "\t%s\t%.3f\t%10.3f\t0\t%" PRIu64 "\t%d\t%d\t",
                           entry->number, host_column(entry->host), entry->start, entry->seconds,
                           entry->received, entry->status, entry->signal);
    for (const char *at = entry->command; *at; at++) { /* keep it on one line */
        bool newline = *at == '\n';
        lithops__buffer_append(lines, newline ? "\\n" : at, newline ? 2 : 1);
    }
    lithops__buffer_append(lines, "\n", 1);
}

int cli_joblog_flush(struct cli_joblog *log, lithops_error *err)
{
    if (log->lines.failed)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for the job log");
    const unsigned char *at = log->lines.data;
    size_t left = log->lines.len;
    while (left > 0) {
        ssize_t put = write(log->fd, at, left);
        if (put < 0 && errno != EINTR)
            return lithops__fail_errno(err, errno, "--joblog cannot be written");
        at += put > 0 ? put : 0;
        left -= put > 0 ? (size_t)put : 0;
    }
    log->lines.len = 0;
    return 0;
}

void cli_joblog_close(struct cli_joblog *log)
{
    if (log->fd >= 0)
        close(log->fd);
    lithops__buffer_deinit(&log->lines);
    lithops__buffer_deinit(&log->done);
    log->fd = -1;
}
