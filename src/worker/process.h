/* SPDX-License-Identifier: Apache-2.0 */
/* A worker process: what it knows. One thread. */
#ifndef LITHOPS_WORKER_PROCESS_H
#define LITHOPS_WORKER_PROCESS_H

#include "ipc/area.h"
#include "ipc/gate.h"
#include "ipc/region.h"
#include "worker/job.h"
#include "worker/limits.h"

#include <lithops/call.h>
#include <lithops/storage.h>

#include <sys/resource.h>

struct lithops__saved_variable {
    char *name, *value; /* value NULL: was not set */
};

struct lithops__usage {
    uint64_t user_us, system_us, peak_kb, net_sent, net_received;
};

struct lithops__worker_process {
    struct lithops__area area;
    struct lithops__region region;
    struct lithops__worker *line;
    unsigned slot;
    uint64_t ticks_per_us;
    const _Atomic uint32_t *alive; /* 0 in a child that a function has forked */
    /* A fresh process must follow: a function has closed what a worker needs, or calls have left
     * too much memory. */
    bool is_spoilt;
    uint64_t calls_left; /* it may run so many more; see max_tasks_per_child */
    bool has_run;        /* calls, since it has given unused memory back */
    uint32_t cold;       /* LITHOPS__CONTENT_COLD until the first claim is done */

    struct lithops__job_context jobs[8]; /* the ones used last */
    unsigned next_job;
    struct lithops__job_context *current; /* whose environment and limits are in force */
    struct lithops__gate_look look;
    struct lithops__saved_variable *saved; /* what its environment replaced */
    size_t saved_count;
    uint64_t memory_bytes;        /* limit in force */
    bool in_group;                /* a memory group of its own */
    struct lithops__memory fresh; /* before the first call */
    uint64_t unseen_ticks;        /* of calls since memory was looked at */

    uint64_t timers_ticks; /* when timers were last stopped */
    bool timers_due;       /* a call has been tidied since */
    unsigned own_timers;   /* a bit for each that ran before the first call */
    struct rlimit cpu_time;
    uint32_t spins_left_out, spins_to_leave_out;
    uint64_t trusted_ticks; /* of calls that were taken for harmless, since the last look */
    uint32_t trusted_range, trusted_generation; /* their job */

    struct rlimit file_size; /* before the first call: output of later ones must not end them */
    int log_fd, folder_fd;
    dev_t folder_device;
    ino_t folder_inode, log_inode;
    uint64_t log_size;
    struct lithops__usage usage; /* at the start of a long call */
    bool usage_known;

    lithops_storage *storage;
    struct lithops__config *config;
    lithops_call *call; /* running, for the signal handler */
};

#endif
