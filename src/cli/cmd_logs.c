/* SPDX-License-Identifier: Apache-2.0 */
/* lithops logs [JOB|EXECUTOR]: what calls printed.
 *
 * The engine keeps one file per executor whose calls printed anything; each call's part of it
 * starts with a line "==> <call> <function> <time> <==". Without an argument the files are listed,
 * the newest last. */
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
#include <sys/stat.h>
#include <time.h>

struct log_file {
    char executor[64];
    long long size_bytes;
    time_t when;
};

static int by_time(const void *a, const void *b)
{
    const struct log_file *x = a, *y = b;
    return x->when != y->when ? (x->when < y->when ? -1 : 1) : strcmp(x->executor, y->executor);
}

/* The log files there are; *ret_files is freed with free(). No folder is no files. */
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
        file->when = status.st_mtime;
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
        gmtime_r(&files[i].when, &tm);
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

/* The key of the call that a header line names; NULL: it is no header. */
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
                  "logs: nothing was kept of '%s': its calls printed nothing, it still runs, or it "
                  "was cleaned ('lithops logs' lists what there is)",
                  wanted);
    return cli_report(&err);
}
