/* SPDX-License-Identifier: Apache-2.0 */
/* Looking into other processes' executors. What is read here changes while it is read, and may be
 * of a process that misbehaves: everything is checked against the size of the file. */
#include "core/inspect.h"

#include "base/clock.h"
#include "base/error.h"
#include "compute/compute.h"
#include "ipc/area.h"
#include "ipc/bell.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef int visit_area(struct lithops__area *area, void *user);

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
    if (area->control->client_pid == pid)
        return 0;
    lithops__area_detach(area); /* a worker's descriptor */
    return -1;
}

static int visit_process(pid_t pid, bool writable, visit_area *visit, void *user)
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
        if (entry->d_name[0] == '.' || open_area(pid, entry->d_name, writable, &area) != 0)
            continue;
        rc = visit(&area, user);
        lithops__area_detach(&area);
    }
    closedir(folder);
    return rc;
}

static int visit_all(bool writable, visit_area *visit, void *user, lithops_error *err)
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
            rc = visit_process((pid_t)pid, writable, visit, user);
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
    *ret_first = numbers[0];
    *ret_last = numbers[count - 1];
}

/* ---- listing --------------------------------------------------------------------------------- */

struct listing {
    int (*visit)(const struct lithops__inspected_job *job, void *user);
    void *user;
};

static int list_area(struct lithops__area *area, void *user)
{
    const struct listing *listing = user;
    const struct lithops__control *control = area->control;
    char id[sizeof control->executor_id];
    snprintf(id, sizeof id, "%.*s", (int)sizeof id - 1, control->executor_id);
    uint64_t high = atomic_load(&control->ranges_high);
    for (uint64_t r = 0; r < high && r < LITHOPS__MAX_RANGES; r++) {
        const struct lithops__range *range = &area->ranges[r];
        uint64_t count;
        const lithops__state *states = states_of(area, range, &count);
        if (!states || count == 0 || range->function >= LITHOPS__MAX_FUNCTIONS)
            continue;
        struct lithops__inspected_job job = {.executor_id = id,
                                             .pid = control->client_pid,
                                             .function = area->functions[range->function].name,
                                             .calls = count,
                                             .age_s =
                                                 (double)(lithops__ticks() - range->submit_ticks) /
                                                 (double)control->ticks_per_ms / 1e3};
        uint32_t first, last;
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
    return visit_all(false, list_area, &listing, err);
}

/* ---- stopping -------------------------------------------------------------------------------- */

struct stopping {
    const char *executor_id;
    size_t id_len;
    char kind; /* 0: all jobs */
    uint32_t number;
    int64_t calls;
    bool found;
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
    /* The job is marked as cancelled, so the client reports it so. */
    if (pid > 0 && atomic_load(state) == seen && kill(pid, SIGKILL) == 0)
        stopping->calls++;
}

static void stop_range(struct lithops__area *area, uint64_t r, struct stopping *stopping)
{
    struct lithops__range *range = &area->ranges[r];
    uint64_t count;
    lithops__state *states = states_of(area, range, &count);
    if (!states)
        return;
    uint32_t first, last;
    number_range(area, range, count, &first, &last);
    const uint32_t *numbers = first == last ? NULL : lithops__at(area, range->numbers);
    bool single = numbers && stopping->kind;
    if (stopping->kind &&
        (range->job_kind != stopping->kind || stopping->number < first || stopping->number > last))
        return;
    if (!single)
        atomic_store(&range->canceled, 1);
    for (uint64_t i = 0; i < count; i++) {
        if (single && numbers[i] != stopping->number)
            continue;
        stopping->found = true;
        stop_call(area, &states[i], stopping);
    }
    atomic_fetch_add(&range->failed, 1);
    atomic_store(&range->recount, 1);
    if (range->dependents && range->dependents <= LITHOPS__MAX_RANGES) {
        /* Its reducers would wait for ever for calls that nobody runs. */
        struct stopping all = {.kind = 0};
        stop_range(area, range->dependents - 1, &all);
    }
}

static int stop_area(struct lithops__area *area, void *user)
{
    struct stopping *stopping = user;
    if (strlen(area->control->executor_id) != stopping->id_len ||
        strncmp(area->control->executor_id, stopping->executor_id, stopping->id_len) != 0)
        return 0;
    uint64_t high = atomic_load(&area->control->ranges_high);
    for (uint64_t r = 0; r < high && r < LITHOPS__MAX_RANGES; r++)
        stop_range(area, r, stopping);
    if (stopping->kind == 0)
        stopping->found = true;
    lithops__bell_landed(area->control);
    return 0;
}

int64_t lithops__inspect_stop(const char *key, lithops_error *err)
{
    struct stopping stopping = {.executor_id = key, .id_len = strlen(key)};
    const char *dash = strrchr(key, '-');
    char *end = NULL;
    if (dash && (dash[1] == 'A' || dash[1] == 'M' || dash[1] == 'R')) {
        stopping.kind = dash[1];
        stopping.number = (uint32_t)strtoul(dash + 2, &end, 10);
        stopping.id_len = (size_t)(dash - key);
        if (end == dash + 2 || *end)
            return lithops__fail(err, LITHOPS_EUSAGE, "'%s' is no job: a1b2c3-0-M000 is one", key);
    }
    int rc = visit_all(true, stop_area, &stopping, err);
    if (rc != 0)
        return rc;
    if (!stopping.found)
        return lithops__fail(err, LITHOPS_ENOTFOUND,
                             "there is no job or executor '%s' of this user; 'lithops job list' "
                             "shows what there is",
                             key);
    return stopping.calls;
}

/* ---- tidying
 * -------------------------------------------------------------------------------------- */

static int is_same_executor(struct lithops__area *area, void *user)
{
    const char *id = user;
    const char *other = area->control->executor_id;
    size_t size = sizeof area->control->executor_id;
    return strnlen(other, size) == strlen(id) && strncmp(other, id, size) == 0;
}

static bool is_alive(const char *executor_id)
{
    /* When nobody can be looked at, everybody may be alive. */
    return visit_all(false, is_same_executor, (void *)(uintptr_t)executor_id, NULL) != 0;
}

struct lithops__tidied lithops__inspect_tidy(void)
{
    struct lithops__tidied tidied = {0};
    for (size_t i = 0; lithops__compute_drivers[i]; i++) {
        const struct lithops__compute_ops *ops = lithops__compute_drivers[i]->ops;
        if (ops->tidy)
            ops->tidy(is_alive, &tidied);
    }
    return tidied;
}
