/* SPDX-License-Identifier: Apache-2.0 */
/* The conformance suite over localhost, where a worker is one process. */
#include "../integration/api.h"
#include "compute_suite.h"

#include <signal.h>
#include <stdio.h>

static lithops_value *settings(int workers, int processes)
{
    return lithops_pack("{s:i}", "worker_processes", workers * processes);
}

static bool kill_worker(void)
{
    pid_t pid = 0;
    return api_child(&pid) && kill(pid, SIGKILL) == 0;
}

int main(int argc, char **argv)
{
    api_init(&argc, &argv);
    const struct compute_suite localhost = {
        .backend = "localhost",
        .settings = settings,
        .kill_worker = kill_worker,
        .sees_files = true,
    };
    return api_finish(compute_suite_run(&localhost));
}
