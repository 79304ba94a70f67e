/* SPDX-License-Identifier: Apache-2.0 */
/* Memory control groups for the worker processes; the worker's side is in worker/limits.c. */
#include "base/clock.h"
#include "compute/backends/localhost/pool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The group that this process is in: "/sys/fs/cgroup/memory/..." (version 1) or
 * "/sys/fs/cgroup/..." (version 2). Empty: none was found. */
static void own_group(char *buf, size_t size)
{
    buf[0] = '\0';
    FILE *file = fopen("/proc/self/cgroup", "re");
    char line[512];
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = '\0';
        controllers++;
        if (strcmp(controllers, "memory") == 0) {
            snprintf(buf, size, "/sys/fs/cgroup/memory%s", strcmp(path, "/") == 0 ? "" : path);
            break;
        }
        if (controllers[0] == '\0' && access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0)
            snprintf(buf, size, "/sys/fs/cgroup%s", strcmp(path, "/") == 0 ? "" : path);
    }
    if (file)
        fclose(file);
}

void lithops__group_prepare(struct lithops__control *control)
{
    char folder[sizeof control->cgroup], probe[sizeof folder + 64];
    own_group(folder, sizeof folder);
    if (folder[0] == '\0')
        return;
    /* A group that can be made and has a limit is what counts, whatever the version. */
    snprintf(probe, sizeof probe, "%s/lithops-%s-probe", folder, control->executor_id);
    if (mkdir(probe, 0755) != 0)
        return;
    char v1[sizeof probe + 32], v2[sizeof probe + 32];
    snprintf(v1, sizeof v1, "%s/memory.limit_in_bytes", probe);
    snprintf(v2, sizeof v2, "%s/memory.max", probe);
    if (access(v1, W_OK) == 0 || access(v2, W_OK) == 0)
        memcpy(control->cgroup, folder, sizeof folder);
    rmdir(probe);
}

static void group_path(const struct lithops__control *control, uint32_t slot, char *buf,
                       size_t size)
{
    snprintf(buf, size, "%s/lithops-%s-%u", control->cgroup, control->executor_id, slot);
}

/* The number in the line "oom_kill N" of a file. False: there is none. */
static bool read_oom_kills(const char *path, uint64_t *ret_kills)
{
    char line[128];
    unsigned long long kills;
    bool found = false;
    FILE *file = fopen(path, "re");
    while (file && !found && fgets(line, sizeof line, file))
        found = sscanf(line, "oom_kill %llu", &kills) == 1;
    if (file)
        fclose(file);
    if (found)
        *ret_kills = kills;
    return found;
}

/* The same of a group, of either version. */
static bool read_group(const char *folder, uint64_t *ret_kills)
{
    char path[600];
    snprintf(path, sizeof path, "%s/memory.oom_control", folder);
    if (read_oom_kills(path, ret_kills))
        return true;
    snprintf(path, sizeof path, "%s/memory.events", folder);
    return read_oom_kills(path, ret_kills);
}

uint64_t lithops__group_oom_kills(const struct lithops__control *control, uint32_t slot)
{
    char folder[512];
    uint64_t kills = 0;
    if (control->cgroup[0] == '\0')
        return 0;
    group_path(control, slot, folder, sizeof folder);
    (void)read_group(folder, &kills);
    return kills;
}

uint64_t lithops__own_oom_kills(void)
{
    char folder[256];
    uint64_t kills = UINT64_MAX;
    own_group(folder, sizeof folder);
    if (folder[0] && read_group(folder, &kills))
        return kills;
    /* A container may see its own group at the root, whatever its name outside is. */
    if (!read_oom_kills("/sys/fs/cgroup/memory/memory.oom_control", &kills))
        (void)read_oom_kills("/proc/vmstat", &kills);
    return kills;
}

void lithops__group_remove(const struct lithops__control *control, uint32_t slot)
{
    if (control->cgroup[0] == '\0')
        return;
    char path[512];
    group_path(control, slot, path, sizeof path);
    /* The kernel lets go of a dead process a moment after it was reaped. */
    for (int i = 0; i < 100 && rmdir(path) != 0 && errno == EBUSY; i++)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
}

uint64_t lithops__group_tidy(bool (*is_alive)(const char *executor_id))
{
    char folder[sizeof((struct lithops__control *)NULL)->cgroup];
    own_group(folder, sizeof folder);
    DIR *dir = folder[0] ? opendir(folder) : NULL;
    const struct dirent *entry;
    uint64_t removed = 0;
    while (dir && (entry = readdir(dir)) != NULL) {
        /* "lithops-<executor id>-<slot>"; one that is in use cannot be removed in any case */
        char id[sizeof entry->d_name];
        const char *dash = strrchr(entry->d_name, '-');
        if (strncmp(entry->d_name, "lithops-", 8) != 0 || dash <= entry->d_name + 8)
            continue;
        snprintf(id, sizeof id, "%.*s", (int)(dash - entry->d_name - 8), entry->d_name + 8);
        if (!is_alive(id) && unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR) == 0)
            removed++;
    }
    if (dir)
        closedir(dir);
    return removed;
}
