/* SPDX-License-Identifier: Apache-2.0 */
/* Log files. While an executor is open, output of calls is in memory files of the workers; only
 * when it closes, and only if there was output, one file is written:
 *
 *     ==> a1b2c3-0-M000-00004 count_words 2026-11-22T10:00:00 <==
 *     what the call wrote
 */
#include "core/logfile.h"

#include "base/log.h"
#include "core/stats.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

void lithops__logfile_folder(char *buf, size_t size)
{
    const char *tmp = getenv("TMPDIR");
    char name[32];
    snprintf(name, sizeof name, "%u", (unsigned)getuid());
    snprintf(buf, size, "%s/lithops-%s/logs", tmp && tmp[0] == '/' ? tmp : "/tmp", name);
}

/* Make the folder and the one above, for this user alone. Somebody else's folder is refused. */
static bool make_folder(const char *folder)
{
    char above[4096];
    snprintf(above, sizeof above, "%s", folder);
    *strrchr(above, '/') = '\0';
    const char *both[] = {above, folder};
    for (int i = 0; i < 2; i++) {
        struct stat status;
        if (mkdir(both[i], 0700) != 0 && errno != EEXIST)
            return false;
        if (lstat(both[i], &status) != 0 || !S_ISDIR(status.st_mode) || status.st_uid != getuid())
            return false;
    }
    return true;
}

static FILE *open_file(const lithops_executor *fexec)
{
    char folder[4096], path[4096 + 64];
    lithops__logfile_folder(folder, sizeof folder);
    if (!make_folder(folder))
        return NULL;
    snprintf(path, sizeof path, "%s/%s.log", folder, fexec->id);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    return fd < 0 ? NULL : fdopen(fd, "w");
}

static void write_call(FILE *file, struct lithops__job *job, uint64_t index)
{
    lithops_future *future = lithops__future_of(job, index);
    char *text = lithops_future_logs(future), key[64], when[32];
    struct lithops__times times;
    struct lithops__tick_clock clock = lithops__executor_clock(job->fexec);
    (void)lithops__call_times(job, index, &clock, &times);
    time_t seconds = (time_t)times.start;
    struct tm parts;
    localtime_r(&seconds, &parts);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &parts);
    if (text)
        fprintf(file, "==> %s %s %s <==\n%s%s", lithops_future_key(future, key, sizeof key),
                job->function, when, text, text[strlen(text) - 1] == '\n' ? "" : "\n");
    free(text);
    lithops_future_unref(future);
}

void lithops__logfile_save(lithops_executor *fexec)
{
    FILE *file = NULL;
    for (size_t j = 0; j < fexec->job_count; j++) {
        struct lithops__job *job = fexec->jobs[j];
        uint64_t count = lithops__job_count(job);
        for (uint64_t i = 0; i < count; i++) {
            const struct lithops__call_extra *extra =
                lithops__table_extra(&fexec->table.area, lithops__job_range(job), i);
            if (!extra || extra->log_end <= extra->log_begin)
                continue;
            if (!file && !(file = open_file(fexec))) {
                lithops__log(LITHOPS_LOG_WARNING, "core", "cannot keep the output of calls: %s",
                             strerror(errno));
                return;
            }
            write_call(file, job, i);
        }
    }
    if (file)
        fclose(file);
}
