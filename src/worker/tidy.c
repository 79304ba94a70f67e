/* SPDX-License-Identifier: Apache-2.0 */
/* What a function does to its process must not reach the next call: a changed working directory
 * and closed or redirected standard streams are restored, and its output is flushed and attributed
 * to it. What cannot be undone cheaply (a changed locale, timers of timer_create()) is not; a
 * process in which too much memory was left is replaced.
 *
 * Done after calls that were long enough to have made a system call, so that the tiny ones stay
 * tiny. A function cannot disturb others without a system call.
 *
 * Standard output and error of a worker are one memory file, opened for appending; its length
 * before and after a call brackets what the call wrote. */
#include "worker/tidy.h"

#include "base/clock.h"
#include "ipc/layout.h"
#include "ipc/slotlog.h"
#include "worker/init.h"
#include "worker/limits.h"
#include "worker/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

enum { WORTH_TELLING_US = 1000, NETWORK_FROM_US = 10000, TIMERS_EVERY_US = 1000, TIMERS = 3 };

/* Out of the way of functions, which close and open low descriptors. */
static int move_up(int fd)
{
    int high = fcntl(fd, F_DUPFD_CLOEXEC, 500);
    if (high < 0)
        high = fcntl(fd, F_DUPFD_CLOEXEC, 10); /* few are allowed */
    close(fd);
    return high;
}

/* ---- limits and timers ----------------------------------------------------------------------- */

static void restore_limit(struct lithops__worker_process *process, int resource,
                          const struct rlimit *first)
{
    struct rlimit now;
    if (getrlimit(resource, &now) == 0 && now.rlim_cur != first->rlim_cur &&
        setrlimit(resource, first) != 0)
        process->is_spoilt = true; /* the hard limit is lower, too */
}

static const int timers[TIMERS] = {ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF};

/* Of a profiler, say. */
static void find_own_timers(struct lithops__worker_process *process)
{
    struct itimerval timer;
    for (int i = 0; i < TIMERS; i++)
        if (getitimer(timers[i], &timer) == 0 && timerisset(&timer.it_value))
            process->own_timers |= 1u << i;
}

/* A timer that a call leaves running would end a later one, and so would a limit of CPU time. The
 * system calls take as long as a short call, so they are made every now and then: a timer that is
 * shorter than that can still ring in the call after. */
static void stop_timers(struct lithops__worker_process *process)
{
    static const struct itimerval never;
    for (int i = 0; i < TIMERS; i++)
        if (!(process->own_timers & 1u << i))
            (void)setitimer(timers[i], &never, NULL);
    restore_limit(process, RLIMIT_CPU, &process->cpu_time);
    process->timers_ticks = lithops__ticks();
    process->timers_due = false;
}

static void stop_timers_now_and_then(struct lithops__worker_process *process)
{
    process->timers_due = true;
    if (lithops__ticks() - process->timers_ticks > TIMERS_EVERY_US * process->ticks_per_us)
        stop_timers(process);
}

void lithops__tidy_before_rest(struct lithops__worker_process *process)
{
    if (process->timers_due)
        stop_timers(process);
}

/* ---- the beginning --------------------------------------------------------------------------- */

void lithops__tidy_init(struct lithops__worker_process *process)
{
    struct stat status;
    int folder = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder >= 0 && fstat(folder, &status) == 0) {
        process->folder_device = status.st_dev;
        process->folder_inode = status.st_ino;
    }
    process->folder_fd = folder < 0 ? -1 : move_up(folder);
    getrlimit(RLIMIT_FSIZE, &process->file_size);
    getrlimit(RLIMIT_CPU, &process->cpu_time);
    find_own_timers(process);
    process->log_fd = move_up(LITHOPS__WORKER_LOG_FD);
    if (atomic_load(&process->area.control->has_watch_pipes))
        (void)move_up(LITHOPS__WORKER_WATCH_FD); /* to be held until the end */
    process->log_inode = fstat(process->log_fd, &status) == 0 ? status.st_ino : 0;
    process->log_size = (uint64_t)lseek(process->log_fd, 0, SEEK_END);
    atomic_store(&process->line->log_size, process->log_size);
    setvbuf(stdout, NULL, _IOFBF, BUFSIZ);
}

static bool is_log(const struct lithops__worker_process *process, int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 && status.st_ino == process->log_inode;
}

/* A stream that the function has closed with fclose() is not reopened; a fresh process follows. */
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

static uint64_t us_of(const struct timeval *time)
{
    return (uint64_t)time->tv_sec * 1000000u + (uint64_t)time->tv_usec;
}

