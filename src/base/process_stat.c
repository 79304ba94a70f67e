/* SPDX-License-Identifier: Apache-2.0 */
#include "base/process_stat.h"

#include "base/read_text.h"

#include <stdio.h>
#include <string.h>

bool lithops__process_stat(pid_t pid, int field, char *ret, size_t size)
{
    char path[64], line[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    const char *name = lithops__read_text(path, line, sizeof line) > 0 ? strchr(line, '(') : NULL;
    const char *end = name ? strrchr(name, ')') : NULL; /* the name may have parentheses itself */
    if (end && field == LITHOPS__STAT_NAME) {
        snprintf(ret, size, "%.*s", (int)(end - name - 1), name + 1);
        return true;
    }
    const char *at = end;
    for (int i = LITHOPS__STAT_NAME; at && i < field; i++)
        at = strchr(at + 1, ' ');
    snprintf(ret, size, "%.*s", at ? (int)strcspn(at + 1, " \n") : 0, at ? at + 1 : "");
    return end != NULL;
}

bool lithops__is_gone(pid_t pid)
{
    char state[2];
    return !lithops__process_stat(pid, LITHOPS__STAT_STATE, state, sizeof state) ||
           state[0] == 'Z' || state[0] == 'X';
}
