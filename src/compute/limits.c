/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/limits.h"

#include "base/error.h"

#include <string.h>

#define MIB ((uint64_t)1 << 20)

static const struct row {
    const char *backend;
    struct lithops__limits limits;
} rows[] = {
    {"aliyun_fc", {86400, 32768, 32 * MIB, 0, false, NULL}},
    {"aws_batch", {0, 0, 0, 0, true, "lifetime"}},
    {"aws_lambda", {900, 10240, 6 * MIB, 6, true, "runtime_timeout"}},
    {"azure_containers", {240, 8192, 0, 4, false, NULL}},
    {"azure_functions", {230, 14336, 100 * MIB, 0, false, NULL}},
    {"code_engine", {0, 49152, 0, 12, true, "lifetime"}},
    {"code_engine_apps", {600, 49152, 0, 12, false, NULL}},
    {"gcp_cloudrun", {3600, 32768, 32 * MIB, 8, false, NULL}},
    {"gcp_functions", {3600, 32768, 32 * MIB, 8, false, NULL}},
    {"ibm_cf", {600, 2048, 5 * MIB, 0, false, NULL}},
    {"oracle_f", {3600, 3072, 6 * MIB, 0, false, NULL}},
    {"openwhisk", {0, 0, 1 * MIB, 0, false, NULL}},
};

const struct lithops__limits *lithops__limits_of(const char *backend)
{
    static const struct lithops__limits none;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].backend, backend) == 0)
            return &rows[i].limits;
    return &none;
}

const char *lithops__limits_time_key(const char *backend)
{
    const char *key = lithops__limits_of(backend)->time_key;
    return key ? key : "request_timeout";
}

/* Not all sections have each key. */
static double number(const lithops_value *section, const char *key)
{
    return lithops_value_get_double(lithops_value_get(section, key));
}

static int check(const char *backend, const char *key, double asked, double most, const char *unit,
                 const char *why, lithops_error *err)
{
    return most <= 0 || asked <= most
               ? 0
               : lithops__fail(err, LITHOPS_ECONFIG, "%s.%s is %g%s, but %s at most %g%s", backend,
                               key, asked, unit, why, most, unit);
}

/* Of all processes of a container. */
static double memory_of(const lithops_value *section, const struct lithops__limits *limits)
{
    double memory_mb = number(section, "runtime_memory");
    double processes = number(section, "worker_processes"); /* 0: as many as it has CPUs */
    return limits->memory_is_of_worker || processes < 1 ? memory_mb : memory_mb * processes;
}

int lithops__limits_check(const struct lithops__config *config, const char *backend,
                          lithops_error *err)
{
    static const char request[] = "the service lets a request take",
                      container[] = "the service gives a container";
    const struct lithops__limits *limits = lithops__limits_of(backend);
    lithops_value *section = lithops__config_section(config, backend, false);
    int rc = check(backend, "request_timeout", number(section, "request_timeout"),
                   (double)limits->request_s, " s", request, err);
    if (rc == 0)
        rc = check(backend, "runtime_timeout", number(section, "runtime_timeout"),
                   (double)limits->request_s, " s", request, err);
    if (rc == 0)
        rc = check(backend, "runtime_memory", memory_of(section, limits), (double)limits->memory_mb,
                   limits->memory_is_of_worker ? " MB" : " MB (of all worker_processes)", container,
                   err);
    if (rc == 0)
        rc = check(backend, "runtime_cpu", number(section, "runtime_cpu"), limits->cpus, " CPUs",
                   container, err);
    lithops_value_free(section);
    return rc;
}

void lithops__limits_of_calls(const struct lithops__config *config, const char *backend,
                              uint64_t *ret_ms, uint64_t *ret_mb)
{
    lithops_value *section = lithops__config_section(config, backend, false);
    double s = number(section, lithops__limits_time_key(backend));
    *ret_ms = s > 0 ? (uint64_t)(s * 1000) : 0;
    *ret_mb = lithops__limits_of(backend)->memory_mb;
    lithops_value_free(section);
}
