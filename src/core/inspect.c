/* SPDX-License-Identifier: Apache-2.0 */
/* Looking into other processes' executors. The data changes while it is read, and the other process
 * may misbehave: everything is checked against the size of the file. */
#include "core/inspect.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/process_stat.h"
#include "compute/compute.h"
#include "ipc/area.h"
#include "ipc/bell.h"
#include "ipc/layout.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Process `pid` is the client of that area. */
typedef int visit_area(pid_t pid, struct lithops__area *area, void *user);

/* What a process of a container is called there: a number of its own. */
static pid_t pid_inside(pid_t pid)
{
    char path[64], line[256];
    long inside = pid;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file)) {
        const char *last = strncmp(line, "NSpid:", 6) == 0 ? strrchr(line, '\t') : NULL;
        if (last)
            inside = strtol(last, NULL, 10);
    }
    if (file)
        fclose(file);
    return (pid_t)inside;
}

/* Who is called `inside` in the container of `pid`, or where that is in none; 0: nobody. */
static pid_t pid_outside(pid_t pid, pid_t inside)
{
    char path[64], own[64] = "", other[64];
    pid_t found = 0;
    snprintf(path, sizeof path, "/proc/%d/ns/pid", (int)pid);
    if (pid_inside(pid) == pid)
        return inside;
    DIR *folder = readlink(path, own, sizeof own - 1) > 0 ? opendir("/proc") : NULL;
    const struct dirent *entry;
    while (folder && !found && (entry = readdir(folder)) != NULL) {
        pid_t at = (pid_t)strtol(entry->d_name, NULL, 10);
        if (at <= 0 || pid_inside(at) != inside)
            continue;
        snprintf(path, sizeof path, "/proc/%d/ns/pid", (int)at);
        ssize_t len = readlink(path, other, sizeof other - 1);
        other[len > 0 ? len : 0] = '\0';
        found = strcmp(own, other) == 0 ? at : 0;
    }
    if (folder)
        closedir(folder);
    return found;
}

/* Open the memory file of the executor whose client is `pid`, if descriptor `fd` is one. */
static int open_area(pid_t pid, const char *fd, bool writable, struct lithops__area *area)
{
    char path[288], target[256];
    snprintf(path, sizeof path, "/proc/%d/fd/%s", (int)pid, fd);
    ssize_t len = readlink(path, target, sizeof target - 1);
    if (len <= 0)
        return -1;
    target[len] = '\0';
    if (strncmp(target, "/memfd:lithops-", 15) != 0 ||
        strncmp(target, "/memfd:lithops-log", 18) == 0)
        return -1;
    int file = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    if (file < 0)
        return -1;
    if ((writable ? lithops__area_attach : lithops__area_peek)(area, file, NULL) != 0)
        return -1;
    if (area->control->client_pid == pid || area->control->client_pid == pid_inside(pid))
        return 0;
    lithops__area_detach(area); /* a worker's descriptor */
    return -1;
}

/* This executor's memory file was made by another version of the library. */
static bool is_of_other_version(pid_t pid, const char *fd, const char *executor_id)
{
    char path[288], target[256], name[96];
    struct lithops__area area;
    snprintf(path, sizeof path, "/proc/%d/fd/%s", (int)pid, fd);
    snprintf(name, sizeof name, "/memfd:lithops-%s ", executor_id); /* then "(deleted)" */
    ssize_t len = readlink(path, target, sizeof target - 1);
    if (len <= (ssize_t)strlen(name) || strncmp(target, name, strlen(name)) != 0)
        return false;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file >= 0 && lithops__area_peek(&area, file, NULL) == 0) { /* of a worker of ours */
        lithops__area_detach(&area);
        return false;
    }
    return file >= 0;
}

/* Files of other versions of the library cannot be looked into. That of executor `other` (NULL:
 * none) ends the visit with 1. */
