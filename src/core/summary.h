/* SPDX-License-Identifier: Apache-2.0 */
/* The table that upstream's job_summary writes. */
#ifndef LITHOPS_CORE_SUMMARY_H
#define LITHOPS_CORE_SUMMARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lithops__summary_row {
    char job_id[16];
    const char *function; /* borrowed */
    uint64_t invocations;
    int64_t memory_mb;      /* of one call; 0: not limited. The table shows that of all calls */
    double total_runtime_s; /* of all calls together */
};

/* USD. Where nothing but calls costs anything, and nothing is known of a storage, the table is
 * upstream's byte for byte; else it has a row for each before its last. */
struct lithops__summary_costs {
    double per_gb_s, per_request; /* of a call */
    double per_s;                 /* of a call's time, whatever its memory */
    bool has_workers;
    uint64_t workers;              /* that were started */
    double worker_s, workers_cost; /* of all of them, what calls have used included */
    bool has_storage;
    uint64_t requests; /* to the storage */
    double requests_cost;
};

/* CSV with a header and a Summary row, for free(); NULL when memory is out. */
char *lithops__summary_csv(const struct lithops__summary_row *rows, size_t count,
                           const struct lithops__summary_costs *costs, int64_t cloud_objects);

#endif
