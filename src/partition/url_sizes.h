/* SPDX-License-Identifier: Apache-2.0 */
/* Asking the sizes of many URLs at the same time. */
#ifndef LITHOPS_PARTITION_URL_SIZES_H
#define LITHOPS_PARTITION_URL_SIZES_H

#include <lithops/error.h>

struct lithops__url_size {
    const char *url;
    uint64_t size; /* UINT64_MAX: unknown */
    bool parts;    /* parts can be read */
    int rc;        /* 0, or why the size could not be asked, with err */
    lithops_error err;
};

/* Fill in all but `url`. Blocks until all are answered. */
void lithops__url_sizes(struct lithops__url_size *sizes, size_t count);

#endif
