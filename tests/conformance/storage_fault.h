/* SPDX-License-Identifier: Apache-2.0 */
/* A storage backend that wraps another one and makes requests fail by plan. */
#ifndef LITHOPS_TESTS_STORAGE_FAULT_H
#define LITHOPS_TESTS_STORAGE_FAULT_H

#include <lithops/plugin/storage.h>

/* What happens to requests, which are counted from 1 over all slots but open, close and path.
 * Change it only while no request runs. */
struct storage_fault_plan {
    unsigned every;    /* every n-th request fails; 0: none */
    unsigned failures; /* the next n requests fail */
    int code;          /* with this code (LITHOPS_ETHROTTLED when 0) */
    bool permanent;    /* and without the mark "retryable" */
    bool late;         /* after the wrapped backend has done the work, as if the answer were lost */
    bool half;         /* read returns half of the bytes, list half of the objects */
    unsigned delay_ms; /* before each request */

    unsigned requests, failed; /* how many requests there were */
};

/* A driver over `inner`. There is one at a time; `plan` is read at each request. */
const lithops_storage_driver *storage_fault_wrap(const lithops_storage_driver *inner,
                                                 struct storage_fault_plan *plan);

#endif
