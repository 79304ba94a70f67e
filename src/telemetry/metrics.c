/* SPDX-License-Identifier: Apache-2.0 */
#include "telemetry/metrics.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_SCOPES = 1000 }; /* a program that names its functions at run time has no end of them */

#define DURATIONS                                                                                  \
    {                                                                                              \
        0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800                           \
    }
#define DELAYS                                                                                     \
    {                                                                                              \
        0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300                                \
    }
#define OVERHEADS                                                                                  \
    {                                                                                              \
        0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60                            \
    }
#define SIZES                                                                                      \
    {                                                                                              \
        1024, 8192, 65536, 524288, 1048576, 8388608, 67108864, 536870912                           \
    }
#define JOB_SIZES                                                                                  \
    {                                                                                              \
        1024, 16384, 131072, 1048576, 8388608, 67108864, 536870912, 4294967296                     \
    }
#define MEMORY                                                                                     \
    {                                                                                              \
        16777216, 67108864, 134217728, 268435456, 536870912, 1073741824, 2147483648, 4294967296,   \
            8589934592                                                                             \
    }
#define RATIOS                                                                                     \
    {                                                                                              \
        0.1, 0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1, 1.25                                          \
    }
#define PERCENTS                                                                                   \
    {                                                                                              \
        1, 5, 10, 25, 50, 75, 90, 95, 99, 100                                                      \
    }
#define CALLS                                                                                      \
    {                                                                                              \
        1, 5, 10, 50, 100, 500, 1000, 5000, 10000, 50000                                           \
    }

const struct lithops__metric lithops__metrics[LITHOPS__METRICS] = {
    [LITHOPS__JOBS_SUBMITTED] = {.name = "lithops_jobs_submitted",
                                 .help = "Jobs that were started"},
    [LITHOPS__CALLS_INVOKED] = {.name = "lithops_calls_invoked",
                                .help = "Calls given to the backend"},
    [LITHOPS__CALLS_STARTED] = {.name = "lithops_calls_started",
                                .help = "Calls known to have begun"},
    [LITHOPS__CALLS_COMPLETED] = {.name = "lithops_calls_completed",
                                  .help = "Calls that ended, by outcome",
                                  .label = "outcome",
                                  .values = {"success", "failure", "timeout", "canceled"}},
    [LITHOPS__CALL_RETRIES] = {.name = "lithops_call_retries",
                               .help = "How often calls were run again"},
    [LITHOPS__COLD_STARTS] = {.name = "lithops_cold_starts",
                              .help = "Calls that were the first of their worker"},
    [LITHOPS__WORKER_CPU_SECONDS] = {.name = "lithops_worker_cpu_seconds",
                                     .help = "CPU time of functions",
                                     .label = "mode",
                                     .values = {"user", "system"}},
    [LITHOPS__WORKER_NETWORK_BYTES] = {.name = "lithops_worker_network_bytes",
                                       .help = "Bytes that passed the worker's network interfaces",
                                       .label = "direction",
                                       .values = {"sent", "recv"}},
    [LITHOPS__CALL_DURATION] = {.name = "lithops_call_duration_seconds",
                                .help = "Time inside the function",
                                .buckets = DURATIONS},
    [LITHOPS__CALL_TOTAL_DURATION] = {.name = "lithops_call_total_duration_seconds",
                                      .help = "Time of the call on its worker",
                                      .buckets = DURATIONS},
    [LITHOPS__CALL_QUEUE_DELAY] = {.name = "lithops_call_queue_delay_seconds",
                                   .help = "From starting a call in the client to its beginning",
                                   .buckets = DELAYS},
    [LITHOPS__CALL_STATUS_LATENCY] = {.name = "lithops_call_status_latency_seconds",
                                      .help =
                                          "From the end of a call to the client's knowing of it",
                                      .buckets = DELAYS},
    [LITHOPS__CALL_RESULT_SIZE] = {.name = "lithops_call_result_size_bytes",
                                   .help = "Size of results",
                                   .buckets = SIZES},
    [LITHOPS__CALL_RESULT_DOWNLOAD] = {.name = "lithops_call_result_download_seconds",
                                       .help = "From the client's knowing of an end to its result",
                                       .label = "source",
                                       .values = {"inline"},
                                       .buckets = OVERHEADS},
    [LITHOPS__CALL_END_TO_END] = {.name = "lithops_call_end_to_end_seconds",
                                  .help = "From starting a call in the client to its result",
                                  .buckets = DURATIONS},
    [LITHOPS__WORKER_MEMORY] = {.name = "lithops_worker_memory_bytes",
                                .help = "Memory of the worker",
                                .label = "kind",
                                .values = {"rss", "vms", "uss", "peak", "baseline"},
                                .buckets = MEMORY},
    [LITHOPS__WORKER_MEMORY_RATIO] = {.name = "lithops_worker_memory_utilization_ratio",
                                      .help = "Memory of the worker over the runtime's",
                                      .label = "kind",
                                      .values = {"rss", "peak"},
                                      .buckets = RATIOS},
    [LITHOPS__WORKER_CPU_UTILIZATION] = {.name = "lithops_worker_cpu_utilization_percent",
                                         .help = "CPU time of a function over the time it took",
                                         .buckets = PERCENTS},
    [LITHOPS__JOB_CALLS] = {.name = "lithops_job_calls",
                            .help = "Calls of a job",
                            .buckets = CALLS},
    [LITHOPS__JOB_CREATE] = {.name = "lithops_job_create_seconds",
                             .help = "Time that the client took for a job",
                             .buckets = OVERHEADS},
    [LITHOPS__JOB_SERIALIZE] = {.name = "lithops_job_serialize_seconds",
                                .help = "Time to encode function and inputs",
                                .buckets = OVERHEADS},
    [LITHOPS__JOB_PARTITION] = {.name = "lithops_job_partition_seconds",
                                .help = "Time to partition objects",
                                .buckets = OVERHEADS},
    [LITHOPS__JOB_PAYLOAD] = {.name = "lithops_job_payload_bytes",
                              .help = "Size of what a job consists of",
                              .label = "part",
                              .values = {"function", "data"},
                              .buckets = JOB_SIZES},
};

