/* SPDX-License-Identifier: Apache-2.0 */
/* What is measured: upstream's metrics, by upstream's names, in a constant table; and their values,
 * for each set of labels that a job has. No label tells calls or jobs apart, so there are as many
 * sets as there are functions, however many calls run.
 *
 * A registry has no lock of its own: see telemetry.h. */
#ifndef LITHOPS_TELEMETRY_METRICS_H
#define LITHOPS_TELEMETRY_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum lithops__metric_id {
    LITHOPS__JOBS_SUBMITTED,
    LITHOPS__CALLS_INVOKED,
    LITHOPS__CALLS_STARTED,
    LITHOPS__CALLS_COMPLETED,
    LITHOPS__CALL_RETRIES, /* ours; the others are upstream's */
    LITHOPS__COLD_STARTS,
    LITHOPS__WORKER_CPU_SECONDS,
    LITHOPS__WORKER_NETWORK_BYTES,
    LITHOPS__CALL_DURATION,
    LITHOPS__CALL_TOTAL_DURATION,
    LITHOPS__CALL_QUEUE_DELAY,
    LITHOPS__CALL_STATUS_LATENCY,
    LITHOPS__CALL_RESULT_SIZE,
    LITHOPS__CALL_RESULT_DOWNLOAD,
    LITHOPS__CALL_END_TO_END,
    LITHOPS__WORKER_MEMORY,
    LITHOPS__WORKER_MEMORY_RATIO,
    LITHOPS__WORKER_CPU_UTILIZATION,
    LITHOPS__JOB_CALLS,
    LITHOPS__JOB_CREATE,
    LITHOPS__JOB_SERIALIZE,
    LITHOPS__JOB_PARTITION,
    LITHOPS__JOB_PAYLOAD,
    LITHOPS__METRICS,
};

/* The value of a metric's own label, by its place in the table. */
enum lithops__outcome_label {
    LITHOPS__OF_SUCCESS,
    LITHOPS__OF_FAILURE,
    LITHOPS__OF_TIMEOUT,
    LITHOPS__OF_CANCELED
};
enum lithops__mode_label { LITHOPS__OF_USER, LITHOPS__OF_SYSTEM };
enum lithops__direction_label { LITHOPS__OF_SENT, LITHOPS__OF_RECEIVED };
enum lithops__memory_label {
    LITHOPS__OF_RSS,
    LITHOPS__OF_VMS,
    LITHOPS__OF_USS,
    LITHOPS__OF_PEAK,
    LITHOPS__OF_BASELINE
};
enum lithops__ratio_label { LITHOPS__RATIO_RSS, LITHOPS__RATIO_PEAK };
enum lithops__part_label { LITHOPS__OF_FUNCTION, LITHOPS__OF_DATA };

enum { LITHOPS__LABEL_VALUES = 5, LITHOPS__BUCKETS = 14 };

struct lithops__metric {
    const char *name; /* a counter's is shown with "_total" by Prometheus */
    const char *help;
    const char *label; /* beside those of the job; NULL: none */
    const char *values[LITHOPS__LABEL_VALUES + 1];
    double buckets[LITHOPS__BUCKETS + 1]; /* upper bounds, then 0; none: it is a counter */
};
extern const struct lithops__metric lithops__metrics[LITHOPS__METRICS];

size_t lithops__metric_values(const struct lithops__metric *metric);  /* at least 1 */
size_t lithops__metric_buckets(const struct lithops__metric *metric); /* 0: a counter */

/* Of one metric and label: of a counter, the sum alone. */
struct lithops__series {
    uint64_t count;
    double sum;
    uint64_t buckets[LITHOPS__BUCKETS + 1]; /* the last one: above all bounds */
};

/* What jobs of one function in one place have in common. */
struct lithops__scope {
    struct lithops__scope *next;
    char *backend, *runtime, *function;
    int64_t memory_mb;
    struct lithops__series series[LITHOPS__METRICS][LITHOPS__LABEL_VALUES];
};

struct lithops__registry {
    struct lithops__scope *scopes;
    size_t count;
};

/* Finds it, or makes it. NULL: out of memory, or there are too many. */
struct lithops__scope *lithops__registry_scope(struct lithops__registry *registry,
                                               const char *backend, const char *runtime,
                                               int64_t memory_mb, const char *function);
void lithops__scope_add(struct lithops__scope *scope, enum lithops__metric_id id, unsigned label,
                        double value);
/* As it is now, for encoding without a lock. False: out of memory, and nothing is copied. */
bool lithops__registry_copy(const struct lithops__registry *registry,
                            struct lithops__registry *ret_copy);
void lithops__registry_deinit(struct lithops__registry *registry);

#endif
