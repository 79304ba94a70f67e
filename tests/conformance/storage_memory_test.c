/* SPDX-License-Identifier: Apache-2.0 */
/* The conformance suite over the reference backend in memory. */
#include "storage_memory.h"
#include "storage_suite.h"

static lithops_storage *open_memory(void)
{
    return lithops__storage_open_driver(&storage_memory, NULL, NULL, NULL);
}

int main(void)
{
    const struct storage_suite suite = {
        .name = "memory",
        .open = open_memory,
        .close = lithops_storage_close,
    };
    return storage_suite_run(&suite);
}
