/* SPDX-License-Identifier: Apache-2.0 */
#include "compute_worker.h"

#include <ctype.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_in(const char *pid, const char *kind, const char *namespace)
{
    char path[300], own[64] = "";
    snprintf(path, sizeof path, "/proc/%s/ns/%s", pid, kind);
    return readlink(path, own, sizeof own - 1) > 0 && strcmp(own, namespace) == 0;
}

/* Whether it is `lithops worker` of an engine that was sent. */
static bool is_worker(const char *pid)
{
    char path[300], text[4096] = "";
    snprintf(path, sizeof path, "/proc/%s/cmdline", pid);
    FILE *file = fopen(path, "re");
    size_t len = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file)
        fclose(file);
    const char *engine = strstr(text, "/lithops/engine/");
    return engine && len > strlen(text) + 1 && strcmp(text + strlen(text) + 1, "worker") == 0;
}

bool compute_worker_kill(const char *kind, pid_t pid)
{
    char path[64], namespace[64] = "";
    bool killed = false;
    snprintf(path, sizeof path, "/proc/%d/ns/%s", (int)pid, kind);
    if (readlink(path, namespace, sizeof namespace - 1) <= 0)
        return false;
    DIR *dir = opendir("/proc");
    for (struct dirent *entry; dir && !killed && (entry = readdir(dir));)
        if (isdigit((unsigned char)entry->d_name[0]) && is_in(entry->d_name, kind, namespace) &&
            is_worker(entry->d_name))
            killed = kill((pid_t)strtol(entry->d_name, NULL, 10), SIGKILL) == 0;
    if (dir)
        closedir(dir);
    return killed;
}
