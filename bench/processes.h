/* SPDX-License-Identifier: Apache-2.0 */
/* What a program and its children use: CPU time and memory, from /proc. */
#ifndef LITHOPS_BENCH_PROCESSES_H
#define LITHOPS_BENCH_PROCESSES_H

#include "bench.h"

#include <dirent.h>

struct process_use {
    int processes;
    uint64_t ticks;     /* of CPU time: what `top` would see, 10 ms each */
    uint64_t cpu_ns;    /* the same in nanoseconds, where the kernel tells */
    uint64_t pss_bytes; /* memory; what is shared counts once over all of them */
};

static inline bool processes_read(const char *pid, const char *file, char *buf, size_t size)
{
    char path[128];
    snprintf(path, sizeof path, "/proc/%.60s/%.30s", pid, file);
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    size_t len = fread(buf, 1, size - 1, f);
    buf[len] = '\0';
    fclose(f);
    return len > 0;
}

/* All threads of one process; /proc/PID/schedstat is of its first thread alone. */
static inline uint64_t processes_cpu_ns(const char *pid)
{
    char folder[64], task_path[64], text[256];
    snprintf(folder, sizeof folder, "/proc/%.20s/task", pid);
    uint64_t sum = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *task; dir && (task = readdir(dir)) != NULL;) {
        snprintf(task_path, sizeof task_path, "%.20s/task/%.20s", pid, task->d_name);
        if (task->d_name[0] != '.' && processes_read(task_path, "schedstat", text, sizeof text))
            sum += strtoull(text, NULL, 10);
    }
    if (dir)
        closedir(dir);
    return sum;
}

static inline void processes_add(const char *pid, struct process_use *use)
{
    char stat[1024], text[4096];
    int parent = 0;
    unsigned long long user = 0, system = 0;
    if (!processes_read(pid, "stat", stat, sizeof stat))
        return;
    const char *rest = strrchr(stat, ')'); /* the name before it may hold anything */
    if (!rest || sscanf(rest + 1, " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &parent,
                        &user, &system) != 3)
        return;
    if (parent != (int)getpid() && strtol(pid, NULL, 10) != (long)getpid())
        return;
    use->processes++;
    use->ticks += user + system;
    use->cpu_ns += processes_cpu_ns(pid);
    if (processes_read(pid, "smaps_rollup", text, sizeof text)) {
        const char *pss = strstr(text, "\nPss:");
        use->pss_bytes += pss ? strtoull(pss + 5, NULL, 10) * 1024 : 0;
    }
}

/* This process and its children. */
static inline void processes_use(struct process_use *ret_use)
{
    *ret_use = (struct process_use){0};
    DIR *dir = opendir("/proc");
    for (struct dirent *entry; dir && (entry = readdir(dir)) != NULL;)
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
            processes_add(entry->d_name, ret_use);
    if (dir)
        closedir(dir);
}

#endif
