/* SPDX-License-Identifier: Apache-2.0 */
/* lithops_init(): the first line of main(), where a program finds out that it is a worker process.
 *
 * The supervisor starts the program again with one argument, "--lithops-worker=SLOT", the shared
 * memory at descriptor 3 and the log file at 4 (also 1 and 2). Both are checked, so that a user who
 * types that argument gets an error and not a process that waits for ever. */
#include "worker/init.h"

#include "ipc/area.h"
#include "ipc/layout.h"
#include "ipc/region.h"
#include "worker/crash.h"
#include "worker/guard.h"
#include "worker/limits.h"
#include "worker/loop.h"
#include "worker/process.h"
#include "worker/tidy.h"

#include <lithops/plugin/runtime.h>

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

static atomic_bool initialized;

bool lithops__init_was_called(void)
{
    return atomic_load(&initialized);
}

/* A word that is 1 here and 0 in children: if a function forks and its child returns, the child
 * must not continue as this worker. */
static const _Atomic uint32_t *make_mark(void)
{
    _Atomic uint32_t *mark =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mark == MAP_FAILED || madvise(mark, 4096, MADV_WIPEONFORK) != 0)
        return NULL;
    atomic_store(mark, 1);
    return mark;
}

/* The process that this one must not outlive: the client, or, in a container, the process between
 * the two, which has another id here. */
static pid_t parent_of(const struct lithops__control *control)
{
    const char *between = getenv("__LITHOPS_PARENT");
    return between ? (pid_t)strtol(between, NULL, 10) : (pid_t)control->client_pid;
}

static int worker_main(const char *argument, bool is_runtime)
{
    static struct lithops__worker_process process;
    lithops_error err = LITHOPS_ERROR_INIT;
    const size_t prefix = sizeof LITHOPS__WORKER_ARGUMENT - 1;
    const bool is_one = argument && strncmp(argument, LITHOPS__WORKER_ARGUMENT, prefix) == 0;
    char *end = NULL;
    unsigned long slot = is_one ? strtoul(argument + prefix, &end, 10) : 0;
    if (!is_one || *end || lithops__area_attach(&process.area, LITHOPS__WORKER_AREA_FD, &err) ||
        slot >= process.area.control->max_workers) {
        fprintf(stderr, "lithops: %s is for worker processes, which Lithops starts itself\n",
                LITHOPS__WORKER_ARGUMENT);
        return 2;
    }
    struct lithops__control *control = process.area.control;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent_of(control))
        return 1; /* the client died before the line above */
    if (lithops__area_move_fd(&process.area) != 0 || !(process.alive = make_mark()))
        return 1;
    process.slot = (unsigned)slot;
    process.line = &control->workers[slot];
    process.cold = LITHOPS__CONTENT_COLD;
    process.ticks_per_us = control->ticks_per_ms / 1000 + 1;
    if (lithops__region_init(&process.region, &process.area, process.slot) != 0)
        return 1;
    process.calls_left = control->calls_per_process ? control->calls_per_process : UINT64_MAX;
    process.region.before_growth = lithops__limits_before_growth;
    process.region.user = &process;
    lithops__guard_start(&process);
    lithops__tidy_init(&process);
    lithops__crash_init(&process, is_runtime);
    lithops__memory_read(&process.fresh);
    atomic_store(&process.line->state, LITHOPS__WORKER_READY);
    lithops__worker_run(&process);
    fflush(stdout);
    return 0;
}

int lithops_worker_main(const char *argument)
{
    return worker_main(argument, true);
}

void lithops_init(int *argc, char ***argv)
{
    atomic_store(&initialized, true);
    const size_t prefix = sizeof LITHOPS__WORKER_ARGUMENT - 1;
    if (argc && argv && *argc == 2 && strncmp((*argv)[1], LITHOPS__WORKER_ARGUMENT, prefix) == 0)
        _exit(worker_main((*argv)[1], false));
}
