/* SPDX-License-Identifier: Apache-2.0 */
#include "core/costs.h"

#include "base/error.h"
#include "compute/limits.h"
#include "core/executor.h"
#include "storage/storage.h"

#include <string.h>

/* The keys of the backend's section; not all of them have each. */
static void take_section(struct lithops__costs *costs, const struct lithops__config *config,
                         const char *backend, const lithops_value *section)
{
    costs->process_mb = (double)lithops_value_get_int(lithops_value_get(section, "runtime_memory"));
    costs->memory_is_of_worker = lithops__limits_of(backend)->memory_is_of_worker;
    costs->is_by_call = lithops__config_is_given(config, backend, "cost_per_gb_s") ||
                        lithops__config_is_given(config, backend, "cost_per_request");
    costs->per_call_gb_s = lithops__config_double(config, backend, "cost_per_gb_s");
    costs->per_call = lithops__config_double(config, backend, "cost_per_request");
}

/* The list that the section names, or that has the backend's name. */
static int take_prices(struct lithops__costs *costs, const lithops_value *all, const char *backend,
                       const lithops_value *section, lithops_error *err)
{
    const char *list = lithops_value_get_string(lithops_value_get(section, "price_list"));
    double cpus = lithops_value_get_double(lithops_value_get(section, "runtime_cpu"));
    bool is_known = lithops__prices_find(all, list ? list : backend, &costs->worker);
    if (list && !is_known)
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "%s.price_list: there is no price list '%s'; 'lithops config prices' "
                             "shows those there are",
                             backend, list);
    if (cpus > 0)
        costs->worker.cpus = cpus;
    if (costs->is_by_call)
        costs->worker = (struct lithops__prices){.per_s = 0};
    costs->is_priced = costs->is_by_call || is_known;
    return 0;
}

int lithops__costs_init(struct lithops__costs *costs, const struct lithops__config *config,
                        const char *backend, lithops_error *err)
{
    const char *storage = lithops__config_string(config, "lithops", "storage");
    lithops_value *section = lithops__config_section(config, backend, false);
    *costs = (struct lithops__costs){.worker.cpus = 1};
    take_section(costs, config, backend, section);
    costs->is_priced = costs->is_by_call;
    int rc = 0;
    if (lithops__prices_are_needed(config, backend, storage) ||
        lithops_value_get(section, "price_list")) {
        lithops_value *all = lithops__prices_all(config, err);
        rc = all ? take_prices(costs, all, backend, section, err) : err->code;
        costs->has_storage = rc == 0 && lithops__prices_find(all, storage, &costs->storage);
        lithops_value_free(all);
    }
    lithops_value_free(section);
    return rc;
}

static double processes_of(const struct lithops__used *used)
{
    return used->processes ? (double)used->processes : 1;
}

/* Of a second of a worker. */
static double per_second(const struct lithops__costs *costs, const struct lithops__used *used)
{
    const struct lithops__prices *worker = &costs->worker;
    double parts = costs->memory_is_of_worker ? 1 : processes_of(used);
    double mb = costs->process_mb > 0 ? costs->process_mb * parts : worker->memory_mb;
    return worker->per_s + worker->cpus * worker->per_cpu_s + mb / 1024 * worker->per_gb_s;
}

static double of_workers(const struct lithops__costs *costs, const struct lithops__used *used)
{
    return per_second(costs, used) * used->seconds + costs->worker.per_start * (double)used->starts;
}

static double of_requests(const struct lithops__costs *costs, const struct lithops__used *used)
{
    return costs->has_storage ? costs->storage.per_read * (double)used->reads +
                                    costs->storage.per_write * (double)used->writes
                              : 0;
}

void lithops__costs_summary(const struct lithops__costs *costs, const struct lithops__used *used,
                            struct lithops__summary_costs *ret_costs)
{
    bool has_workers = costs->is_priced && !costs->is_by_call;
    *ret_costs = (struct lithops__summary_costs){
        .per_gb_s = costs->per_call_gb_s,
        .per_request = costs->per_call,
        .per_s = has_workers ? per_second(costs, used) / processes_of(used) : 0,
        .has_workers = has_workers && used->starts > 0,
        .workers = used->starts,
        .worker_s = used->seconds,
        .workers_cost = has_workers ? of_workers(costs, used) : 0,
        .has_storage = costs->has_storage,
        .requests = used->reads + used->writes,
        .requests_cost = of_requests(costs, used),
    };
}

double lithops__costs_used(const struct lithops__costs *costs, const struct lithops__used *used)
{
    return (costs->is_by_call ? 0 : of_workers(costs, used)) + of_requests(costs, used);
}

void lithops__executor_used(lithops_executor *fexec, struct lithops__used *ret_used)
{
    uint64_t reads = 0, writes = 0;
    pthread_mutex_lock(&fexec->table.lock);
    lithops__meter_read(&fexec->table.meter, ret_used); /* which gets those of a closed storage */
    if (fexec->storage)
        lithops__storage_made(fexec->storage, &reads, &writes);
    pthread_mutex_unlock(&fexec->table.lock);
    ret_used->reads += reads;
    ret_used->writes += writes;
}
