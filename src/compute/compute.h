/* SPDX-License-Identifier: Apache-2.0 */
/* What a compute backend implements, and the table of those that are compiled in.
 *
 * Core makes ranges and offers their calls; a backend sees to it that somebody runs them, and
 * settles those whose runner is gone. It never calls up. */
#ifndef LITHOPS_COMPUTE_H
#define LITHOPS_COMPUTE_H

#include "base/buffer.h"
#include "config/config.h"
#include "ipc/table.h"

/* What was left by clients that were killed, and is gone now. */
struct lithops__tidied {
    uint64_t memory_groups;
    uint64_t process_groups; /* of what functions had started */
};

struct lithops__compute_ops {
    /* workers - how many worker processes the configuration asks for; the table is made for that
     * many before open. */
    uint32_t (*workers)(const struct lithops__config *config);
    /* open - make `state` (zeroed, state_size bytes) usable; may start threads and processes.
     * `table` outlives the state. `worker_command` is that of lithops_executor_options, borrowed;
     * NULL: the program itself. ECONFIG, ENOSPACE. */
    int (*open)(void *state, struct lithops__table *table, const struct lithops__config *config,
                const char *const *worker_command, lithops_error *err);
    /* close - end what runs. On return no other process touches the table. */
    void (*close)(void *state);
    /* offered - `calls` calls of `range` were offered. With the table's lock held; must not block.
     */
    void (*offered)(void *state, uint32_t range, uint64_t calls);
    /* cancel - end what runs of the calls [begin, end) of a range; it settles as CANCELED unless
     * it is done first. With the table's lock held; must not block. */
    void (*cancel)(void *state, uint32_t range, uint64_t begin, uint64_t end);
    /* prepare_limits - a job with a memory limit comes; once, before its calls are offered. */
    void (*prepare_limits)(void *state);
    /* logs - append what worker `worker` wrote between two positions. */
    void (*logs)(void *state, unsigned worker, uint64_t begin, uint64_t end,
                 struct lithops__buffer *out);
    /* tidy - remove what clients that were killed have left on this machine; NULL: never anything.
     * Without a state: any process may do it. Adds to `tidied`. */
    void (*tidy)(bool (*is_alive)(const char *executor_id), struct lithops__tidied *tidied);
};

struct lithops__compute_driver {
    const char *name;
    const char *mode;    /* "localhost", "serverless", "standalone" */
    const char *summary; /* one sentence */
    size_t state_size;
    const struct lithops__compute_ops *ops;
};

extern const struct lithops__compute_driver lithops__compute_localhost;

/* All drivers; ends with NULL. */
extern const struct lithops__compute_driver *const lithops__compute_drivers[];

#endif
