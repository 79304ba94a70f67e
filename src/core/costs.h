/* SPDX-License-Identifier: Apache-2.0 */
/* What the calls of an executor cost, by the price list of its backend.
 *
 * Services charge for the time that a worker is there and for starting it, whatever it does
 * meanwhile: a call's share is its time, as far as the worker could have run others beside it. What
 * the shares leave is a line of its own. Prices of calls that the user has set replace all that.
 * docs/costs.md */
#ifndef LITHOPS_CORE_COSTS_H
#define LITHOPS_CORE_COSTS_H

#include "config/config.h"
#include "config/prices.h"
#include "core/summary.h"
#include "ipc/meter.h"

struct lithops__costs {
    bool is_priced;  /* something has a price */
    bool is_by_call; /* the user has set what a call costs */
    double per_call_gb_s, per_call;
    struct lithops__prices worker, storage;
    bool has_storage;
    double process_mb;        /* that a process of a worker may have; 0: as the list says */
    bool memory_is_of_worker; /* all of its processes have no more together */
};

/* LITHOPS_ECONFIG: a list is missing that is configured, or is wrong; ENOTFOUND, EIO: the file. */
int lithops__costs_init(struct lithops__costs *costs, const struct lithops__config *config,
                        const char *backend, lithops_error *err);
/* What its workers and requests were, until now. */
void lithops__executor_used(lithops_executor *fexec, struct lithops__used *ret_used);
/* What a summary needs. */
void lithops__costs_summary(const struct lithops__costs *costs, const struct lithops__used *used,
                            struct lithops__summary_costs *ret_costs);
/* USD until now, of workers and requests; calls are not in it. */
double lithops__costs_used(const struct lithops__costs *costs, const struct lithops__used *used);

#endif
