/* SPDX-License-Identifier: Apache-2.0 */
/* The conformance suite over a server that has rules for the names of buckets: the suite's names
 * are converted to fit, differently for each handle, so that each is empty, and a bucket is created
 * when something is put into it. One handle at a time. */
#ifndef LITHOPS_TESTS_STORAGE_MAPPED_H
#define LITHOPS_TESTS_STORAGE_MAPPED_H

#include "storage/storage.h"

lithops_storage *storage_mapped_open(const lithops_storage_driver *real_driver,
                                     const lithops_value *settings, const char *bucket,
                                     lithops_error *err);

#endif
