/* SPDX-License-Identifier: Apache-2.0 */
/* lithops logs [JOB|EXECUTOR], logs get, logs poll: what calls printed.
 *
 * The engine keeps one file per executor whose calls printed anything; in it, each call's output
 * follows a line "==> <call> <function> <time> <==". Without an argument the files are listed, the
 * newest last. */
#include "base/error.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/output.h"
#include "core/logfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct log_file {
    char executor[64];
    long long size_bytes;
    struct timespec when; /* time of its last output */
};

static int by_time(const void *a, const void *b)
{
    const struct log_file *x = a, *y = b;
    if (x->when.tv_sec != y->when.tv_sec)
        return x->when.tv_sec < y->when.tv_sec ? -1 : 1;
    if (x->when.tv_nsec != y->when.tv_nsec)
        return x->when.tv_nsec < y->when.tv_nsec ? -1 : 1;
    return strcmp(x->executor, y->executor);
}

/* The log files; free *ret_files with free(). Without the folder there are none. */
static int find_files(struct log_file **ret_files, size_t *ret_count, lithops_error *err)
{
    char folder[4096];
    lithops__logfile_folder(folder, sizeof folder);
    *ret_files = NULL;
    *ret_count = 0;
    DIR *dir = opendir(folder);
    if (!dir)
        return errno == ENOENT ? 0 : lithops__fail_errno(err, errno, "'%s' cannot be read", folder);
    struct dirent *entry;
    int rc = 0;
    while (rc == 0 && (entry = readdir(dir)) != NULL) {
        const char *dot = strrchr(entry->d_name, '.');
        struct stat status;
        if (!dot || strcmp(dot, ".log") != 0 ||
            fstatat(dirfd(dir), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        struct log_file *files = realloc(*ret_files, (*ret_count + 1) * sizeof *files);
        if (!files) {
            rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
            break;
        }
        struct log_file *file = &files[(*ret_count)++];
        snprintf(file->executor, sizeof file->executor, "%.*s", (int)(dot - entry->d_name),
                 entry->d_name);
        file->size_bytes = status.st_size;
        file->when = status.st_mtim;
        *ret_files = files;
    }
    closedir(dir);
    if (*ret_count > 0)
        qsort(*ret_files, *ret_count, sizeof **ret_files, by_time);
    return rc;
}

static int list(const struct cli *cli, lithops_error *err)
{
    struct log_file *files;
    size_t count;
    struct cli_output out;
    int rc = cli_output_init(&out, true, false, NULL, err);
    if (rc == 0)
        rc = find_files(&files, &count, err);
    if (rc != 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        char time[32];
        struct tm tm;
        gmtime_r(&files[i].when.tv_sec, &tm);
        strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%SZ", &tm);
        if (!cli->options.json) {
            lithops__buffer_printf(&out.buffer, "%12lld  %s  %s\n", files[i].size_bytes, time,
                                   files[i].executor);
            continue;
        }
        lithops_value *line = lithops_pack("{s:s,s:I,s:s}", "executor", files[i].executor, "size",
                                           (int64_t)files[i].size_bytes, "last_modified", time);
        rc = cli_output_line(&out, line, err);
        lithops_value_free(line);
    }
    if (rc == 0)
        rc = cli_output_flush(&out, err);
    cli_output_deinit(&out);
    free(files);
    return rc;
}

/* The key of the call in a header line; NULL: not a header. */
static const char *header_key(char *line, char **ret_rest)
{
    size_t len = strcspn(line, "\n");
    if (strncmp(line, "==> ", 4) != 0 || len < 9 || strncmp(line + len - 4, " <==", 4) != 0)
        return NULL;
    char *key = line + 4, *blank = strchr(key, ' ');
    *blank = '\0';
    *ret_rest = blank + 1;
    return key;
}

/* Print the parts of calls whose key starts with `wanted`. @return how many */
static int print_parts(FILE *file, const char *wanted)
{
    char *line = NULL, *rest = NULL;
    size_t size = 0, len = strlen(wanted);
    int printed = 0;
    bool matches = false;
    while (getline(&line, &size, file) > 0) {
        const char *key = header_key(line, &rest);
        if (!key) {
            if (matches)
                fputs(line, stdout);
            continue;
        }
        matches = strncmp(key, wanted, len) == 0 && (!key[len] || key[len] == '-');
        printed += matches;
        if (matches)
            printf("==> %s %s", key, rest);
    }
    free(line);
    return printed;
}

/* The file of the executor whose id `wanted` starts with. */
static FILE *open_file(const char *wanted)
{
    char folder[4096], path[4096 + 80], executor[64];
    lithops__logfile_folder(folder, sizeof folder);
    /* An executor's id has one dash, a job's two, a call's three. */
    const char *dash = strchr(wanted, '-');
    size_t len = dash ? (size_t)(dash + 1 - wanted) + strcspn(dash + 1, "-") : strlen(wanted);
    if (strchr(wanted, '/') || len >= sizeof executor)
        return NULL;
    snprintf(executor, sizeof executor, "%.*s", (int)len, wanted);
    snprintf(path, sizeof path, "%s/%s.log", folder, executor);
    return fopen(path, "re");
}

int cmd_logs(const struct cli *cli)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    if (cli->arguments.count == 0)
        return list(cli, &err) ? cli_report(&err) : 0;
    const char *wanted = cli->arguments.items[0];
    FILE *file = open_file(wanted);
    int printed = file ? print_parts(file, wanted) : 0;
    if (file)
        fclose(file);
    if (printed > 0)
        return 0;
    lithops__fail(&err, LITHOPS_ENOTFOUND,
                  "logs: there is no log of '%s': its calls printed nothing, it is still running, "
                  "or its log was cleaned ('lithops logs' lists all logs)",
                  wanted);
    return cli_report(&err);
}

/* ---- poll ------------------------------------------------------------------------------------ */

/* Print a log that was just written. 0, or an errno if no one reads the output. */
static int print_file(int folder, const char *name)
{
    char piece[1 << 14];
    ssize_t got = 0;
    int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), failed = 0;
    if (fd < 0)
        return 0; /* cleaned in the meantime */
    while (!failed && (got = read(fd, piece, sizeof piece)) > 0)
        if (fwrite(piece, 1, (size_t)got, stdout) != (size_t)got || fflush(stdout) != 0)
            failed = errno;
    close(fd);
    return failed;
}

