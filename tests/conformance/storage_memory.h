/* SPDX-License-Identifier: Apache-2.0 */
/* A storage backend in memory, for tests: the contract of lithops/plugin/storage.h and nothing
 * more. It needs no settings; a bucket exists once something was put into it. */
#ifndef LITHOPS_TESTS_STORAGE_MEMORY_H
#define LITHOPS_TESTS_STORAGE_MEMORY_H

#include <lithops/plugin/storage.h>

extern const lithops_storage_driver storage_memory;

#endif
