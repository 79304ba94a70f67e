/* SPDX-License-Identifier: Apache-2.0 */
/* Log files. The output of calls is in memory files of the workers; when a job is cleaned, or at
 * the latest when the executor closes, it is written to one file, if there is any:
 *
 *     ==> a1b2c3-0-M000-00004 count_words 2026-11-22T10:00:00 <==
 *     what the call wrote
 */
#include "core/logfile.h"

#include "base/clock.h"
#include "base/log.h"
#include "core/futures.h"
#include "core/job.h"
#include "core/stats.h"
#include "ipc/layout.h"
#include "ipc/table.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
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

/* Make the folder and its parent, for this user alone. Another user's folder is refused. */
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

bool lithops__logfile_make_folder(char *buf, size_t size)
{
    lithops__logfile_folder(buf, size);
    return make_folder(buf);
}

/* [log_lock] Where output goes; NULL: nowhere. */
static FILE *file_of(lithops_executor *fexec)
{
    char folder[4096], path[4096 + 64];
    if (fexec->log_file || fexec->log_failed)
        return fexec->log_file;
    lithops__logfile_folder(folder, sizeof folder);
    snprintf(path, sizeof path, "%s/%s.log", folder, fexec->id);
    int fd = make_folder(folder)
                 ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600)
                 : -1;
    if (fd >= 0)
        (void)flock(fd, LOCK_SH | LOCK_NB); /* it is not to be trimmed away */
    if (fd < 0 || !(fexec->log_file = fdopen(fd, "w"))) {
        if (fd >= 0)
            close(fd);
        fexec->log_failed = true;
        lithops__log(LITHOPS_LOG_WARNING, "core", "cannot keep the output of calls: %s",
                     strerror(errno));
    }
    return fexec->log_file;
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

/* [log_lock] True if there is room for more; otherwise the file says so, once. */
static bool has_room(lithops_executor *fexec, FILE *file)
{
    if (fexec->log_full || (uint64_t)ftell(file) < fexec->log_bytes)
        return !fexec->log_full;
    fexec->log_full = true;
    fprintf(file, "[the output of later calls is not kept: lithops.output_kept]\n");
    return false;
}

void lithops__logfile_add(lithops_executor *fexec, struct lithops__job *job)
{
    const struct lithops__range *range = lithops__job_range(job);
    if (!atomic_load(&range->wrote))
        return;
    pthread_mutex_lock(&fexec->log_lock);
    uint64_t count = lithops__job_count(job);
    FILE *file = file_of(fexec);
    for (uint64_t i = 0; file && i < count; i++) {
        const struct lithops__call_extra *extra =
            lithops__table_extra(&fexec->table.area, range, i);
        if (!extra || extra->log_end <= extra->log_begin)
            continue;
        if (!has_room(fexec, file))
            break;
        write_call(file, job, i);
    }
    if (file)
        (void)fflush(file); /* else each child that the program forks writes the rest once more */
    pthread_mutex_unlock(&fexec->log_lock);
}

/* ---- the folder ------------------------------------------------------------------------------ */

struct kept_file {
    char name[64];
    uint64_t bytes;
    struct timespec when;
};

static int by_time(const void *a, const void *b)
{
    const struct kept_file *x = a, *y = b;
    if (x->when.tv_sec != y->when.tv_sec)
        return x->when.tv_sec < y->when.tv_sec ? -1 : 1;
    return x->when.tv_nsec < y->when.tv_nsec ? -1 : x->when.tv_nsec > y->when.tv_nsec;
}

/* Log files, for free(). */
static struct kept_file *list_files(DIR *dir, size_t *ret_count, uint64_t *ret_bytes)
{
    struct kept_file *files = NULL;
    size_t capacity = 0;
    const struct dirent *entry;
    *ret_count = *ret_bytes = 0;
    while ((entry = readdir(dir)) != NULL) {
        const char *dot = strrchr(entry->d_name, '.');
        struct stat status;
        if (!dot || strcmp(dot, ".log") != 0 || strlen(entry->d_name) >= sizeof files->name ||
            fstatat(dirfd(dir), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        if (*ret_count == capacity) {
            capacity = capacity ? capacity * 2 : 64;
            struct kept_file *more = realloc(files, capacity * sizeof *more);
            if (!more)
                break; /* the others next time */
            files = more;
        }
        struct kept_file *file = &files[(*ret_count)++];
        memcpy(file->name, entry->d_name, strlen(entry->d_name) + 1);
        file->bytes = (uint64_t)status.st_size;
        file->when = status.st_mtim;
        *ret_bytes += file->bytes;
    }
    return files;
}

/* By an executor that is open. */
static bool is_in_use(DIR *dir, const char *name)
{
    int fd = openat(dirfd(dir), name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    bool in_use = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0;
    if (fd >= 0)
        close(fd);
    return in_use;
}

static void trim_folder(uint64_t most)
{
    char folder[4096];
    size_t count;
    uint64_t bytes;
    lithops__logfile_folder(folder, sizeof folder);
    DIR *dir = opendir(folder);
    if (!dir)
        return;
    struct kept_file *files = list_files(dir, &count, &bytes);
    if (bytes > most)
        qsort(files, count, sizeof *files, by_time);
    for (size_t i = 0; i + 1 < count && bytes > most; i++) /* the last one is this executor's */
        if (!is_in_use(dir, files[i].name) && unlinkat(dirfd(dir), files[i].name, 0) == 0)
            bytes -= files[i].bytes;
    free(files);
    closedir(dir);
}

void lithops__logfile_finish(lithops_executor *fexec)
{
    lithops_futures *all = lithops__futures_of_executor(fexec, LITHOPS__ALL_CALLS);
    for (size_t s = 0; all && s < all->count; s++) /* a segment each, or several in a row */
        if (s == 0 || all->segments[s].job != all->segments[s - 1].job)
            lithops__logfile_add(fexec, all->segments[s].job);
    lithops_futures_unref(all);
    pthread_mutex_lock(&fexec->log_lock);
    bool any = fexec->log_file != NULL;
    if (any)
        fclose(fexec->log_file);
    fexec->log_file = NULL;
    fexec->log_failed = true; /* nothing comes after the end */
    pthread_mutex_unlock(&fexec->log_lock);
    if (any)
        trim_folder(fexec->log_bytes);
}
