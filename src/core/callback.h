/* SPDX-License-Identifier: Apache-2.0 */
/* The thread that runs done-callbacks. */
#ifndef LITHOPS_CORE_CALLBACK_H
#define LITHOPS_CORE_CALLBACK_H

#include <lithops/executor.h>
#include <lithops/future.h>

struct lithops__callback {
    lithops_future *future;
    void (*done)(lithops_future *future, void *user);
    void *user;
    bool is_ready; /* the callback thread's */
};

/* Wait for those that are due; no thread runs any more. */
void lithops__callbacks_stop(lithops_executor *fexec);

#endif