static void read_usage(struct lithops__usage *usage)
{
    struct rusage own, programs; /* that it has waited for */
    getrusage(RUSAGE_SELF, &own);
    getrusage(RUSAGE_CHILDREN, &programs);
    usage->user_us = us_of(&own.ru_utime) + us_of(&programs.ru_utime);
    usage->system_us = us_of(&own.ru_stime) + us_of(&programs.ru_stime);
    usage->peak_kb = (uint64_t)own.ru_maxrss;
}

void lithops__tidy_before_long_call(struct lithops__worker_process *process)
{
    read_usage(&process->usage);
    read_network(&process->usage);
    process->usage_known = true;
}

/* From the last reading to now. The last one is from before this call, or else from the end of an
 * earlier long call, with short ones in between. */
static void measure(struct lithops__worker_process *process, uint64_t us,
                    const struct lithops__memory *memory, struct lithops__call_extra *extra)
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
    extra->vms_kb = memory->virtual_bytes / 1024;
    extra->rss_kb = memory->resident_bytes / 1024;
    extra->uss_kb = (memory->resident_bytes - memory->shared_bytes) / 1024;
    process->usage = after;
    process->usage_known = false;
}

static void look_at_memory(struct lithops__worker_process *process,
                           struct lithops__memory *ret_memory)
{
    process->unseen_ticks = 0;
    lithops__memory_read(ret_memory);
    if (lithops__limits_are_worn(process, ret_memory))
        process->is_spoilt = true;
}

/* Short calls leave memory too, but looking takes as long. */
bool lithops__is_memory_unseen(const struct lithops__worker_process *process)
{
    return process->memory_bytes &&
           process->unseen_ticks > WORTH_TELLING_US * process->ticks_per_us;
}

bool lithops__is_tidy(const struct lithops__worker_process *process)
{
    struct stat folder;
    struct rlimit file_size;
    return (uint64_t)lseek(STDOUT_FILENO, 0, SEEK_END) == process->log_size &&
           (uint64_t)lseek(STDERR_FILENO, 0, SEEK_CUR) == process->log_size &&
           stat(".", &folder) == 0 && folder.st_ino == process->folder_inode &&
           folder.st_dev == process->folder_device && getrlimit(RLIMIT_FSIZE, &file_size) == 0 &&
           file_size.rlim_cur == process->file_size.rlim_cur && __fpending(stdout) == 0 &&
           __fpending(stderr) == 0;
}

bool lithops__tidy(struct lithops__worker_process *process, uint64_t ticks,
                   struct lithops__call_extra *ret_extra)
{
    /* The end, not where this process is: a function may have opened the file once more. */
    off_t out = lseek(STDOUT_FILENO, 0, SEEK_END), err = lseek(STDERR_FILENO, 0, SEEK_CUR);
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
    if (changed) /* standard output may be closed for good, but earlier output is there */
        out = is_log(process, process->log_fd) ? lseek(process->log_fd, 0, SEEK_END) : -1;
    else if (buffered)
        out = lseek(STDOUT_FILENO, 0, SEEK_END);
    /* With a limit of the size of files, output would end a later call. */
    restore_limit(process, RLIMIT_FSIZE, &process->file_size);
    stop_timers_now_and_then(process);
    if (process->folder_fd >= 0 && fchdir(process->folder_fd) != 0 && errno == EBADF)
        process->is_spoilt = true; /* all descriptors above some number are closed, most likely */

    uint64_t begin = process->log_size, end = out < 0 ? begin : (uint64_t)out;
    if (begin != end)
        lithops__slotlog_mend(process->log_fd, process->area.control, process->line, &begin, &end);

    uint64_t us = ticks / process->ticks_per_us;
    bool wrote = end > begin, worth_telling = wrote || us >= WORTH_TELLING_US;
    process->log_size = end;
    atomic_store(&process->line->log_size, end);
    struct lithops__memory memory;
    process->unseen_ticks += ticks;
    if (worth_telling || lithops__is_memory_unseen(process))
        look_at_memory(process, &memory);
    if (!worth_telling)
        return false;
    memset(ret_extra, 0, sizeof *ret_extra);
    ret_extra->log_begin = begin;
    ret_extra->log_end = end;
    if (wrote)
        lithops__slotlog_trim(process->log_fd, process->area.control, process->line,
                              ret_extra->log_begin, ret_extra->log_end);
    measure(process, us, &memory, ret_extra);
    return true;
}
