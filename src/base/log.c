/* SPDX-License-Identifier: Apache-2.0 */
/* Log records: one level, one sink, one lock around it. */
#include "base/log.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static pthread_mutex_t sink_lock = PTHREAD_MUTEX_INITIALIZER;
static lithops_log_sink *sink_function; /* under sink_lock */
static void *sink_user;                 /* under sink_lock */
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

void lithops_log_to(lithops_log_level level, lithops_log_sink *sink, void *user)
{
    pthread_mutex_lock(&sink_lock);
    sink_function = sink;
    sink_user = user;
    atomic_store(&threshold, (int)level);
    pthread_mutex_unlock(&sink_lock);
}

void lithops__log(lithops_log_level level, const char *where, const char *format, ...)
{
    if ((int)level < current_threshold())
        return;
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    pthread_mutex_lock(&sink_lock);
    if (sink_function)
        sink_function(level, where, text, sink_user);
    else
        fprintf(stderr, "lithops %s [%s] %s\n", level_words[level], where, text);
    pthread_mutex_unlock(&sink_lock);
}
