/* SPDX-License-Identifier: Apache-2.0 */
/* Stopping a server for a while. A signal returns before all threads have heard of it, and one that
 * runs meanwhile may still answer. */
#ifndef LITHOPS_TESTS_STOP_H
#define LITHOPS_TESTS_STOP_H

#include "base/process_stat.h"

#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline bool stop_has_begun(pid_t pid)
{
    char path[64], state[2];
    bool all = true;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *threads = opendir(path);
    for (struct dirent *entry; threads && all && (entry = readdir(threads));)
        if (entry->d_name[0] != '.') /* a thread that is gone has no state */
            all = !lithops__process_stat((pid_t)atoi(entry->d_name), LITHOPS__STAT_STATE, state,
                                         sizeof state) ||
                  state[0] == 'T';
    if (threads)
        closedir(threads);
    return threads && all;
}

/* @return whether all its threads stand still, within ten seconds; SIGCONT lets it go on */
static inline bool stop_process(pid_t pid)
{
    if (kill(pid, SIGSTOP) != 0)
        return false;
    for (int tries = 0; tries < 1000; tries++) {
        if (stop_has_begun(pid))
            return true;
        usleep(10000); /* nothing tells of another's child */
    }
    return false;
}

#endif
