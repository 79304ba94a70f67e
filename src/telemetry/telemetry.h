/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics of the jobs of this process, for Prometheus or an OpenTelemetry collector.
 *
 * Counts are the process's, from its start on, as both expect; so all executors share one exporter,
 * which the first one configures. A thread of its own sends them at intervals and when the last
 * executor closes. Whoever counts waits for no network: what cannot be sent is logged, and goes
 * with the next sending, as counts only grow. Thread-safe. */
#ifndef LITHOPS_TELEMETRY_TELEMETRY_H
#define LITHOPS_TELEMETRY_TELEMETRY_H

#include "config/config.h"
#include "telemetry/metrics.h"

struct lithops__telemetry;

/* NULL where the configuration does not ask for it, or it cannot be: then that is logged. */
struct lithops__telemetry *lithops__telemetry_open(const struct lithops__config *config);
/* What is counted is sent. The last one waits for that, for the configured `timeout` at most. NULL
 * is fine. */
void lithops__telemetry_close(struct lithops__telemetry *telemetry);

/* Count between these two, briefly. */
void lithops__telemetry_lock(struct lithops__telemetry *telemetry);
void lithops__telemetry_unlock(struct lithops__telemetry *telemetry);
/* Of this function in this place; with the lock. It lasts as long as the process. NULL: out of
 * memory, or there are too many. */
struct lithops__scope *lithops__telemetry_scope(struct lithops__telemetry *telemetry,
                                                const char *backend, const char *runtime,
                                                int64_t memory_mb, const char *function);

#endif
