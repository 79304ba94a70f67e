/* SPDX-License-Identifier: Apache-2.0 */
/* A worker process: what it knows, and the call that it runs. One thread. */
#ifndef LITHOPS_WORKER_H
#define LITHOPS_WORKER_H

#include "function/function.h"
#include "ipc/area.h"
#include "ipc/call_error.h"
#include "ipc/region.h"

#include <lithops/call.h>

/* What the supervisor puts at these descriptors before the program starts again as a worker. */
enum { LITHOPS__WORKER_AREA_FD = 3, LITHOPS__WORKER_LOG_FD = 4 };
#define LITHOPS__WORKER_ARGUMENT "--lithops-worker="

/* A job as one worker process sees it: made when it first works on the range. */
struct lithops__job_context {
    uint32_t range, generation;
    lithops_value *spec; /* decoded; NULL when there is nothing special */
    const lithops_value *extra_args, *env, *manifest; /* parts of spec, or NULL */
    struct lithops__callable callable;
    /* Every call fails with it when its code is negative. LITHOPS__NOT_LOADED: the function is
     * loaded by the first call, so that a library which crashes or hangs then costs that call. */
    lithops_error load_error;
};
enum { LITHOPS__NOT_LOADED = 1 };

struct lithops__saved_variable {
    char *name, *value; /* value NULL: was not set */
};

struct lithops__usage {
    uint64_t user_us, system_us, peak_kb, net_sent, net_received;
};

/* Where a look at a gate has ended: calls [begin, taken) of the range were taken then. */
struct lithops__gate_look {
    uint32_t range, generation;
    uint64_t begin, taken;
};

struct lithops__worker_process {
    struct lithops__area area;
    struct lithops__region region;
    struct lithops__worker *line;
    unsigned slot;
    uint64_t ticks_per_us;
    const _Atomic uint32_t *alive; /* 0 in a child that a function has forked */
    bool is_spoilt; /* a function has closed what a worker needs: a fresh process must follow */
    uint32_t cold;  /* LITHOPS__CONTENT_COLD until the first block is done */

    struct lithops__job_context jobs[8]; /* the ones used last */
    unsigned next_job;
    struct lithops__job_context *current; /* whose environment and limits are in force */
    struct lithops__gate_look look;
    struct lithops__saved_variable *saved; /* what its environment replaced */
    size_t saved_count;
    uint64_t memory_bytes; /* limit in force */
    bool in_group;         /* a memory group of its own */

    int log_fd, folder_fd;
    ino_t log_inode;
    uint64_t log_size;
    struct lithops__usage usage; /* at the start of a long call */
    bool usage_known;

    lithops_storage *storage;
    struct lithops__config *config;
    lithops_call *call; /* running, for the signal handler */
};

struct lithops_call {
    struct lithops__worker_process *process;
    struct lithops__job_context *job;
    struct lithops__range *range;
    uint64_t index;

    enum lithops__content input_content;
    bool input_known; /* input_content and input_payload are set */
    uint64_t input_payload;

    enum lithops__content result_content;
    uint64_t result_payload;
    lithops__offset pending; /* block of the result, not published */
    uint64_t pending_len;

    /* What most calls never use: set to zero again by finish() when `used` says so. */
    bool used;
    lithops_value *input;
    lithops_value *item; /* of lithops_call_next_value() */
    lithops_stream *stream;
    uint64_t next_result; /* of a reducer */
    bool input_failed;    /* a map call, or opening an object: the call fails too */
    bool wrote;           /* lithops_call_wrote() */
    lithops_error error;
    void *error_data; /* what the runtime says of it; from malloc() */
    size_t error_data_len;
};

/* loop.c */
void lithops__worker_run(struct lithops__worker_process *process);
/* Wait until call `index` of a range is done; for reducers. */
void lithops__worker_wait_for(struct lithops__worker_process *process, struct lithops__range *range,
                              uint64_t index);

/* job.c */
struct lithops__job_context *lithops__job_enter(struct lithops__worker_process *process,
                                                uint32_t range);
/* Load the job's libraries and find its function; sets load_error. */
void lithops__job_load(struct lithops__job_context *job, const struct lithops__area *area,
                       const struct lithops__range *range);

/* call.c: what the loop needs of a call */
void lithops__call_find_input(lithops_call *call);
void lithops__call_clear(lithops_call *call);
/* Copy what a runtime says of the call's error; nothing when memory is out. */
void lithops__call_keep_data(lithops_call *call, lithops_bytes data);
/* Drop a result that was given before. */
void lithops__call_drop_result(lithops_call *call);

/* tidy.c: undo what a function did to its process, note what it wrote and used */
void lithops__tidy_init(struct lithops__worker_process *process);
/* After a call that was long enough to have made a system call. True when its output or its
 * length is worth an entry in ret_extra. */
bool lithops__tidy(struct lithops__worker_process *process, uint64_t ticks,
                   struct lithops__call_extra *ret_extra);
void lithops__tidy_before_long_call(struct lithops__worker_process *process);

/* limits.c */
int lithops__limits_enter(struct lithops__worker_process *process, uint64_t memory_bytes,
                          lithops_error *err);
int lithops__limits_before_growth(void *process, uint64_t bytes);

/* crash.c */
/* keep_handlers: those that are set run after the engine's: a runtime has last words of its own. */
void lithops__crash_init(struct lithops__worker_process *process, bool keep_handlers);
void lithops__crash_prepare(void);

#endif