static int visit_process(pid_t pid, bool writable, visit_area *visit, void *user, const char *other)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *folder = opendir(path);
    if (!folder)
        return 0; /* of another user, or gone */
    int rc = 0;
    const struct dirent *entry;
    while (rc == 0 && (entry = readdir(folder)) != NULL) {
        struct lithops__area area;
        if (entry->d_name[0] == '.')
            continue;
        if (open_area(pid, entry->d_name, writable, &area) != 0) {
            rc = other && is_of_other_version(pid, entry->d_name, other);
            continue;
        }
        rc = visit(pid, &area, user);
        lithops__area_detach(&area);
    }
    closedir(folder);
    return rc;
}

static int visit_all(bool writable, visit_area *visit, void *user, const char *other,
                     lithops_error *err)
{
    DIR *folder = opendir("/proc");
    if (!folder)
        return lithops__fail(err, LITHOPS_EUNSUPPORTED,
                             "/proc is not there: jobs of other "
                             "processes cannot be found");
    int rc = 0;
    const struct dirent *entry;
    while (rc == 0 && (entry = readdir(folder)) != NULL) {
        char *end;
        long pid = strtol(entry->d_name, &end, 10);
        if (*end == '\0' && pid > 0)
            rc = visit_process((pid_t)pid, writable, visit, user, other);
    }
    closedir(folder);
    return rc;
}

/* The states of a range that is in use and lies within the file; NULL otherwise. */
static lithops__state *states_of(const struct lithops__area *area,
                                 const struct lithops__range *range, uint64_t *ret_count)
{
    uint64_t count = atomic_load(&range->count), total = area->total_bytes;
    if (atomic_load(&range->generation) & 1 || range->states >= total ||
        count > (total - range->states) / sizeof(lithops__state))
        return NULL;
    *ret_count = count;
    return lithops__at(area, range->states);
}

static void number_range(const struct lithops__area *area, const struct lithops__range *range,
                         uint64_t count, uint32_t *ret_first, uint32_t *ret_last)
{
    *ret_first = *ret_last = range->job_number;
    uint64_t total = area->total_bytes;
    if (range->numbers == 0 || range->numbers >= total || count == 0 ||
        count > (total - range->numbers) / sizeof(uint32_t))
        return;
    const uint32_t *numbers = lithops__at(area, range->numbers);
    *ret_first = numbers[0] & LITHOPS__NUMBER_MASK;
    *ret_last = numbers[count - 1] & LITHOPS__NUMBER_MASK;
}

/* ---- clients -------------------------------------------------------------------------------- */

/* A variable of the environment that the process was started with. */
static bool variable_of(pid_t pid, const char *name, char *buf, size_t size)
{
    char path[64], *line = NULL;
    size_t room = 0, len = strlen(name);
    bool found = false;
    snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
    FILE *file = fopen(path, "re");
    while (file && !found && getdelim(&line, &room, '\0', file) > 0)
        if ((found = strncmp(line, name, len) == 0 && line[len] == '='))
            snprintf(buf, size, "%s", line + len + 1);
    free(line);
    if (file)
        fclose(file);
    return found;
}

/* Who has started a worker. */
static void describe_client(pid_t worker, char *ret_client, size_t size)
{
    char value[64];
    if (variable_of(worker, "SLURM_JOB_ID", value, sizeof value)) {
        snprintf(ret_client, size, "job %.60s of slurm", value);
    } else if (variable_of(worker, "SSH_CONNECTION", value, sizeof value)) {
        value[strcspn(value, " ")] = '\0';
        snprintf(ret_client, size, "%s", value);
    } else {
        (void)lithops__process_stat(worker, LITHOPS__STAT_PARENT, value, sizeof value);
        snprintf(ret_client, size, "process %s", value[0] ? value : "0");
    }
}

/* ---- listing --------------------------------------------------------------------------------- */

struct listing {
    int (*visit)(const struct lithops__inspected_job *job, void *user);
    void *user;
};

