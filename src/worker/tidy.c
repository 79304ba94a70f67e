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

/* Out of a function's way: it closes and opens low descriptors. */
static int move_up(int fd)
{
    int high = fcntl(fd, F_DUPFD_CLOEXEC, 500);
    if (high < 0)
        high = fcntl(fd, F_DUPFD_CLOEXEC, 10); /* few are allowed */
    close(fd);
    return high;
}

void lithops__tidy_init(struct lithops__worker_process *process)
{
    int folder = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    process->folder_fd = folder < 0 ? -1 : move_up(folder);
    process->log_fd = move_up(LITHOPS__WORKER_LOG_FD);
    struct stat status;
    process->log_inode = fstat(process->log_fd, &status) == 0 ? status.st_ino : 0;
    process->log_size = (uint64_t)lseek(process->log_fd, 0, SEEK_END);
    if (process->log_size == 0) /* never 0: that is where /dev/null is */
        process->log_size = write(process->log_fd, "\n", 1) == 1;
    atomic_store(&process->line->log_size, process->log_size);
    setvbuf(stdout, NULL, _IOFBF, BUFSIZ);
}

static bool is_log(const struct lithops__worker_process *process, int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 && status.st_ino == process->log_inode;
}

/* A stream that the function has closed with fclose() is not opened again: a fresh process is. */
static void restore_stream(struct lithops__worker_process *process, int fd, FILE *stream)
{
    if (fileno(stream) != fd || !is_log(process, process->log_fd))
        process->is_spoilt = true;
    else if (!is_log(process, fd))
        (void)dup2(process->log_fd, fd);
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
        if (colon &&
            sscanf(colon + 1, "%llu %*u %*u %*u %*u %*u %*u %*u %llu", &received, &sent) == 2) {
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
    off_t out = lseek(STDOUT_FILENO, 0, SEEK_CUR), err = lseek(STDERR_FILENO, 0, SEEK_CUR);
    bool changed = out < 0 || out != err || (uint64_t)out < process->log_size ||
                   ((uint64_t)out > process->log_size && !is_log(process, STDOUT_FILENO));
    if (changed) {
        restore_stream(process, STDOUT_FILENO, stdout);
        restore_stream(process, STDERR_FILENO, stderr);
    }
    bool buffered = __fpending(stdout) > 0 || __fpending(stderr) > 0;
    if (buffered) { /* only now: what is written to a closed descriptor is lost */
        fflush(stdout);
        fflush(stderr);
    }
    if (changed) /* standard output may be closed for good, what was written before is there */
        out = is_log(process, process->log_fd) ? lseek(process->log_fd, 0, SEEK_END) : -1;
    else if (buffered)
        out = lseek(STDOUT_FILENO, 0, SEEK_END);
    if (process->folder_fd >= 0 && fchdir(process->folder_fd) != 0 && errno == EBADF)
        process->is_spoilt = true; /* all descriptors above some number are closed, most likely */

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
