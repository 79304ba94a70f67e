/* SPDX-License-Identifier: Apache-2.0 */
#include "telemetry/encode.h"

#include "base/error.h"

#include <inttypes.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

static bool is_counter(const struct lithops__metric *metric)
{
    return lithops__metric_buckets(metric) == 0;
}

static bool was_counted(const struct lithops__registry *registry, size_t id)
{
    for (const struct lithops__scope *scope = registry->scopes; scope; scope = scope->next)
        for (size_t v = 0; v < LITHOPS__LABEL_VALUES; v++)
            if (scope->series[id][v].count)
                return true;
    return false;
}

/* The first of its runtime, of which lithops_worker_info is told once. */
static bool is_first(const struct lithops__registry *registry, const struct lithops__scope *of)
{
    for (const struct lithops__scope *scope = registry->scopes; scope != of; scope = scope->next)
        if (scope->memory_mb == of->memory_mb && strcmp(scope->backend, of->backend) == 0 &&
            strcmp(scope->runtime, of->runtime) == 0)
            return false;
    return true;
}

/* Both formats escape quotes and backslashes so; names of functions may hold any bytes. */
static void append_text(struct lithops__buffer *out, const char *raw)
{
    char *text = strdup(raw);
    out->failed |= !text;
    if (text)
        lithops__one_line(text, SIZE_MAX);
    for (const char *c = text; c && *c; c++) {
        if (*c == '"' || *c == '\\')
            lithops__buffer_append_string(out, "\\");
        lithops__buffer_append(out, c, 1);
    }
    free(text);
}

/* Numbers are written with a point whatever the program's locale. */
static locale_t use_points(locale_t *ret_old)
{
    locale_t c_locale = newlocale(LC_NUMERIC_MASK, "C", duplocale(LC_GLOBAL_LOCALE));
    *ret_old = c_locale ? uselocale(c_locale) : (locale_t)0;
    return c_locale;
}

static void restore_locale(locale_t used, locale_t old)
{
    if (!used)
        return;
    uselocale(old);
    freelocale(used);
}

/* ---- Prometheus ------------------------------------------------------------------------------ */

static void append_label(struct lithops__buffer *out, const char *name, const char *value)
{
    lithops__buffer_printf(out, "%s=\"", name);
    append_text(out, value);
    lithops__buffer_append_string(out, "\"");
}

static void append_labels(struct lithops__buffer *out, const struct lithops__scope *scope)
{
    append_label(out, "backend", scope->backend);
    lithops__buffer_append_string(out, ",");
    append_label(out, "runtime_name", scope->runtime);
    lithops__buffer_printf(out, ",runtime_memory=\"%" PRId64 "\"", scope->memory_mb);
}

/* "name_suffix{labels" */
static void begin_sample(struct lithops__buffer *out, const struct lithops__metric *metric,
                         const char *suffix, const struct lithops__scope *scope, size_t value)
{
    lithops__buffer_printf(out, "%s%s{", metric->name, suffix);
    append_labels(out, scope);
    lithops__buffer_append_string(out, ",");
    append_label(out, "function_name", scope->function);
    if (metric->label)
        lithops__buffer_printf(out, ",%s=\"%s\"", metric->label, metric->values[value]);
}

static void append_series(struct lithops__buffer *out, const struct lithops__metric *metric,
                          const struct lithops__scope *scope, size_t value,
                          const struct lithops__series *series)
{
    if (is_counter(metric)) {
        begin_sample(out, metric, "_total", scope, value);
        lithops__buffer_printf(out, "} %.17g\n", series->sum);
        return;
    }
    uint64_t below = 0;
    size_t count = lithops__metric_buckets(metric);
    for (size_t i = 0; i <= count; i++) {
        below += series->buckets[i];
        begin_sample(out, metric, "_bucket", scope, value);
        if (i < count)
            lithops__buffer_printf(out, ",le=\"%.15g\"} %" PRIu64 "\n", metric->buckets[i], below);
        else
            lithops__buffer_printf(out, ",le=\"+Inf\"} %" PRIu64 "\n", below);
    }
    begin_sample(out, metric, "_sum", scope, value);
    lithops__buffer_printf(out, "} %.17g\n", series->sum);
    begin_sample(out, metric, "_count", scope, value);
    lithops__buffer_printf(out, "} %" PRIu64 "\n", series->count);
}

void lithops__prometheus_encode(const struct lithops__registry *registry,
                                struct lithops__buffer *out)
{
    locale_t old, used = use_points(&old);
    for (size_t id = 0; id < LITHOPS__METRICS; id++) {
        const struct lithops__metric *metric = &lithops__metrics[id];
        if (!was_counted(registry, id))
            continue;
        const char *suffix = is_counter(metric) ? "_total" : "";
        lithops__buffer_printf(out, "# HELP %s%s %s\n# TYPE %s%s %s\n", metric->name, suffix,
                               metric->help, metric->name, suffix,
                               is_counter(metric) ? "counter" : "histogram");
        for (const struct lithops__scope *scope = registry->scopes; scope; scope = scope->next)
            for (size_t v = 0; v < lithops__metric_values(metric); v++)
                if (scope->series[id][v].count)
                    append_series(out, metric, scope, v, &scope->series[id][v]);
    }
    if (registry->scopes)
        lithops__buffer_append_string(out, "# HELP lithops_worker_info What a runtime is\n"
                                           "# TYPE lithops_worker_info gauge\n");
    for (const struct lithops__scope *scope = registry->scopes; scope; scope = scope->next) {
        if (!is_first(registry, scope))
            continue;
        lithops__buffer_append_string(out, "lithops_worker_info{");
        append_labels(out, scope);
        lithops__buffer_printf(out, ",lithops_version=\"%s\"} 1\n", LITHOPS_VERSION);
    }
    restore_locale(used, old);
}

