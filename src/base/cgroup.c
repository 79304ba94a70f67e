/* SPDX-License-Identifier: Apache-2.0 */
/* A group is limited by its own files and by those of every group above it. In version 1 each
 * controller has its own hierarchy and its own line in /proc/self/cgroup, "4:cpu,cpuacct:/path";
 * version 2 has one for all, "0::/path". A machine may have both at once, with each controller in
 * one of them. */
#include "base/cgroup.h"

#include "base/read_text.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FOLDER_BYTES = 1024, TEXT_BYTES = 16384 };

struct group {
    char folder[FOLDER_BYTES];
    size_t mount_len; /* the part of `folder` that is the root of the hierarchy */
    bool is_v1;
};

/* Is `word` in a list like "cpu,cpuacct"? */
static bool has_word(const char *list, const char *word)
{
    const size_t len = strlen(word);
    for (const char *at = list; *at; at += strcspn(at, ","), at += *at == ',')
        if (strcspn(at, ",") == len && strncmp(at, word, len) == 0)
            return true;
    return false;
}

/* False when the path is too long. */
static bool set_group(struct group *group, const char *root, const char *hierarchy,
                      const char *path)
{
    int len = snprintf(group->folder, FOLDER_BYTES, "%s/sys/fs/cgroup%s%s", root,
                       *hierarchy ? "/" : "", hierarchy);
    if (len < 0 || len >= FOLDER_BYTES)
        return false;
    group->mount_len = (size_t)len;
    /* A path that begins outside the mounted hierarchy says nothing about it. */
    if (strcmp(path, "/") == 0 || strstr(path, "/.."))
        return true;
    if (group->mount_len + strlen(path) >= FOLDER_BYTES)
        return false;
    strncat(group->folder, path, FOLDER_BYTES - group->mount_len - 1);
    if (access(group->folder, F_OK) != 0) /* its name outside of the container */
        group->folder[group->mount_len] = '\0';
    return true;
}

static bool find_group(const char *root, const char *controller, struct group *ret)
{
    char path[FOLDER_BYTES], text[TEXT_BYTES], *rest = text;
    bool found = false, is_v1 = false;
    snprintf(path, sizeof path, "%s/sys/fs/cgroup/cgroup.controllers", root);
    const bool has_v2 = access(path, F_OK) == 0;
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    (void)lithops__read_text(path, text, sizeof text);
    for (char *line; !is_v1 && (line = strsep(&rest, "\n")) != NULL;) {
        char *list = strchr(line, ':'), *at = list ? strchr(list + 1, ':') : NULL;
        if (!at)
            continue;
        *at++ = '\0';
        list++;
        is_v1 = has_word(list, controller);
        if (is_v1 || (*list == '\0' && has_v2)) {
            found = set_group(ret, root, is_v1 ? controller : "", at);
            ret->is_v1 = is_v1;
        }
    }
    return found;
}

bool lithops__cgroup_folder(const char *root, const char *controller, char *buf, size_t size)
{
    struct group group;
    if (!find_group(root, controller, &group) || strlen(group.folder) >= size)
        return false;
    memcpy(buf, group.folder, strlen(group.folder) + 1);
    return true;
}

/* Read up to two numbers; returns how many there are. "max" (unlimited) is not one. */
static int read_numbers(const char *folder, const char *name, long long *ret_a, long long *ret_b)
{
    char path[FOLDER_BYTES + 64], text[64];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int count = lithops__read_text(path, text, sizeof text) > 0
                    ? sscanf(text, "%lld %lld", ret_a, ret_b)
                    : 0;
    return count > 0 ? count : 0;
}

/* ---- limits of one group; UINT64_MAX: none --------------------------------------------------- */

static uint64_t cpus_of(const struct group *group)
{
    const char *folder = group->folder;
    long long quota = 0, period = 0, none;
    if (!group->is_v1)
        (void)read_numbers(folder, "cpu.max", &quota, &period);
    else if (read_numbers(folder, "cpu.cfs_quota_us", &quota, &none) > 0 && quota > 0)
        (void)read_numbers(folder, "cpu.cfs_period_us", &period, &none);
    return quota > 0 && period > 0 ? (uint64_t)((quota + period - 1) / period) : UINT64_MAX;
}

static uint64_t memory_of(const struct group *group)
{
    long long bytes;
    const char *name = group->is_v1 ? "memory.limit_in_bytes" : "memory.max";
    bool is_set = read_numbers(group->folder, name, &bytes, &(long long){0}) > 0;
    return is_set && bytes > 0 ? (uint64_t)bytes : UINT64_MAX;
}

/* The smallest limit on the way from this process's group up to the root. */
static uint64_t smallest(const char *root, const char *controller,
                         uint64_t (*limit_of)(const struct group *group))
{
    struct group group;
    uint64_t least = UINT64_MAX;
    if (!find_group(root, controller, &group))
        return least;
    for (;;) {
        uint64_t limit = limit_of(&group);
        least = limit < least ? limit : least;
        char *slash = strrchr(group.folder + group.mount_len, '/');
        if (!slash)
            return least;
        *slash = '\0';
    }
}

uint64_t lithops__cgroup_cpus(const char *root)
{
    return smallest(root, "cpu", cpus_of);
}

uint64_t lithops__cgroup_memory_bytes(const char *root)
{
    return smallest(root, "memory", memory_of);
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* Sets larger than cpu_set_t make the first call fail. */
static uint32_t allowed_cpus(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return (uint32_t)CPU_COUNT(&set);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (uint32_t)online : 1;
}

static pthread_once_t quota_once = PTHREAD_ONCE_INIT;
static uint64_t quota;

static void read_quota(void)
{
    quota = lithops__cgroup_cpus("");
}

uint32_t lithops__cpus(void)
{
    uint32_t allowed = allowed_cpus();
    pthread_once(&quota_once, read_quota);
    return quota < allowed ? (uint32_t)quota : allowed;
}

uint64_t lithops__memory_bytes(void)
{
    uint64_t machine = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t limit = lithops__cgroup_memory_bytes("");
    return limit < machine ? limit : machine;
}

bool lithops__oom_kills_in(const char *path, uint64_t *ret_kills)
{
    char text[TEXT_BYTES], *rest = text;
    unsigned long long kills;
    bool found = false;
    if (lithops__read_text(path, text, sizeof text) < 0)
        return false;
    for (const char *line; !found && (line = strsep(&rest, "\n")) != NULL;)
        found = sscanf(line, "oom_kill %llu", &kills) == 1;
    if (found)
        *ret_kills = kills;
    return found;
}

bool lithops__cgroup_oom_kills(const char *folder, uint64_t *ret_kills)
{
    char path[600];
    snprintf(path, sizeof path, "%s/memory.oom_control", folder);
    if (lithops__oom_kills_in(path, ret_kills))
        return true;
    snprintf(path, sizeof path, "%s/memory.events", folder);
    return lithops__oom_kills_in(path, ret_kills);
}
