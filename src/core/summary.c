/* SPDX-License-Identifier: Apache-2.0 */
/* The table that upstream's job_summary writes, byte for byte.
 *
 * Its numbers are read by other programs, so they look as Python writes them: the shortest digits
 * that read back as the same double, with ".0" or an exponent where Python has one, and averages
 * rounded to ten decimals. They never depend on the locale. Fields are quoted as RFC 4180 says;
 * lines end as Python's csv ends them on Unix. A cell that upstream omits holds a blank. */
#include "core/summary.h"

#include "base/buffer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The digits of `value` without sign and point, as few as read back as the same double, and the
 * power of ten of the first one. */
static size_t shortest_digits(double value, char digits[20], int *ret_power)
{
    char text[40];
    for (int precision = 0; precision <= 16; precision++) {
        snprintf(text, sizeof text, "%.*e", precision, value);
        if (strtod(text, NULL) == value)
            break;
    }
    size_t count = 0;
    const char *c = text;
    for (; *c != 'e'; c++) /* whatever the locale's decimal point is, it is not a digit */
        if (*c >= '0' && *c <= '9')
            digits[count++] = *c;
    digits[count] = '\0';
    *ret_power = (int)strtol(c + 1, NULL, 10);
    return count;
}

static void append_double(struct lithops__buffer *out, double value)
{
    if (!isfinite(value)) {
        lithops__buffer_append_string(out, isnan(value) ? "" : value < 0 ? "-inf" : "inf");
        return;
    }
    char digits[20];
    int power;
    int count = (int)shortest_digits(value, digits, &power);
    lithops__buffer_append_string(out, signbit(value) ? "-" : "");
    if (power < -4 || power >= 16)
        lithops__buffer_printf(out, "%c%s%se%+03d", digits[0], count > 1 ? "." : "", digits + 1,
                               power);
    else if (power < 0)
        lithops__buffer_printf(out, "0.%.*s%s", -power - 1, "000", digits);
    else if (count <= power + 1)
        lithops__buffer_printf(out, "%s%.*s.0", digits, power + 1 - count, "000000000000000");
    else
        lithops__buffer_printf(out, "%.*s.%s", power + 1, digits, digits + power + 1);
}

/* To ten decimals, as Python's round() does: exactly, not by multiplying. */
static double round_to_ten(double value)
{
    char text[400];
    snprintf(text, sizeof text, "%.10f", value);
    return strtod(text, NULL);
}

static void append_text(struct lithops__buffer *out, const char *text)
{
    bool quoted = strpbrk(text, ",\"\r\n") != NULL || !*text;
    if (quoted)
        lithops__buffer_append(out, "\"", 1);
    for (const char *c = text; *c; c++)
        lithops__buffer_append(out, *c == '"' ? "\"\"" : c, *c == '"' ? 2 : 1);
    if (quoted)
        lithops__buffer_append(out, "\"", 1);
}

static void append_numbers(struct lithops__buffer *out, uint64_t invocations, int64_t memory_mb,
                           double average_s, double cost)
{
    lithops__buffer_printf(out, ",%llu,%lld,", (unsigned long long)invocations,
                           (long long)memory_mb);
    append_double(out, average_s);
    lithops__buffer_append(out, ",", 1);
    append_double(out, cost);
}

/* What workers cost besides the calls' time: that they started, and waited. */
static double append_workers(struct lithops__buffer *out,
                             const struct lithops__summary_costs *costs, double calls_cost)
{
    double rest = costs->workers_cost > calls_cost ? costs->workers_cost - calls_cost : 0;
    lithops__buffer_append_string(out, "Workers,\"start, idle\"");
    append_numbers(out, costs->workers, 0,
                   costs->workers ? round_to_ten(costs->worker_s / (double)costs->workers) : 0,
                   rest);
    lithops__buffer_append_string(out, ", \n");
    return rest;
}

static double append_storage(struct lithops__buffer *out,
                             const struct lithops__summary_costs *costs)
{
    lithops__buffer_append_string(out, "Storage,requests");
    append_numbers(out, costs->requests, 0, 0, costs->requests_cost);
    lithops__buffer_append_string(out, ", \n");
    return costs->requests_cost;
}

char *lithops__summary_csv(const struct lithops__summary_row *rows, size_t count,
                           const struct lithops__summary_costs *costs, int64_t cloud_objects)
{
    struct lithops__buffer out = LITHOPS__BUFFER_INIT;
    uint64_t invocations = 0;
    int64_t memory_mb = 0;
    double runtime_s = 0, cost = 0;
    lithops__buffer_append_string(
        &out, "Job_ID,Function,Invocations,Memory(MB),AvgRuntime,Cost,CloudObjects\n");
    for (size_t i = 0; i < count; i++) {
        const struct lithops__summary_row *row = &rows[i];
        double calls = (double)row->invocations;
        double average_s = row->invocations ? round_to_ten(row->total_runtime_s / calls) : 0;
        double row_cost = costs->per_gb_s * row->total_runtime_s * (double)row->memory_mb / 1024 +
                          costs->per_request * calls + costs->per_s * row->total_runtime_s;
        int64_t row_memory_mb = row->memory_mb * (int64_t)row->invocations;
        append_text(&out, row->job_id);
        lithops__buffer_append(&out, ",", 1);
        append_text(&out, row->function);
        append_numbers(&out, row->invocations, row_memory_mb, average_s, row_cost);
        lithops__buffer_append_string(&out, ", \n");
        invocations += row->invocations;
        memory_mb += row_memory_mb;
        runtime_s += average_s * calls; /* upstream adds up what the table shows */
        cost += row_cost;
    }
    if (costs->has_workers)
        cost += append_workers(&out, costs, cost);
    if (costs->has_storage)
        cost += append_storage(&out, costs);
    lithops__buffer_append_string(&out, "Summary, ");
    append_numbers(&out, invocations, memory_mb,
                   invocations ? round_to_ten(runtime_s / (double)invocations) : 0, cost);
    lithops__buffer_printf(&out, ",%lld\n", (long long)cloud_objects);
    return lithops__buffer_steal(&out);
}
