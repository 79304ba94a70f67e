/* SPDX-License-Identifier: Apache-2.0 */
/* What a function does to its process must not reach the next call: a changed working directory
 * and closed or redirected standard streams are put right, and what it wrote is flushed and
 * attributed to it. What cannot be undone cheaply (a changed locale, leaked memory) is not.
 *
 * Done after calls that were long enough to have made a system call, so that the tiny ones stay
 * tiny. The first thing that a function must do to disturb others is a system call.
 *
 * Standard output and error of a worker are one memory file, opened for appending; its length
 * before and after a call brackets what the call wrote. */
#include "worker/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WORTH_TELLING_US = 1000, NETWORK_FROM_US = 10000 };

void lithops__tidy_init(struct lithops__worker_process *process)
{
    process->folder_fd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    process->log_fd = fcntl(LITHOPS__WORKER_LOG_FD, F_DUPFD_CLOEXEC, 500);
    if (process->log_fd < 0)
        process->log_fd = fcntl(LITHOPS__WORKER_LOG_FD, F_DUPFD_CLOEXEC, 10);
    close(LITHOPS__WORKER_LOG_FD);
    struct stat status;
    process->log_inode = fstat(process->log_fd, &status) == 0 ? status.st_ino : 0;
    process->log_size = (uint64_t)lseek(process->log_fd, 0, SEEK_END);
    atomic_store(&process->line->log_size, process->log_size);
    setvbuf(stdout, NULL, _IOFBF, BUFSIZ);
}

static bool has_log(const struct lithops__worker_process *process)
{
    struct stat status;
    return fstat(process->log_fd, &status) == 0 && status.st_ino == process->log_inode;
}

static void restore_stream(const struct lithops__worker_process *process, int fd, FILE *stream)
{
    struct stat now, log;
    if (fstat(fd, &now) == 0 && fstat(process->log_fd, &log) == 0 && now.st_ino == log.st_ino &&
        now.st_dev == log.st_dev)
        return;
    (void)dup2(process->log_fd, fd);
    if (fileno(stream) != fd) /* fclose(stdout) */
        (void)!freopen(fd == STDOUT_FILENO ? "/proc/self/fd/1" : "/proc/self/fd/2", "a", stream);
    clearerr(stream);
}

static void read_network(struct lithops__usage *usage)
{
    usage->net_sent = usage->net_received = 0;
    FILE *file = fopen("/proc/self/net/dev", "re");
    char line[512];
    while (file && fgets(line, sizeof line, file)) {
        const char *colon = strchr(line, ':');
        unsigned long long received, sent;
        if (colon && sscanf(colon + 1, "%llu %*u %*u %*u %*u %*u %*u %*u %llu", &received,
                            &sent) == 2) {
            usage->net_received += received;
            usage->net_sent += sent;
        }
    }
    if (file)
        fclose(file);
}

static void read_usage(struct lithops__usage *usage)
{
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    usage->user_us = (uint64_t)r.ru_utime.tv_sec * 1000000u + (uint64_t)r.ru_utime.tv_usec;
    usage->system_us = (uint64_t)r.ru_stime.tv_sec * 1000000u + (uint64_t)r.ru_stime.tv_usec;
    usage->peak_kb = (uint64_t)r.ru_maxrss;
}

void lithops__tidy_before_long_call(struct lithops__worker_process *process)
{
    read_usage(&process->usage);
    read_network(&process->usage);
    process->usage_known = true;
}

static void read_memory(struct lithops__call_extra *extra)
{
    unsigned long long vms = 0, rss = 0, shared = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file) {
        if (fscanf(file, "%llu %llu %llu", &vms, &rss, &shared) != 3)
            vms = rss = shared = 0;
        fclose(file);
    }
    uint64_t page_kb = (uint64_t)sysconf(_SC_PAGESIZE) / 1024;
    extra->vms_kb = vms * page_kb;
    extra->rss_kb = rss * page_kb;
    extra->uss_kb = (rss - shared) * page_kb;
}

/* From the last reading to now. The last one is from before this call, or else from the end of an
 * earlier long call, with short ones in between. */
static void measure(struct lithops__worker_process *process, uint64_t us,
                    struct lithops__call_extra *extra)
{
    struct lithops__usage before = process->usage, after;
    read_usage(&after);
    after.net_sent = before.net_sent;
    after.net_received = before.net_received;
    if (us >= NETWORK_FROM_US && process->usage_known)
        read_network(&after);
    extra->user_us = after.user_us - before.user_us;
    extra->system_us = after.system_us - before.system_us;
    extra->peak_start_kb = before.peak_kb;
    extra->peak_end_kb = after.peak_kb;
    extra->net_sent = after.net_sent - before.net_sent;
    extra->net_received = after.net_received - before.net_received;
    read_memory(extra);
    process->usage = after;
    process->usage_known = false;
}

bool lithops__tidy(struct lithops__worker_process *process, uint64_t ticks,
                   struct lithops__call_extra *ret_extra)
{
    if (__fpending(stdout) > 0 || __fpending(stderr) > 0) {
        fflush(stdout);
        fflush(stderr);
    }
    off_t out = lseek(STDOUT_FILENO, 0, SEEK_CUR), err = lseek(STDERR_FILENO, 0, SEEK_CUR);
    if (out < 0 || out != err || (uint64_t)out < process->log_size) {
        process->is_spoilt = !has_log(process);
        restore_stream(process, STDOUT_FILENO, stdout);
        restore_stream(process, STDERR_FILENO, stderr);
        out = lseek(process->log_fd, 0, SEEK_END);
    }
    if (process->folder_fd >= 0)
        (void)!fchdir(process->folder_fd);

    uint64_t us = ticks / process->ticks_per_us;
    bool wrote = out > 0 && (uint64_t)out > process->log_size;
    if (!wrote && us < WORTH_TELLING_US)
        return false;
    memset(ret_extra, 0, sizeof *ret_extra);
    ret_extra->log_begin = process->log_size;
    ret_extra->log_end = wrote ? (uint64_t)out : process->log_size;
    process->log_size = ret_extra->log_end;
    atomic_store(&process->line->log_size, process->log_size);
    measure(process, us, ret_extra);
    return true;
}
