/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics of a call, with upstream's keys; docs/statistics.md says what each means. */
#include "core/stats.h"

#include "base/clock.h"
#include "core/fork.h"
#include "core/future.h"
#include "core/job.h"
#include "core/seen.h"
#include "ipc/area.h"
#include "ipc/layout.h"
#include "ipc/table.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

/* All times shown derive from one pair of clock readings, so that they are in order. */
static double seconds(const struct lithops__tick_clock *clock, uint64_t ticks)
{
    return lithops__tick_clock_seconds(clock, ticks);
}

struct lithops__tick_clock lithops__executor_clock(lithops_executor *fexec)
{
    pthread_mutex_lock(&fexec->table.lock);
    lithops__tick_clock_update(&fexec->clock);
    struct lithops__tick_clock clock = fexec->clock;
    pthread_mutex_unlock(&fexec->table.lock);
    return clock;
}

bool lithops__call_times(struct lithops__job *job, uint64_t index,
                         const struct lithops__tick_clock *clock, struct lithops__times *ret)
{
    lithops_executor *fexec = job->fexec;
    uint64_t epoch = fexec->table.area.control->epoch_ticks;
    uint16_t state = lithops__job_state(job, index);
    memset(ret, 0, sizeof *ret);
    bool page = job->is_page;
    uint64_t created = page ? job->submit_times[index] : job->created;
    ret->created = seconds(clock, created);
    ret->partitioned = job->partitioned ? seconds(clock, job->partitioned) : 0;
    ret->serialized = page ? ret->created : seconds(clock, job->serialized);
    ret->submitted = page ? ret->created : seconds(clock, job->submitted);
    struct lithops__host_times seen = lithops__job_seen(job, index);
    ret->status_done = seen.status_done ? seconds(clock, seen.status_done) : 0;
    ret->result_done = seen.result_done ? seconds(clock, seen.result_done) : 0;
    if (!lithops__state_is_done(state) || state == LITHOPS__NEVER_RAN)
        return false;
    const struct lithops__record *record = lithops__job_record(job, index);
    uint64_t start = lithops__record_start(record), end = record->end;
    if (start == 0 && end == 0)
        return false; /* was never started */
    if (end < start)
        end = start; /* the calls of its group are still running */
    ret->start = seconds(clock, epoch + start);
    ret->end = seconds(clock, epoch + end);
    ret->has_run = true;
    return true;
}

/* Statistics being built: without memory for all of them there are none. */
struct stats {
    lithops_value *map;
    bool no_memory;
};

static void set(struct stats *stats, const char *key, lithops_value *value)
{
    stats->no_memory |= lithops_value_set(stats->map, key, value) != 0;
}

static void set_double(struct stats *stats, const char *key, double d)
{
    set(stats, key, lithops_value_double(d));
}

static void set_int(struct stats *stats, const char *key, int64_t i)
{
    set(stats, key, lithops_value_int(i));
}

static void add_host(struct stats *stats, const struct lithops__job *job, uint64_t index,
                     const struct lithops__times *times)
{
    set(stats, "func_name", lithops_value_string(job->function));
    set_int(stats, "func_module_size_bytes", (int64_t)job->image_bytes);
    set_int(stats, "func_data_size_bytes",
            (int64_t)(job->is_page ? job->data_sizes[index] : job->data_bytes));
    set_double(stats, "host_job_create_tstamp", times->created);
    double encoded_from = times->created;
    if (times->partitioned > 0) {
        set_double(stats, "host_job_create_partitions_time", times->partitioned - times->created);
        encoded_from = times->partitioned;
    }
    set_double(stats, "host_job_serialize_time", times->serialized - encoded_from);
    set_double(stats, "host_func_upload_time", 0);
    set_double(stats, "host_data_upload_time", 0);
    set_double(stats, "host_job_created_time", times->serialized - times->created);
    set_double(stats, "host_submit_tstamp", times->submitted);
    if (times->status_done > 0) {
        set_double(stats, "host_status_done_tstamp", times->status_done);
        set_int(stats, "host_status_query_count", 0);
    }
    if (times->result_done > 0) {
        set_double(stats, "host_result_done_tstamp", times->result_done);
        set_int(stats, "host_result_query_count", 0);
    }
}