static int list_area(pid_t pid, struct lithops__area *area, void *user)
{
    const struct listing *listing = user;
    const struct lithops__control *control = area->control;
    uint64_t high = atomic_load(&control->ranges_high);
    char client[sizeof((struct lithops__inspected_job *)0)->client];
    if (control->is_elsewhere == LITHOPS__FOLLOWS)
        return 0; /* its supervisor has the calls */
    if (control->is_elsewhere)
        describe_client(pid, client, sizeof client);
    else
        snprintf(client, sizeof client, "process %d", (int)pid);
    for (uint64_t r = 0; r < high && r < LITHOPS__MAX_RANGES; r++) {
        const struct lithops__range *range = &area->ranges[r];
        uint64_t count;
        const lithops__state *states = states_of(area, range, &count);
        if (!states || count == 0 || range->function >= LITHOPS__MAX_FUNCTIONS ||
            range->job_kind == LITHOPS__JOB_MIRROR)
            continue;
        char id[sizeof range->executor_id];
        snprintf(id, sizeof id, "%.*s", (int)sizeof id - 1, range->executor_id);
        struct lithops__inspected_job job = {.executor_id = id,
                                             .pid = pid,
                                             .is_part = control->is_elsewhere,
                                             .function = area->functions[range->function].name,
                                             .calls = count,
                                             .age_s =
                                                 (double)(lithops__ticks() - range->submit_ticks) /
                                                 (double)control->ticks_per_ms / 1e3};
        uint32_t first, last;
        memcpy(job.client, client, sizeof client);
        number_range(area, range, count, &first, &last);
        char kind = range->job_kind ? range->job_kind : '?';
        if (first == last)
            snprintf(job.job_id, sizeof job.job_id, "%c%03u", kind, first);
        else
            snprintf(job.job_id, sizeof job.job_id, "%c%03u..%u", kind, first, last % 1000000);
        for (uint64_t i = 0; i < count; i++) {
            unsigned state = lithops__state_of(atomic_load(&states[i]));
            job.pending += state < LITHOPS__RUNNING;
            job.running += state == LITHOPS__RUNNING;
            job.success += state == LITHOPS__SUCCESS;
            job.failed += state == LITHOPS__FAILED;
            job.canceled += state == LITHOPS__CANCELED;
        }
        int rc = listing->visit(&job, listing->user);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int lithops__inspect_jobs(int (*visit)(const struct lithops__inspected_job *job, void *user),
                          void *user, lithops_error *err)
{
    struct listing listing = {visit, user};
    return visit_all(false, list_area, &listing, NULL, err);
}

/* ---- stopping -------------------------------------------------------------------------------- */

struct stopping {
    const char *executor_id;
    size_t id_len;
    char kind; /* 0: all jobs */
    uint32_t number;
    int64_t calls, calls_elsewhere; /* of clients here, and of those elsewhere */
    int64_t on_links;
    bool found, found_client;
    pid_t client; /* of the area that is looked into, by its number here */
};

static void stop_call(const struct lithops__area *area, lithops__state *state,
                      struct stopping *stopping)
{
    uint16_t seen = atomic_load(state);
    if (lithops__state_of(seen) < LITHOPS__RUNNING &&
        atomic_compare_exchange_strong(state, &seen, LITHOPS__NEVER_RAN)) {
        stopping->calls++;
        return;
    }
    unsigned worker = lithops__state_worker(seen);
    if (lithops__state_of(seen) != LITHOPS__RUNNING || worker >= area->control->max_workers)
        return;
    pid_t pid = atomic_load(&area->control->workers[worker].pid);
    pid_t here = pid > 0 ? pid_outside(stopping->client, pid) : 0;
    /* The job is marked as cancelled, so the client reports it so. */
    if (here > 0 && atomic_load(state) == seen && kill(here, SIGKILL) == 0)
        stopping->calls++;
    if (pid <= 0) { /* it runs on a link, whose client finds the mark */
        stopping->on_links++;
        stopping->calls++;
    }
}

static void stop_range(struct lithops__area *area, uint64_t r, struct stopping *stopping)
{
    struct lithops__range *range = &area->ranges[r];
    uint64_t count;
    lithops__state *states = states_of(area, range, &count);
    if (!states || range->job_kind == LITHOPS__JOB_MIRROR)
        return;
    uint32_t first, last;
    number_range(area, range, count, &first, &last);
    _Atomic uint32_t *numbers = first == last ? NULL : lithops__at(area, range->numbers);
    bool single = numbers && stopping->kind;
    if (stopping->kind &&
        (range->job_kind != stopping->kind || stopping->number < first || stopping->number > last))
        return;
    if (!single)
        atomic_store(&range->canceled, 1);
    for (uint64_t i = 0; i < count; i++) {
        if (single && (numbers[i] & LITHOPS__NUMBER_MASK) != stopping->number)
            continue;
        stopping->found = true;
        if (single)
            atomic_fetch_or(&numbers[i], LITHOPS__NUMBER_STOPPED);
        stop_call(area, &states[i], stopping);
    }
    atomic_fetch_add(&range->failed, 1);
    atomic_store(&range->recount, 1);
    if (range->dependents && range->dependents <= LITHOPS__MAX_RANGES) {
        /* Its reducers would wait for ever for calls that never run. */
        struct stopping all = {.kind = 0, .client = stopping->client};
        stop_range(area, range->dependents - 1, &all);
        stopping->on_links += all.on_links;
    }
}

static bool is_of_executor(const struct stopping *stopping, const char *id, size_t size)
{
    return strnlen(id, size) == stopping->id_len &&
           strncmp(id, stopping->executor_id, stopping->id_len) == 0;
}

/* Jobs are known by the executor that has started them, which may be elsewhere. */
static int stop_area(pid_t pid, struct lithops__area *area, void *user)
{
    struct stopping *all = user, own = *all;
    struct lithops__control *control = area->control;
    const bool is_whole =
        own.kind == 0 && is_of_executor(&own, control->executor_id, sizeof control->executor_id);
    uint64_t high = atomic_load(&control->ranges_high);
    if (control->is_elsewhere == LITHOPS__FOLLOWS)
        return 0; /* its supervisor has the calls */
    own.found = is_whole;
    own.client = pid;
    own.calls = own.on_links = 0;
    for (uint64_t r = 0; r < high && r < LITHOPS__MAX_RANGES; r++) {
        const struct lithops__range *range = &area->ranges[r];
        if (is_whole || is_of_executor(&own, range->executor_id, sizeof range->executor_id))
            stop_range(area, r, &own);
    }
    if (own.on_links > 0)
        atomic_fetch_add(&control->stops, 1);
    if (own.found)
        lithops__bell_landed(control);
    all->found |= own.found;
    all->found_client |= own.found && !control->is_elsewhere;
    *(control->is_elsewhere ? &all->calls_elsewhere : &all->calls) += own.calls;
    return 0;
}

int64_t lithops__inspect_stop(const char *key, bool *ret_is_part, lithops_error *err)
{
    struct stopping stopping = {.executor_id = key, .id_len = strlen(key)};
    const char *dash = strrchr(key, '-');
    char *end = NULL;
    if (dash && (dash[1] == 'A' || dash[1] == 'M' || dash[1] == 'R')) {
        stopping.kind = dash[1];
        stopping.number = (uint32_t)strtoul(dash + 2, &end, 10);
        stopping.id_len = (size_t)(dash - key);
        if (end == dash + 2 || *end)
            return lithops__fail(err, LITHOPS_EUSAGE,
                                 "'%s' is not the key of a job, such as a1b2c3-0-M000", key);
    }
    int rc = visit_all(true, stop_area, &stopping, NULL, err);
    if (rc != 0)
        return rc;
    if (!stopping.found)
        return lithops__fail(err, LITHOPS_ENOTFOUND,
                             "there is no job or executor '%s' of this user; 'lithops job list' "
                             "shows what there is",
                             key);
    *ret_is_part = !stopping.found_client;
    /* Where a client and its worker are both here, each has the call. */
    return stopping.calls ? stopping.calls : stopping.calls_elsewhere;
}

/* ---- workers --------------------------------------------------------------------------------- */

struct worker_listing {
    int (*visit)(const struct lithops__inspected_worker *worker, void *user);
    void *user;
};

static uint64_t count_running(const struct lithops__area *area)
{
    uint64_t running = 0, high = atomic_load(&area->control->ranges_high);
    for (uint64_t r = 0; r < high && r < LITHOPS__MAX_RANGES; r++) {
        uint64_t count;
        const lithops__state *states = states_of(area, &area->ranges[r], &count);
        if (area->ranges[r].job_kind == LITHOPS__JOB_MIRROR)
            continue;
        for (uint64_t i = 0; states && i < count; i++)
            running += lithops__state_of(atomic_load(&states[i])) == LITHOPS__RUNNING;
    }
    return running;
}

static int list_worker(pid_t pid, struct lithops__area *area, void *user)
{
    const struct worker_listing *listing = user;
    const struct lithops__control *control = area->control;
    char own_id[sizeof control->executor_id + 1] = ""; /* "w<pid>-<the client's>" */
    if (control->is_elsewhere != LITHOPS__ELSEWHERE)
        return 0;
    memcpy(own_id, control->executor_id, sizeof control->executor_id);
    const char *dash = strchr(own_id, '-');
    struct lithops__inspected_worker worker = {.pid = pid,
                                               .executor_id = dash ? dash + 1 : own_id,
                                               .processes = control->max_workers,
                                               .running = count_running(area)};
    struct timespec now;
    char ticks[24];
    clock_gettime(CLOCK_BOOTTIME, &now);
    (void)lithops__process_stat(worker.pid, LITHOPS__STAT_START, ticks, sizeof ticks);
    worker.age_s = (double)now.tv_sec + (double)now.tv_nsec / 1e9 -
                   strtod(ticks, NULL) / (double)sysconf(_SC_CLK_TCK);
    describe_client(worker.pid, worker.client, sizeof worker.client);
    return listing->visit(&worker, listing->user);
}

int lithops__inspect_workers(int (*visit)(const struct lithops__inspected_worker *worker,
                                          void *user),
                             void *user, lithops_error *err)
{
    struct worker_listing listing = {visit, user};
    return visit_all(false, list_worker, &listing, NULL, err);
}

static int is_worker(pid_t pid, struct lithops__area *area, void *user)
{
    (void)pid, (void)user;
    return area->control->is_elsewhere == LITHOPS__ELSEWHERE ? 1 : 0;
}

int lithops__inspect_stop_worker(pid_t pid, lithops_error *err)
{
    if (visit_process(pid, false, is_worker, NULL, NULL) == 1 && kill(pid, SIGINT) == 0) {
        (void)kill(pid, SIGCONT); /* it may stand still */
        return 0;
    }
    return lithops__fail(err, LITHOPS_ENOTFOUND,
                         "there is no worker %d of this user; 'lithops worker list' shows what "
                         "there is",
                         (int)pid);
}

/* ---- tidying
 * -------------------------------------------------------------------------------------- */

static int is_same_executor(pid_t pid, struct lithops__area *area, void *user)
{
    (void)pid;
    const char *id = user;
    const char *other = area->control->executor_id;
    size_t size = sizeof area->control->executor_id;
    return strnlen(other, size) == strlen(id) && strncmp(other, id, size) == 0;
}

static bool is_alive(const char *executor_id)
{
    /* When nobody can be looked at, everybody may be alive. */
    return executor_id && visit_all(false, is_same_executor, (void *)(uintptr_t)executor_id,
                                    executor_id, NULL) != 0;
}

bool lithops__inspect_is_alive(const char *executor_id)
{
    return is_alive(executor_id);
}

struct lithops__tidied lithops__inspect_tidy(bool dry_run)
{
    struct lithops__tidied tidied = {0};
    for (size_t i = 0; lithops__compute_drivers[i]; i++) {
        const struct lithops__compute_ops *ops = lithops__compute_drivers[i]->ops;
        if (ops->tidy)
            ops->tidy(is_alive, dry_run, &tidied);
    }
    return tidied;
}