size_t lithops__metric_values(const struct lithops__metric *metric)
{
    size_t count = 0;
    while (metric->values[count])
        count++;
    return count ? count : 1;
}

size_t lithops__metric_buckets(const struct lithops__metric *metric)
{
    size_t count = 0;
    while (metric->buckets[count] > 0)
        count++;
    return count;
}

static void free_scope(struct lithops__scope *scope)
{
    free(scope->backend);
    free(scope->runtime);
    free(scope->function);
    free(scope);
}

static struct lithops__scope *make_scope(const char *backend, const char *runtime,
                                         int64_t memory_mb, const char *function)
{
    struct lithops__scope *scope = calloc(1, sizeof *scope);
    if (!scope)
        return NULL;
    scope->backend = strdup(backend);
    scope->runtime = strdup(runtime);
    scope->function = strdup(function);
    scope->memory_mb = memory_mb;
    if (scope->backend && scope->runtime && scope->function)
        return scope;
    free_scope(scope);
    return NULL;
}

struct lithops__scope *lithops__registry_scope(struct lithops__registry *registry,
                                               const char *backend, const char *runtime,
                                               int64_t memory_mb, const char *function)
{
    struct lithops__scope **at = &registry->scopes;
    for (; *at; at = &(*at)->next)
        if ((*at)->memory_mb == memory_mb && strcmp((*at)->function, function) == 0 &&
            strcmp((*at)->backend, backend) == 0 && strcmp((*at)->runtime, runtime) == 0)
            return *at;
    if (registry->count >= MOST_SCOPES)
        return NULL;
    *at = make_scope(backend, runtime, memory_mb, function);
    registry->count += *at != NULL;
    return *at;
}

void lithops__scope_add(struct lithops__scope *scope, enum lithops__metric_id id, unsigned label,
                        double value)
{
    const struct lithops__metric *metric = &lithops__metrics[id];
    struct lithops__series *series = &scope->series[id][label];
    series->count++;
    series->sum += value;
    if (!(metric->buckets[0] > 0))
        return;
    size_t i = 0;
    while (metric->buckets[i] > 0 && value > metric->buckets[i])
        i++;
    series->buckets[i]++;
}

bool lithops__registry_copy(const struct lithops__registry *registry,
                            struct lithops__registry *ret_copy)
{
    *ret_copy = (struct lithops__registry){NULL, 0};
    struct lithops__scope **end = &ret_copy->scopes;
    for (const struct lithops__scope *scope = registry->scopes; scope; scope = scope->next) {
        *end = make_scope(scope->backend, scope->runtime, scope->memory_mb, scope->function);
        if (!*end) {
            lithops__registry_deinit(ret_copy);
            return false;
        }
        memcpy((*end)->series, scope->series, sizeof scope->series);
        end = &(*end)->next;
        ret_copy->count++;
    }
    return true;
}

void lithops__registry_deinit(struct lithops__registry *registry)
{
    struct lithops__scope *scope = registry->scopes, *next;
    for (; scope; scope = next) {
        next = scope->next;
        free_scope(scope);
    }
    *registry = (struct lithops__registry){NULL, 0};
}