static void add_resources(struct stats *stats, const struct lithops__call_extra *extra, double wall)
{
    static const struct lithops__call_extra nothing;
    lithops_value *usage = lithops_value_list();
    double user = 0, system = 0;
    if (extra) {
        user = (double)extra->user_us / 1e6;
        system = (double)extra->system_us / 1e6;
        if (wall > 0)
            stats->no_memory |= lithops_value_append(
                                    usage, lithops_value_double(100 * (user + system) / wall)) != 0;
    } else {
        extra = &nothing;
    }
    set(stats, "worker_func_cpu_usage", usage);
    set_double(stats, "worker_func_cpu_user_time", user);
    set_double(stats, "worker_func_cpu_system_time", system);
    set_int(stats, "worker_func_sent_net_io", (int64_t)extra->net_sent);
    set_int(stats, "worker_func_recv_net_io", (int64_t)extra->net_received);
    set_int(stats, "worker_func_rss", (int64_t)extra->rss_kb * 1024);
    set_int(stats, "worker_func_vms", (int64_t)extra->vms_kb * 1024);
    set_int(stats, "worker_func_uss", (int64_t)extra->uss_kb * 1024);
    set_int(stats, "worker_peak_memory_start", (int64_t)extra->peak_start_kb * 1024);
    set_int(stats, "worker_peak_memory_end", (int64_t)extra->peak_end_kb * 1024);
}

/* The machine: as the backend calls it, or by its own name where that is this one. */
static void add_worker(struct stats *stats, const struct lithops__job *job, uint64_t index)
{
    char own[HOST_NAME_MAX + 1] = "";
    uint32_t slot = lithops__state_worker(lithops__job_state(job, index));
    const char *name = lithops__table_worker_name(&job->fexec->table, slot);
    if (!name && (gethostname(own, sizeof own) != 0 || own[sizeof own - 1] != '\0'))
        own[0] = '\0';
    set(stats, "worker_host", lithops_value_string(name ? name : own));
}

static void add_run(struct stats *stats, const struct lithops__job *job, uint64_t index,
                    const struct lithops__times *times)
{
    const struct lithops__range *range = lithops__job_range(job);
    const struct lithops__record *record = lithops__job_record(job, index);
    int64_t size = lithops__job_result_size(job, index);
    set_int(stats, "func_result_size", size > 0 ? size : 0);
    set_int(stats, "worker_calls", range->chunk ? range->chunk : 1);
    set(stats, "worker_cold_start",
        lithops_value_bool(record->start_and_content & LITHOPS__CONTENT_COLD));
    add_worker(stats, job, index);
    set_double(stats, "worker_start_tstamp", times->start);
    set_double(stats, "worker_func_start_tstamp", times->start);
    set_double(stats, "worker_func_end_tstamp", times->end);
    set_double(stats, "worker_end_tstamp", times->end);
    set_double(stats, "worker_func_exec_time", times->end - times->start);
    set_double(stats, "worker_exec_time", times->end - times->start);
    set_double(stats, "worker_result_upload_time", 0);
    add_resources(stats, lithops__table_extra(&job->fexec->table.area, range, index),
                  times->end - times->start);
}

lithops_value *lithops_future_stats(const lithops_future *future)
{
    if (!future || lithops__is_forked(future->job->fexec))
        return NULL;
    struct lithops__job *job = future->job;
    uint64_t index = future->index;
    struct lithops__times times;
    struct lithops__tick_clock clock = lithops__executor_clock(job->fexec);
    bool has_run = lithops__call_times(job, index, &clock, &times);
    struct stats stats = {lithops_value_map(), false};
    add_host(&stats, job, index, &times);
    if (has_run)
        add_run(&stats, job, index, &times);
    if (stats.no_memory) {
        lithops_value_free(stats.map);
        return NULL;
    }
    return stats.map;
}
