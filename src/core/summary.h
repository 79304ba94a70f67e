/* SPDX-License-Identifier: Apache-2.0 */
/* The table that upstream's job_summary writes. */
#ifndef LITHOPS_CORE_SUMMARY_H
#define LITHOPS_CORE_SUMMARY_H

#include <stddef.h>
#include <stdint.h>

struct lithops__summary_row {
    char job_id[16];
    const char *function; /* borrowed */
    uint64_t invocations;
    int64_t memory_mb;      /* of one call; 0: not limited. The table shows that of all calls */
    double total_runtime_s; /* of all calls together */
};

struct lithops__summary_costs {
    double per_gb_s, per_request; /* USD */
};

/* CSV with a header and a Summary row, for free(); NULL when memory is out. */
char *lithops__summary_csv(const struct lithops__summary_row *rows, size_t count,
                           const struct lithops__summary_costs *costs, int64_t cloud_objects);

#endif