/* An executor writes its whole log when it closes, so it is shown then. */
static int follow(int watch, int folder, lithops_error *err)
{
    char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    for (;;) {
        ssize_t got = read(watch, events, sizeof events);
        if (got < 0 && errno != EINTR)
            return lithops__fail_errno(err, errno, "logs poll");
        for (char *at = events; at < events + got;) {
            const struct inotify_event *event = (const void *)at;
            const char *dot = event->len ? strrchr(event->name, '.') : NULL;
            int failed = dot && strcmp(dot, ".log") == 0 ? print_file(folder, event->name) : 0;
            if (failed)
                return lithops__fail_errno(err, failed, "logs poll: logs cannot be written");
            at += sizeof *event + event->len;
        }
    }
}

int cmd_logs_poll(const struct cli *cli)
{
    (void)cli;
    lithops_error err = LITHOPS_ERROR_INIT;
    char path[4096];
    if (!lithops__logfile_make_folder(path, sizeof path)) /* there may be no log yet */
        return lithops__fail_errno(&err, errno, "'%s' cannot be created", path), cli_report(&err);
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), watch = inotify_init1(IN_CLOEXEC);
    if (folder < 0 || watch < 0 || inotify_add_watch(watch, path, IN_CLOSE_WRITE | IN_MOVED_TO) < 0)
        lithops__fail_errno(&err, errno, "'%s' cannot be watched", path);
    else
        follow(watch, folder, &err);
    if (folder >= 0)
        close(folder);
    if (watch >= 0)
        close(watch);
    return cli_report(&err);
}
