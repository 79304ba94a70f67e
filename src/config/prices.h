/* SPDX-License-Identifier: Apache-2.0 */
/* Price lists: what services charge, by unit, with the region, source and date of each.
 *
 * They are data: prices.json, which is built in, and a file of the same form that
 * lithops.price_file names, whose lists add to those or replace them. docs/costs.md describes it.
 */
#ifndef LITHOPS_CONFIG_PRICES_H
#define LITHOPS_CONFIG_PRICES_H

#include "config/config.h"

/* USD. */
struct lithops__prices {
    double per_s, per_cpu_s, per_gb_s; /* of a worker: itself, its CPUs, its memory in GiB */
    double per_start;                  /* of one, or a request that starts it */
    double cpus, memory_mb;            /* that it has where nothing is configured */
    uint64_t rounding_ms, minimum_ms;  /* of its time; 0: as it is */
    double per_read, per_write;        /* requests to a storage */
};

/* Whether lists may have a price of the backend or storage: on this machine nothing has one, unless
 * somebody gives it. */
bool lithops__prices_are_needed(const struct lithops__config *config, const char *backend,
                                const char *storage);
/* All lists, by name, as they stand in the files. NULL with LITHOPS_ECONFIG (a wrong key or value,
 * which is named), ENOTFOUND or EIO (the configured file cannot be read). */
lithops_value *lithops__prices_all(const struct lithops__config *config, lithops_error *err);
/* One of them. False: there is none of this name, and nothing has a price. */
bool lithops__prices_find(const lithops_value *all, const char *name,
                          struct lithops__prices *ret_prices);

#endif
