/* SPDX-License-Identifier: Apache-2.0 */
/* The storage drivers of this process. Thread-safe. */
#ifndef LITHOPS_STORAGE_DRIVERS_H
#define LITHOPS_STORAGE_DRIVERS_H

#include <lithops/plugin/storage.h>

extern const lithops_storage_driver lithops__storage_localhost;
/* One implementation, over HTTP: backends/s3/ */
extern const lithops_storage_driver lithops__storage_aws_s3, lithops__storage_minio,
    lithops__storage_ceph, lithops__storage_ibm_cos, lithops__storage_gcp_storage,
    lithops__storage_aliyun_oss, lithops__storage_oracle_oss;
extern const lithops_storage_driver lithops__storage_redis, lithops__storage_azure,
    lithops__storage_swift, lithops__storage_infinispan;

/* All drivers, compiled in and registered, by number; NULL after the last. */
const lithops_storage_driver *lithops__storage_driver(size_t i);
/* The driver of that name. NULL with LITHOPS_EUNSUPPORTED, whose message lists the drivers. */
const lithops_storage_driver *lithops__storage_find(const char *name, lithops_error *err);
/* Whether a name that begins with "<scheme>://" is one of an object of that backend: its own name,
 * or what programs call it ("s3" for all that speak S3's protocol, "gs", "az", ...). */
bool lithops__storage_has_scheme(const char *backend, const char *scheme, size_t scheme_len);
/* lithops_storage_register() for a driver whose name is known to be free in the configuration. */
int lithops__storage_add(const lithops_storage_driver *driver, lithops_error *err);
/* LITHOPS_EUNSUPPORTED for another interface version, LITHOPS_EUSAGE when a slot is missing. */
int lithops__storage_driver_check(const lithops_storage_driver *driver, lithops_error *err);

#endif
