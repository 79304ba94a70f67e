/* SPDX-License-Identifier: Apache-2.0 */
/* Log records: one level, one sink, one lock around it.
 *
 * The lock is held while the program's sink runs, and its holder may vanish there: a fork gives the
 * child the lock but not the thread, or the thread is cancelled in the sink. A mutex would hang the
 * next log call. This lock names its thread; one that is not in this process (any more) holds
 * nothing. A record made inside the sink is dropped. Waiting for the lock means sleeping: records
 * are rare. */
#include "base/log.h"

#include "base/error.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

static _Atomic pid_t sink_holder;       /* the thread that is in the sink, or 0 */
static lithops_log_sink *sink_function; /* only for the holder */
static void *sink_user;                 /* only for the holder */
static _Atomic int threshold = -1;      /* -1: not asked the environment yet */

static const char *const level_words[] = {"debug", "info", "warning", "error", "none"};

int lithops__log_level_parse(const char *word, lithops_log_level *ret_level)
{
    if (!word) {
        *ret_level = LITHOPS_LOG_NONE;
        return 0;
    }
    for (int i = 0; i <= LITHOPS_LOG_NONE; i++)
        if (strcasecmp(word, level_words[i]) == 0) {
            *ret_level = (lithops_log_level)i;
            return 0;
        }
    if (strcasecmp(word, "warn") == 0) {
        *ret_level = LITHOPS_LOG_WARNING;
        return 0;
    }
    return -1;
}

static int current_threshold(void)
{
    int level = atomic_load_explicit(&threshold, memory_order_relaxed);
    if (level >= 0)
        return level;
    lithops_log_level parsed;
    if (lithops__log_level_parse(getenv("LITHOPS_LOG_LEVEL"), &parsed) != 0)
        parsed = LITHOPS_LOG_NONE;
    int unset = -1;
    atomic_compare_exchange_strong(&threshold, &unset, (int)parsed);
    return atomic_load(&threshold);
}

/* False: this thread is in the sink already. */
static bool enter_sink(void)
{
    pid_t self = gettid(), holder = 0;
    while (!atomic_compare_exchange_strong(&sink_holder, &holder, self)) {
        if (holder == self)
            return false;
        if (tgkill(getpid(), holder, 0) != 0 && errno == ESRCH)
            continue; /* take it from that thread */
        nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
        holder = 0;
    }
    return true;
}

static void leave_sink(void)
{
    atomic_store(&sink_holder, 0);
}

void lithops_log_to(lithops_log_level level, lithops_log_sink *sink, void *user)
{
    bool entered = enter_sink();
    sink_function = sink;
    sink_user = user;
    atomic_store(&threshold, (int)level);
    if (entered)
        leave_sink();
}

bool lithops__log_configure(lithops_log_level level, lithops_log_sink *sink, void *user)
{
    static lithops_log_sink *configured; /* only for the holder */
    bool entered = enter_sink();
    bool is_ours = !sink_function || sink_function == configured;
    if (is_ours) {
        sink_function = configured = sink;
        sink_user = user;
    }
    atomic_store(&threshold, (int)level);
    if (entered)
        leave_sink();
    return is_ours;
}

/* In one write: lines of several threads and processes do not mix. */
static void to_standard_error(lithops_log_level level, const char *where, const char *text)
{
    char line[1200];
    int len =
        snprintf(line, sizeof line, "lithops %s [%.100s] %s\n", level_words[level], where, text);
    ssize_t written = write(STDERR_FILENO, line, (size_t)len);
    (void)written; /* there is nowhere to report it */
}

void lithops__log(lithops_log_level level, const char *where, const char *format, ...)
{
    if ((int)level < current_threshold())
        return;
    int kept_errno = errno;
    char text[1024];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (len >= 0 && enter_sink()) {
        lithops__one_line(text, sizeof text - 2);
        if (sink_function)
            sink_function(level, where, text, sink_user);
        else
            to_standard_error(level, where, text);
        leave_sink();
    }
    errno = kept_errno;
}
