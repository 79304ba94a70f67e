/* SPDX-License-Identifier: Apache-2.0 */
/* The storage drivers of this process: those that are compiled in, then those that the program has
 * registered. Entries are added and never removed, so a reader needs no lock beyond the count. */
#include "storage/drivers.h"

#include "base/buffer.h"
#include "base/error.h"
#include "storage/backends/client/client.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum { BUILT_IN = 12, MAX_DRIVERS = 64 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* for registering */
static const lithops_storage_driver *drivers[MAX_DRIVERS] = {
    &lithops__storage_localhost,  &lithops__storage_aws_s3,     &lithops__storage_minio,
    &lithops__storage_ceph,       &lithops__storage_ibm_cos,    &lithops__storage_gcp_storage,
    &lithops__storage_aliyun_oss, &lithops__storage_oracle_oss, &lithops__storage_redis,
    &lithops__storage_azure,      &lithops__storage_swift,      &lithops__storage_infinispan,
};
static _Atomic size_t count = BUILT_IN;

const lithops_storage_driver *lithops__storage_driver(size_t i)
{
    return i < atomic_load_explicit(&count, memory_order_acquire) ? drivers[i] : NULL;
}

int lithops__storage_driver_check(const lithops_storage_driver *driver, lithops_error *err)
{
    if (driver->abi != LITHOPS_STORAGE_ABI)
        return lithops__fail(err, LITHOPS_EUNSUPPORTED,
                             "storage backend '%s' was built for interface version %d, this "
                             "library has %d; rebuild it",
                             driver->name, driver->abi, LITHOPS_STORAGE_ABI);
    const lithops_storage_ops *ops = driver->ops;
    if (!ops || !ops->open || !ops->close || !ops->put || !ops->read || !ops->head || !ops->list ||
        !ops->del)
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "storage backend '%s' lacks one of open, close, put, read, head, list "
                             "and del",
                             driver->name);
    if (!ops->path != !(driver->caps & LITHOPS_STORAGE_LOCAL_FILES))
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "storage backend '%s' must have either both the slot path and "
                             "LITHOPS_STORAGE_LOCAL_FILES, or neither",
                             driver->name);
    if (!ops->upload_begin != !ops->upload_part || !ops->upload_begin != !ops->upload_complete ||
        !ops->upload_begin != !ops->upload_abort || (ops->upload_part_fd && !ops->upload_begin))
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "storage backend '%s' must have all slots of uploads, or none",
                             driver->name);
    for (const lithops_config_key *key = driver->config_keys; key && key->name; key++)
        if (!key->help)
            return lithops__fail(err, LITHOPS_EUSAGE, "key '%s' of storage backend '%s' lacks help",
                                 key->name, driver->name);
    return 0;
}

int lithops__storage_add(const lithops_storage_driver *driver, lithops_error *err)
{
    int rc = lithops__storage_driver_check(driver, err);
    if (rc)
        return rc;
    pthread_mutex_lock(&lock);
    size_t i = 0;
    while (i < count && strcmp(drivers[i]->name, driver->name) != 0)
        i++;
    if (i < count && drivers[i] != driver)
        rc = lithops__fail(err, LITHOPS_EEXIST,
                           "storage backend '%s' exists already: give the driver another name",
                           driver->name);
    else if (i == MAX_DRIVERS)
        rc = lithops__fail(err, LITHOPS_ENOSPACE, "no more than %d storage backends are possible",
                           MAX_DRIVERS);
    else if (i == count) {
        drivers[i] = driver;
        atomic_store_explicit(&count, i + 1, memory_order_release);
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

const lithops_storage_driver *lithops__storage_find(const char *name, lithops_error *err)
{
    struct lithops__buffer there = LITHOPS__BUFFER_INIT;
    const lithops_storage_driver *driver;
    for (size_t i = 0; (driver = lithops__storage_driver(i)) != NULL; i++) {
        if (strcmp(driver->name, name) == 0)
            break;
        lithops__buffer_printf(&there, "%s%s", i ? ", " : "", driver->name);
    }
    if (!driver)
        lithops__fail(err, LITHOPS_EUNSUPPORTED,
                      "storage backend '%s' is not built in; available: %.*s", name, (int)there.len,
                      (const char *)there.data);
    lithops__buffer_deinit(&there);
    if (driver == &lithops__storage_localhost && lithops__client_is_elsewhere())
        return &lithops__storage_client;
    return driver;
}

static const struct {
    const char *scheme, *backend;
} schemes[] = {
    {"s3", "aws_s3"},        {"s3", "minio"},           {"s3", "ceph"},
    {"s3", "ibm_cos"},       {"s3", "gcp_storage"},     {"s3", "aliyun_oss"},
    {"s3", "oracle_oss"},    {"cos", "ibm_cos"},        {"gs", "gcp_storage"},
    {"gcs", "gcp_storage"},  {"oss", "aliyun_oss"},     {"rediss", "redis"},
    {"az", "azure_storage"}, {"wasb", "azure_storage"}, {"wasbs", "azure_storage"},
};

bool lithops__storage_has_scheme(const char *backend, const char *scheme, size_t scheme_len)
{
    if (strlen(backend) == scheme_len && strncmp(backend, scheme, scheme_len) == 0)
        return true;
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (strcmp(schemes[i].backend, backend) == 0 && strlen(schemes[i].scheme) == scheme_len &&
            strncmp(schemes[i].scheme, scheme, scheme_len) == 0)
            return true;
    return false;
}
