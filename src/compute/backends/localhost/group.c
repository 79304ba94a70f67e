/* SPDX-License-Identifier: Apache-2.0 */
/* Memory control groups for the worker processes; the worker's side is in worker/limits.c. */
#include "base/cgroup.h"
#include "compute/backends/localhost/pool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Empty: none was found. */
static void own_group(char *buf, size_t size)
{
    if (!lithops__cgroup_folder("", "memory", buf, size))
        buf[0] = '\0';
}

void lithops__group_find(const char *executor_id, char *buf, size_t size)
{
    own_group(buf, size);
    if (buf[0] == '\0')
        return;
    /* Whatever the version: usable if a group can be made and has a limit. */
    char probe[512], v1[sizeof probe + 32], v2[sizeof probe + 32];
    snprintf(probe, sizeof probe, "%s/lithops-%s-probe", buf, executor_id);
    bool is_made = mkdir(probe, 0755) == 0;
    snprintf(v1, sizeof v1, "%s/memory.limit_in_bytes", probe);
    snprintf(v2, sizeof v2, "%s/memory.max", probe);
    if (!is_made || (access(v1, W_OK) != 0 && access(v2, W_OK) != 0))
        buf[0] = '\0';
    if (is_made)
        rmdir(probe);
}

static void group_path(const struct lithops__control *control, uint32_t slot, char *buf,
                       size_t size)
{
    snprintf(buf, size, "%s/lithops-%s-%u", control->cgroup, control->executor_id, slot);
}

uint64_t lithops__group_oom_kills(const struct lithops__control *control, uint32_t slot)
{
    char folder[512];
    uint64_t kills = 0;
    if (control->cgroup[0] == '\0')
        return 0;
    group_path(control, slot, folder, sizeof folder);
    (void)lithops__cgroup_oom_kills(folder, &kills);
    return kills;
}

uint64_t lithops__own_oom_kills(void)
{
    char folder[256];
    uint64_t kills = UINT64_MAX;
    own_group(folder, sizeof folder);
    if (folder[0] && lithops__cgroup_oom_kills(folder, &kills))
        return kills;
    /* A container may see its own group at the root, whatever its name outside is. */
    if (!lithops__oom_kills_in("/sys/fs/cgroup/memory/memory.oom_control", &kills))
        (void)lithops__oom_kills_in("/proc/vmstat", &kills);
    return kills;
}

void lithops__group_remove(const struct lithops__control *control, uint32_t slot)
{
    if (control->cgroup[0] == '\0')
        return;
    char path[512];
    group_path(control, slot, path, sizeof path);
    /* The kernel removes a dead process from its group a moment after it was reaped. */
    for (int i = 0; i < 100 && rmdir(path) != 0 && errno == EBUSY; i++)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
}

/* The kernel removes killed processes from their group a moment later. */
static bool remove_group(int folder, const char *name)
{
    for (int i = 0; i < 100; i++) {
        if (unlinkat(folder, name, AT_REMOVEDIR) == 0)
            return true;
        if (errno != EBUSY)
            return false;
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
    return false;
}

uint64_t lithops__group_tidy(bool (*is_alive)(const char *executor_id), bool dry_run)
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
        if (!is_alive(id) && (dry_run || remove_group(dirfd(dir), entry->d_name)))
            removed++;
    }
    if (dir)
        closedir(dir);
    return removed;
}