/* ---- OTLP ------------------------------------------------------------------------------------ */

static void append_attribute(struct lithops__buffer *out, const char *name, const char *value,
                             const char *more)
{
    lithops__buffer_printf(out, "{\"key\":\"%s\",\"value\":{\"stringValue\":\"", name);
    append_text(out, value);
    lithops__buffer_printf(out, "\"}}%s", more);
}

/* The beginning of a data point; `value` NULL: the metric has no label of its own. */
static void begin_point(struct lithops__buffer *out, const struct lithops__scope *scope,
                        const char *function, const char *label, const char *value,
                        const struct lithops__otlp_resource *resource)
{
    char memory[24];
    snprintf(memory, sizeof memory, "%" PRId64, scope->memory_mb);
    lithops__buffer_append_string(out, "{\"attributes\":[");
    append_attribute(out, "backend", scope->backend, ",");
    append_attribute(out, "runtime_name", scope->runtime, ",");
    append_attribute(out, "runtime_memory", memory, function || value ? "," : "");
    if (function)
        append_attribute(out, "function_name", function, value ? "," : "");
    if (value)
        append_attribute(out, label, value, "");
    lithops__buffer_printf(
        out, "],\"startTimeUnixNano\":\"%" PRIu64 "\",\"timeUnixNano\":\"%" PRIu64 "\"",
        resource->start_ns, resource->now_ns);
}

static void append_histogram(struct lithops__buffer *out, const struct lithops__metric *metric,
                             const struct lithops__series *series)
{
    size_t count = lithops__metric_buckets(metric);
    lithops__buffer_printf(out, ",\"count\":\"%" PRIu64 "\",\"sum\":%.17g,\"bucketCounts\":[",
                           series->count, series->sum);
    for (size_t i = 0; i <= count; i++)
        lithops__buffer_printf(out, "%s\"%" PRIu64 "\"", i ? "," : "", series->buckets[i]);
    lithops__buffer_append_string(out, "],\"explicitBounds\":[");
    for (size_t i = 0; i < count; i++)
        lithops__buffer_printf(out, "%s%.15g", i ? "," : "", metric->buckets[i]);
    lithops__buffer_append_string(out, "]");
}

static void append_points(struct lithops__buffer *out, const struct lithops__registry *registry,
                          size_t id, const struct lithops__otlp_resource *resource)
{
    const struct lithops__metric *metric = &lithops__metrics[id];
    const char *between = "";
    for (const struct lithops__scope *scope = registry->scopes; scope; scope = scope->next)
        for (size_t v = 0; v < lithops__metric_values(metric); v++) {
            const struct lithops__series *series = &scope->series[id][v];
            if (!series->count)
                continue;
            lithops__buffer_append_string(out, between);
            begin_point(out, scope, scope->function, metric->label, metric->values[v], resource);
            if (is_counter(metric))
                lithops__buffer_printf(out, ",\"asDouble\":%.17g", series->sum);
            else
                append_histogram(out, metric, series);
            lithops__buffer_append_string(out, "}");
            between = ",";
        }
}

static void append_info(struct lithops__buffer *out, const struct lithops__registry *registry,
                        const struct lithops__otlp_resource *resource)
{
    const char *between = "";
    lithops__buffer_append_string(out, "{\"name\":\"lithops_worker_info\",\"description\":\"What a "
                                       "runtime is\",\"gauge\":{\"dataPoints\":[");
    for (const struct lithops__scope *scope = registry->scopes; scope; scope = scope->next) {
        if (!is_first(registry, scope))
            continue;
        lithops__buffer_append_string(out, between);
        begin_point(out, scope, NULL, "lithops_version", LITHOPS_VERSION, resource);
        lithops__buffer_append_string(out, ",\"asDouble\":1}");
        between = ",";
    }
    lithops__buffer_append_string(out, "]}}");
}

void lithops__otlp_encode(const struct lithops__registry *registry,
                          const struct lithops__otlp_resource *resource,
                          struct lithops__buffer *out)
{
    locale_t old, used = use_points(&old);
    lithops__buffer_append_string(out, "{\"resourceMetrics\":[{\"resource\":{\"attributes\":[");
    append_attribute(out, "service.name", resource->service_name, ",");
    append_attribute(out, "service.namespace", "lithops", ",");
    append_attribute(out, "service.instance.id", resource->instance, ",");
    append_attribute(out, "service.version", LITHOPS_VERSION, ",");
    append_attribute(out, "host.name", resource->instance, "");
    lithops__buffer_printf(out,
                           "]},\"scopeMetrics\":[{\"scope\":{\"name\":\"lithops\",\"version\":"
                           "\"%s\"},\"metrics\":[",
                           LITHOPS_VERSION);
    for (size_t id = 0; id < LITHOPS__METRICS; id++) {
        const struct lithops__metric *metric = &lithops__metrics[id];
        if (!was_counted(registry, id))
            continue;
        lithops__buffer_printf(out, "{\"name\":\"%s\",\"description\":\"%s\",", metric->name,
                               metric->help);
        lithops__buffer_append_string(
            out, is_counter(metric) ? "\"sum\":{\"aggregationTemporality\":2,\"isMonotonic\":true,"
                                    : "\"histogram\":{\"aggregationTemporality\":2,");
        lithops__buffer_append_string(out, "\"dataPoints\":[");
        append_points(out, registry, id, resource);
        lithops__buffer_append_string(out, "]}},");
    }
    append_info(out, registry, resource);
    lithops__buffer_append_string(out, "]}]}]}");
    restore_locale(used, old);
}
