/* SPDX-License-Identifier: Apache-2.0 */
/* How a program starts as a worker process, and whether this one can. */
#ifndef LITHOPS_WORKER_INIT_H
#define LITHOPS_WORKER_INIT_H

#include <stdbool.h>

/* What the supervisor puts at these descriptors before the program starts again as a worker. */
enum {
    LITHOPS__WORKER_AREA_FD = 3,
    LITHOPS__WORKER_LOG_FD = 4,
    LITHOPS__WORKER_LIFELINE_FD = 5, /* its other end is the client's: see guard.c */
    LITHOPS__WORKER_WATCH_FD = 6,    /* where control->has_watch_pipes says so */
};
#define LITHOPS__WORKER_ARGUMENT "--lithops-worker="

bool lithops__init_was_called(void);

#endif
