/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics as text: that of Prometheus (https://prometheus.io/docs/instrumenting/exposition_formats)
 * and the JSON of OTLP (https://opentelemetry.io/docs/specs/otlp). What was never counted is left
 * out. */
#ifndef LITHOPS_TELEMETRY_ENCODE_H
#define LITHOPS_TELEMETRY_ENCODE_H

#include "base/buffer.h"
#include "telemetry/metrics.h"

void lithops__prometheus_encode(const struct lithops__registry *registry,
                                struct lithops__buffer *out);

struct lithops__otlp_resource {
    const char *service_name, *instance;
    uint64_t start_ns, now_ns; /* since 1970 */
};
void lithops__otlp_encode(const struct lithops__registry *registry,
                          const struct lithops__otlp_resource *resource,
                          struct lithops__buffer *out);

#endif
