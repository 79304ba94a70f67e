/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel tells of a process in /proc/PID/stat, see proc(5). */
#ifndef LITHOPS_BASE_PROCESS_STAT_H
#define LITHOPS_BASE_PROCESS_STAT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Numbers of fields, as proc(5) counts. */
enum {
    LITHOPS__STAT_NAME = 2, /* without its parentheses */
    LITHOPS__STAT_STATE = 3,
    LITHOPS__STAT_PARENT = 4,
    LITHOPS__STAT_START = 22,      /* in ticks since the machine was started */
    LITHOPS__STAT_MEMORY = 23,     /* bytes; 0: a kernel thread or a zombie */
    LITHOPS__STAT_CODE_START = 26, /* 0: in the middle of an exec; 1: not for us to know */
};

/* One field of a process. Thread-safe.
 * @param ret  its text, "" if there is none, cut off at `size`
 * @return false: there is no such process */
bool lithops__process_stat(pid_t pid, int field, char *ret, size_t size);

/* Is it dead? A zombie is. */
bool lithops__is_gone(pid_t pid);

#endif
