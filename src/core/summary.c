/* SPDX-License-Identifier: Apache-2.0 */
/* The table that upstream's job_summary writes. */
#include "core/summary.h"

#include "base/buffer.h"

char *lithops__summary_csv(const struct lithops__summary_row *rows, size_t count,
                           const struct lithops__summary_costs *costs, int64_t cloud_objects)
{
    struct lithops__buffer out = LITHOPS__BUFFER_INIT;
    uint64_t invocations = 0;
    double runtime = 0, cost = 0;
    lithops__buffer_printf(
        &out, "Job_ID,Function,Invocations,Memory(MB),AvgRuntime,Cost,CloudObjects\n");
    for (size_t i = 0; i < count; i++) {
        const struct lithops__summary_row *row = &rows[i];
        double average = row->invocations ? row->total_runtime_s / (double)row->invocations : 0;
        double price = row->total_runtime_s * (double)row->memory_mb / 1024 * costs->per_gb_s +
                       (double)row->invocations * costs->per_request;
        lithops__buffer_printf(&out, "%s,%s,%llu,%lld,%g,%g,\n", row->job_id, row->function,
                               (unsigned long long)row->invocations, (long long)row->memory_mb,
                               average, price);
        invocations += row->invocations;
        runtime += row->total_runtime_s;
        cost += price;
    }
    lithops__buffer_printf(&out, "Summary,,%llu,,%g,%g,%lld\n", (unsigned long long)invocations,
                           invocations ? runtime / (double)invocations : 0, cost,
                           (long long)cloud_objects);
    return lithops__buffer_steal(&out);
}
