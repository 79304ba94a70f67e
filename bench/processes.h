/* SPDX-License-Identifier: Apache-2.0 */
/* CPU time and memory of a program and its children, from /proc. */
#ifndef LITHOPS_BENCH_PROCESSES_H
#define LITHOPS_BENCH_PROCESSES_H

#include "bench.h"

#include <dirent.h>

struct process_use {
    int processes;
    uint64_t ticks;     /* of CPU time: what `top` would see, 10 ms each */
    uint64_t cpu_ns;    /* the same in nanoseconds, where the kernel has them */
    uint64_t pss_bytes; /* memory; shared pages count once over all processes */
};

static inline bool processes_read(const char *pid, const char *file, char *buf, size_t size)
{
    char path[128];
    snprintf(path, sizeof path, "/proc/%.40s/%.60s", pid, file);
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    size_t len = fread(buf, 1, size - 1, f);
    buf[len] = '\0';
    fclose(f);
    return len > 0;
}

/* All threads of one process; /proc/PID/schedstat covers only its first thread. */
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
    unsigned long long user = 0, system = 0;
    if (!processes_read(pid, "stat", stat, sizeof stat))
        return;
    const char *rest = strrchr(stat, ')'); /* the name before it may contain anything */
    if (!rest || sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user,
                        &system) != 2)
        return;
    use->processes++;
    use->ticks += user + system;
    use->cpu_ns += processes_cpu_ns(pid);
    if (processes_read(pid, "smaps_rollup", text, sizeof text)) {
        const char *pss = strstr(text, "\nPss:");
        use->pss_bytes += pss ? strtoull(pss + 5, NULL, 10) * 1024 : 0;
    }
}

/* A process and its descendants, which are read first, as looking for them takes time too. */
static inline void processes_add_tree(const char *pid, struct process_use *use)
{
    char folder[64], file[64], text[4096];
    snprintf(folder, sizeof folder, "/proc/%.20s/task", pid);
    DIR *dir = opendir(folder);
    for (struct dirent *task; dir && (task = readdir(dir)) != NULL;) {
        snprintf(file, sizeof file, "task/%.20s/children", task->d_name);
        if (task->d_name[0] == '.' || !processes_read(pid, file, text, sizeof text))
            continue;
        char *rest = NULL;
        for (char *child = strtok_r(text, " \n", &rest); child;
             child = strtok_r(NULL, " \n", &rest))
            processes_add_tree(child, use);
    }
    if (dir)
        closedir(dir);
    processes_add(pid, use);
}

/* This process and its descendants. */
static inline void processes_use(struct process_use *ret_use)
{
    char self[16];
    *ret_use = (struct process_use){0};
    snprintf(self, sizeof self, "%d", (int)getpid());
    processes_add_tree(self, ret_use);
}

#endif
